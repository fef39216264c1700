"""The arrows between the packages, their public names, and what an install brings."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import os
import shutil
import subprocess
import sys
import venv
from importlib.resources import files
from pathlib import Path

import pytest

from support.isolation import FORBID, python
from support.paths import ROOT

PUBLIC = {
    "w2vc_model": {
        "FAMILIES", "HEADS", "BertConfig", "CheckpointError", "ConfigError", "ConformerConfig", "HeadError",
        "ModelError", "PaddingContract", "SpeechConfig", "SpeechModel", "Wav2Vec2Config", "load", "read_config",
    },
    "w2vc_exporter": {"ExportError", "ExportOptions", "RecipeError", "RejectedError", "export"},
    "w2vc_runtime": {
        "AudioError", "BeamOptions", "BundleError", "ChunkOptions", "Classification", "Embedding", "EngineError",
        "FrameLabels", "HiddenStates", "InferenceError", "MissingExtraError", "Model", "OptionError", "Pretraining",
        "Score", "Segment", "Transcript", "VoiceActivity", "W2vcError", "Window", "Windows", "Word", "load",
    },
}  # fmt: skip


def modules(package: str) -> list[str]:
    folder = Path(importlib.import_module(package).__file__).parent
    return [
        ".".join((package, *path.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__")
        for path in sorted(folder.rglob("*.py"))
    ]


ARROWS = {
    "model/w2vc_model": {"w2vc_runtime", "w2vc_exporter", "transformers"},
    "exporter/w2vc_exporter": {"transformers"},
    "runtime/w2vc_runtime": {"torch", "onnx", "w2vc_model", "w2vc_exporter", "transformers"},
}


@pytest.mark.parametrize("room", ARROWS)
def test_lint_refuses_imports_against_the_arrows(room):
    names = ["numpy", "torch", "onnx", "transformers", "w2vc_model", "w2vc_exporter", "w2vc_runtime"]
    code = "".join(f"import {name}\n" for name in names)
    command = [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--output-format", "concise", "-"]
    command += ["--stdin-filename", str(ROOT / room / "new.py")]
    shown = subprocess.run(command, input=code, capture_output=True, text=True, cwd=ROOT).stdout
    assert {name for name in names if f"`{name}` is banned" in shown} == ARROWS[room]


def imports(folder: Path) -> dict[str, set[str]]:
    """Which modules of a package each of them imports by name, wherever it does: in functions and for types too."""
    paths = {
        ".".join((folder.name, *path.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in sorted(folder.rglob("*.py"))
    }
    found: dict[str, set[str]] = {}
    for name, path in paths.items():
        inside = name if path.name == "__init__.py" else name.rpartition(".")[0]
        named = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                above = inside.split(".")[: len(inside.split(".")) + 1 - node.level] if node.level else []
                base = ".".join([*above, *filter(None, [node.module])])
                full = [f"{base}.{alias.name}" for alias in node.names]
                named |= {each if each in paths else base for each in full}
        found[name] = named & paths.keys() - {name}
    return found


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """The largest sets of modules each of which imports every other, directly or by way of others."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen: set[str] = set()
        ahead = [*graph[start]]
        while ahead:
            name = ahead.pop()
            if name not in seen:
                seen.add(name)
                ahead += graph[name]
        reached[start] = seen
    return {
        frozenset(other for other in reached[name] if name in reached[other]) for name in graph if name in reached[name]
    }


def test_no_module_imports_itself_by_way_of_others():
    rooms = [Path(importlib.import_module(package).__file__).parent for package in PUBLIC]
    graphs = [imports(room) for room in rooms]
    assert all(sum(map(len, graph.values())) > len(graph) for graph in graphs)
    assert set().union(*map(circles, graphs)) == set()


@pytest.mark.parametrize(
    "back",
    [
        "from .a import A",
        "from . import a",
        "from made_up import a",
        "import made_up.a",
        "def late():\n    from made_up.a import A",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .a import A",
    ],
)
def test_a_circle_is_found(back, tmp_path):
    folder = tmp_path / "made_up"
    (folder / "inner").mkdir(parents=True)
    texts = {
        "__init__": "from .a import A", "a": "from .inner import b\nimport numpy\nA = 1", "inner/__init__": "",
        "inner/b": "from ..c import C", "c": "C = 1",
    }  # fmt: skip
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    assert circles(imports(folder)) == set()
    (folder / "c.py").write_text(back)
    assert circles(imports(folder)) == {frozenset({"made_up.a", "made_up.inner.b", "made_up.c"})}


def layers(folder: Path) -> subprocess.CompletedProcess[str]:
    """What the linter says of the layers in pyproject.toml, of the runtime in a folder."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--config", ROOT / "pyproject.toml"]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(folder)})


@pytest.mark.parametrize(
    ("room", "code", "broken"),
    [
        ("bundle", "", None),
        ("bundle", "from w2vc_runtime.sessions.base import Session", "w2vc_runtime.bundle is not allowed to import"),
        ("engines", "def late():\n    from w2vc_runtime.cli import main", "w2vc_runtime.engines is not allowed to"),
        ("decoding", "import w2vc_runtime.sessions.select", "w2vc_runtime.decoding is not allowed to import"),
        ("attic", "", "attic"),
    ],
)
def test_a_room_imports_only_what_is_below_it(room, code, broken, tmp_path):
    copy = shutil.copytree(ROOT / "runtime" / "w2vc_runtime", tmp_path / "w2vc_runtime")
    (copy / room).mkdir(exist_ok=True)
    (copy / room / "__init__.py").touch()
    (copy / room / "new.py").write_text(code)
    done = layers(tmp_path)
    assert done.returncode == (0 if broken is None else 1), done.stdout + done.stderr
    assert broken is None or broken in done.stdout + done.stderr


@pytest.mark.parametrize("package", PUBLIC)
def test_public_names(package):
    module = importlib.import_module(package)
    assert set(module.__all__) == PUBLIC[package]
    documented = [getattr(module, name) for name in module.__all__]
    assert all(thing.__doc__ for thing in documented if inspect.isclass(thing) or inspect.isfunction(thing))


def test_every_runtime_module_imports_without_torch_and_without_its_extras():
    forbidden = ["torch", "onnx", "transformers", "w2vc_model", "w2vc_exporter"]
    forbidden += ["onnxruntime", "openvino", "soundfile", "soxr", "tensorrt", "tensorrt_rtx"]
    imports = "; ".join(f"import {name}" for name in modules("w2vc_runtime"))
    result = python(FORBID.format(names=forbidden) + imports)
    assert result.returncode == 0, result.stderr


def test_the_model_imports_nothing_of_ours():
    imports = "; ".join(f"import {name}" for name in modules("w2vc_model"))
    result = python(FORBID.format(names=["w2vc_runtime", "w2vc_exporter", "transformers", "onnx"]) + imports)
    assert result.returncode == 0, result.stderr


def test_importing_the_runtime_loads_no_backend():
    names = ("onnxruntime", "openvino", "soxr", "tensorrt", "tensorrt_rtx")
    result = python(f"import w2vc_runtime, sys; print(sorted(m for m in sys.modules if m in {names}))")
    assert result.stdout.strip() == "[]"


def test_running_without_torch(digits, tone):
    code = f"import w2vc_runtime; print(w2vc_runtime.load({str(digits['fp16'])!r})({str(tone)!r}).duration)"
    result = python(FORBID.format(names=["torch", "onnx"]) + code)
    assert result.stdout.strip() == "1.0", result.stderr


@pytest.mark.parametrize(
    ("missing", "command", "line"),
    [
        ("torch", "w2vc_exporter.cli", "w2vc-export: exporting needs torch, which is not installed; pip install"),
        ("onnxruntime", "w2vc_runtime.cli.main", "w2vc: provider 'cpu' needs onnxruntime, which is not installed; pip"),
        (
            "soundfile",
            "w2vc_runtime.cli.main",
            "w2vc: reading audio files needs soundfile, which is not installed; pip",
        ),
    ],
)
def test_a_missing_extra_is_one_line(missing, command, line, digits, tone, tmp_path):
    arguments = {
        "w2vc_exporter.cli": ["--head", "ctc", "-o", str(tmp_path / "out")],
        "w2vc_runtime.cli.main": ["run", str(digits["fp16"]), str(tone), "--provider", "cpu"],
    }[command]
    hide = (
        "import sys, importlib.util as u; "
        f"sys.modules[{missing!r}] = None; find = u.find_spec; "
        f"u.find_spec = lambda name, *rest: None if name == {missing!r} else find(name, *rest); "
        f"from {command} import main; sys.exit(main({arguments!r}))"
    )
    result = python(hide)
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1


def test_a_bare_install_brings_numpy_only(tmp_path):
    requirements = importlib.metadata.requires("w2vc") or []
    assert [line.split(">")[0] for line in requirements if "extra ==" not in line] == ["numpy"]

    venv.create(tmp_path, with_pip=True)
    bare = tmp_path / "bin" / "python"
    install = [bare, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", str(ROOT)]
    subprocess.run(install, check=True, capture_output=True)
    listed = subprocess.run([bare, "-m", "pip", "list", "--format=freeze"], check=True, capture_output=True, text=True)
    names = {line.split("=")[0] for line in listed.stdout.split()} - {"pip", "setuptools"}
    assert names == {"numpy", "w2vc"}
    assert python("import w2vc_runtime, w2vc_exporter", bare).returncode == 0
    refused = subprocess.run([tmp_path / "bin" / "w2vc-export", "--head", "ctc"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr == (
        "w2vc-export: exporting needs torch and onnx and onnxscript and safetensors and onnxruntime, "
        "which is not installed; pip install 'w2vc[export,cpu]'\n"
    )
    carried = "import w2vc_exporter.options as o; assert (o.DIGITS / 'model.safetensors').is_file()"
    assert python(carried, bare).returncode == 0


@pytest.mark.parametrize("package", ["w2vc_model", "w2vc_exporter", "w2vc_runtime"])
def test_type_checkers_read_our_annotations(package):
    assert (files(package) / "py.typed").is_file()
