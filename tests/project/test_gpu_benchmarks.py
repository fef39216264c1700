"""benchmarks/gpu, as far as a machine without a GPU can tell: the scripts run end to end on the CPU, where they say
that they answer nothing; failures cost their own cells; and the arithmetic that is counted is PyTorch's.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import onnx
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from support.oracle import ARCHITECTURES, BRIEF, TINY, Cell, build, fronts
from support.paths import ROOT
from support.published import BERT, LETTER_HEAD, PUBLISHED
from w2vc_exporter.options import CARRIED
from w2vc_runtime.system.version import own_version

SCRIPTS = ROOT / "benchmarks" / "gpu"
FUSED = "scaled_dot_product_attention"
DIGITS_LAYERS = json.loads((CARRIED / "digits" / "config.json").read_text())["num_hidden_layers"]
CONFORMER = "wav2vec2-conformer-rel-pos-large"
WIDE = {CONFORMER: PUBLISHED[CONFORMER][2], "w2v-bert-2.0": {**BERT, **LETTER_HEAD}}
# Aborts on the second of its cells, and waits for longer than it is given on the third.
SCRIPT = """
import os, sys, time
sys.path.insert(0, {folder!r})
from harness import Report, parser, run, serve

def measuring(job):
    def measure(cell):
        if cell["name"] == "faulty":
            raise ValueError("first line\\nsecond line")
        if cell["name"] == "fatal":
            print("native noise", end="", flush=True)
            os.abort()
        if cell["name"] == "slow":
            time.sleep(600)
        return {{"value": float("nan") if cell["name"] == "infinite" else 1.0}}
    return measure

options = parser(None, "trial", 10, ("a",)).parse_args()
if options.job:
    sys.exit(serve(options.job, {{"measure": measuring}}))
report = Report(options, "A question?\\n\\nMore.")
groups = (("good", "faulty", "infinite"), ("early", "fatal", "late"), ("slow", "slower"))
jobs = [{{"task": "measure", "cells": [{{"name": name}} for name in names]}} for names in groups]
run(report, "cells", __file__, jobs[:2])
report.deadline = time.monotonic() + 3
run(report, "cells", __file__, jobs[2:])
report.show({{"name": lambda cell: cell["name"], "value": lambda cell: str(cell["value"])}})
"""


def run(script: str | Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})


def trial(script: str, folder: Path, *arguments: str) -> tuple[dict, str]:
    """What a script writes and prints on the CPU."""
    output = folder / script.replace(".py", ".json")
    done = run(script, "--device", "cpu", "--quick", "--output", output, *arguments)
    assert not done.returncode, done.stderr
    written = json.loads(output.read_text())
    assert written["device"]["name"].startswith("cpu: a trial")
    assert written["command"].startswith(f"python benchmarks/gpu/{script} --device cpu")
    assert written["versions"]["numpy"]
    assert written["question"].endswith("?")
    assert "a trial of the script" in done.stdout
    return written, done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("gpu")


def flops() -> ModuleType:
    specification = importlib.util.spec_from_file_location("flops", SCRIPTS / "flops.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


MODELS = [
    *((name, {**TINY, **BRIEF, **Cell(name, fronts(name)[-1], "ctc").config}) for name in ARCHITECTURES),
    *((PUBLISHED[name][0], config) for name, config in WIDE.items()),
]


@pytest.mark.parametrize(("architecture", "config"), MODELS, ids=[*ARCHITECTURES, *WIDE])
def test_arithmetic_is_counted_as_pytorch_counts_it(architecture, config):
    model = build(architecture, "ctc", **config)
    model.set_attn_implementation("eager")
    batch, length = 3, 41 if architecture.startswith("bert") else 12345
    values = torch.zeros(batch, length, *((160,) if architecture.startswith("bert") else ()))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(values, attention_mask=torch.ones(batch, length, dtype=torch.int64))
    assert flops().flops(model.config, batch, length) == counter.get_total_flops()


@pytest.mark.parametrize(
    "script", ["engines.py", "driver.py", "plans.py", "parity.py", "speed.py", "kernels.py", "ours.py", "layers.py"]
)
def test_without_a_gpu_it_is_one_line(script, folder):
    done = run(script, "--output", folder / "none.json", PATH="/nowhere")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "no NVIDIA GPU here" in done.stderr
    assert "--device cpu" in done.stderr
    assert not (folder / "none.json").exists()


def test_an_unknown_model_is_one_line(folder):
    done = run("plans.py", "--device", "cpu", "--models", "whisper", "--output", folder / "none.json")
    assert done.returncode == 2
    assert done.stderr.startswith("plans.py: --models 'whisper' is unknown; known: digits, digits-bert, wav2vec2,")
    assert done.stderr.count("\n") == 1


@pytest.mark.full
def test_plans_and_parity_try_themselves_on_the_cpu(folder):
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for Linux on x86-64 only")
    arguments = ("--models", "bert-none", "--bundles", str(folder / "bundles"))
    built = run("plans.py", "--quick", "--build-only", *arguments, PATH="/nowhere")
    assert not built.returncode, built.stderr
    (entry,) = json.loads((folder / "bundles" / "builds.json").read_text())["builds"]
    assert "problem" not in entry

    parity, shown = trial("parity.py", folder, *arguments)
    assert parity["builds"] == []  # what is there is taken as it is
    passed = [(cell["provider"], cell["precision"], cell.get("passed")) for cell in parity["cells"]]
    assert passed == [("cpu", "fp32", True), ("cpu", "fp16", True), ("cpu", "bf16", None)]
    assert "bf16" in parity["cells"][2]["problem"]  # which ONNX Runtime's CPU provider has not
    summary = [line.split() for line in shown.splitlines() if line.startswith("bert-none ")]
    assert [row[:6] for row in summary] == [
        ["bert-none", "bf16", "cpu", "0", "0", "1"],
        ["bert-none", "fp16", "cpu", "1", "0", "0"],
        ["bert-none", "fp32", "cpu", "1", "0", "0"],
    ]

    bundle = folder / "bundles" / "bert-none-log-mel-ctc-plain"
    for precisions, there in ((("fp32", "bf16"), "True"), (("fp32", "int8"), "False")):  # else it is built again
        found = f"import bundles; print(bundles.exported(bundles.Path({str(bundle)!r}), {precisions}) is not None)"
        assert run_code(found) == there

    graph = bundle / "model_fp16.onnx"
    graph.write_bytes(graph.read_bytes()[:1000])
    plans, shown = trial("plans.py", folder, *arguments)
    full, half, _ = plans["cells"]
    assert (full["model"], full["precision"], full["target"], full["passed"]) == ("bert-none", "fp32", "default", True)
    assert 0 < full["difference"] < full["budget"]["difference"]
    assert full["bytes"] > 1e6
    assert {"load", "first", "second", "median"} == full["cold"].keys() == full["warm"].keys()
    assert shown.splitlines()[2].endswith("passed")
    assert "cannot load" in half["problem"]  # and what came after it was measured
    assert half["problem"] in shown


@pytest.mark.full
def test_speed_tries_itself_on_the_cpu(folder):
    speed, shown = trial("speed.py", folder, "--bundles", str(folder / "speed"))
    ways = ["PyTorch eager", "ONNX Runtime cpu, plain export", "ONNX Runtime cpu, ours"]
    assert [cell["way"] for cell in speed["cells"]] == ways * 2
    assert [cell["batch"] for cell in speed["cells"]] == [1] * 3 + [3] * 3
    for cell, line in zip(speed["cells"], shown.splitlines()[2:]):
        assert "problem" not in cell
        assert cell["fastest_ms"] <= cell["latency_ms"] <= cell["slowest_ms"]
        assert cell["peak_share"] == pytest.approx(cell["tflops"] / cell["matmul_peak_tflops"])
        assert cell["difference"] < 1e-4
        assert f"{cell['latency_ms']:.2f} ms" in line
    eager = [cell["ratio"] for cell in speed["cells"] if cell["way"] == "PyTorch eager"]
    assert eager == [1.0, 1.0]


@pytest.mark.full
def test_speed_takes_other_forms(folder):
    speed, shown = trial("speed.py", folder, "--bundles", str(folder / "speed"), "--forms", "bias by gather")
    assert [cell["form"] for cell in speed["cells"]] == ["ours"] * 6 + ["bias by gather"] * 4
    assert all(cell["difference"] < 1e-4 for cell in speed["cells"])
    ours, gathered = (
        [node.op_type for node in onnx.load(folder / "speed" / name / "model.onnx").graph.node]
        for name in ("tiny", "tiny-bias-by-gather")
    )
    assert gathered.count("Gather") > ours.count("Gather")
    assert "bias by gather" in shown


@pytest.mark.full
def test_ours_tries_itself_on_the_cpu(folder):
    found, shown = trial("ours.py", folder)
    forms = {cell["form"]: cell for cell in found["cells"]}
    assert list(forms)[:3] == ["as it is exported", FUSED, f"{FUSED}, no mask"]
    assert {"one addend", "bias by gather", "heads in groups", "depthwise convolution as a sum"} <= forms.keys()
    for name, cell in forms.items():
        assert "problem" not in cell
        assert cell["eager_ms"] > 0
        assert cell["graph_ms"] is None
        if "no mask" not in name:
            assert cell["difference"] < 1e-4, name
    assert "scaled_dot_product_attention" in shown


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_driver_tries_itself_on_a_stand_in(folder):
    """The calls are real, through cuda-bindings; the driver is tests/support/standin/libcuda.c."""
    pytest.importorskip("cuda.bindings", reason="no cuda-bindings here")
    output, library = folder / "driver.json", folder / "libcuda.so.1"
    source = ROOT / "tests" / "support" / "standin" / "libcuda.c"
    command = ["cc", "-shared", "-fPIC", "-w", "-Wl,-soname,libcuda.so.1", "-o", library, source, "-ldl"]
    subprocess.run(command, check=True)
    done = run("driver.py", "--device", "cpu", "--output", output, LD_LIBRARY_PATH=str(folder))
    assert not done.returncode, done.stderr
    cells = json.loads(output.read_text())["cells"]
    assert [cell["check"] for cell in cells] == ["memory", "copies", "capture", "threads", "context"]
    assert all(cell.get("holds") for cell in cells), cells
    assert cells[0]["gpu"] == "Stand-in GPU, 58 multiprocessors"


def test_driver_without_a_driver_says_so_in_every_cell(folder):
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a GPU")
    output = folder / "none.json"
    done = run("driver.py", "--device", "cpu", "--output", output, LD_LIBRARY_PATH="")
    assert done.returncode == 1
    for cell in json.loads(output.read_text())["cells"]:
        assert "there is no NVIDIA driver here" in cell["problem"] or "cuda-bindings" in cell["problem"]
    output.unlink()


@pytest.mark.full
def test_engines_and_layers_try_themselves_on_the_cpu(folder):
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for Linux on x86-64 only")
    found, shown = trial("engines.py", folder, "--bundles", str(folder / "engines"))
    assert [cell["target"] for cell in found["cells"]] == ["default", "sm75", "sm80", "sm86", "sm89", "sm120", "sm121"]
    for cell in found["cells"]:
        assert cell["difference"] < 1e-6  # the graph itself, in place of the plan
        assert (cell["validity"], cell["bytes"] > 1e6) == (None, True)
    assert "not asked" in shown
    found, _ = trial("layers.py", folder, "--bundles", str(folder / "engines"))
    (cell,) = found["cells"]
    assert cell["fused"] == DIGITS_LAYERS  # one kernel a layer
    assert cell["kernels"] > cell["fused"]
    assert cell["activation_bytes"] > 1e6
    assert cell["layers"] is None


def test_what_fails_costs_its_own_cell(tmp_path):
    """An error, an abort in native code and what takes too long; the others have their figures."""
    script, output = tmp_path / "trial.py", tmp_path / "trial.json"
    script.write_text(SCRIPT.format(folder=str(SCRIPTS)))
    done = run(script, "--device", "cpu", "--output", output)
    assert not done.returncode, done.stderr
    found = {cell["name"]: cell.get("problem", "none") for cell in json.loads(output.read_text())["cells"]}
    expected = {
        "good": "none",
        "faulty": "ValueError: first line",
        "infinite": "none",
        "early": "none",
        "fatal": "ended by SIGABRT",
        "late": "not done: ended by SIGABRT",
        "slow": "not done: stopped after",
        "slower": "not done: stopped after",
    }
    assert found.keys() == expected.keys()
    assert [found[name][: len(text)] for name, text in expected.items()] == list(expected.values())
    values = {cell["name"]: cell.get("value", "-") for cell in json.loads(output.read_text())["cells"]}
    assert (values["good"], values["infinite"], values["fatal"]) == (1.0, None, "-")


def test_builds_that_measure_a_gpu_do_not_measure_each_other():
    code = """
import argparse, pathlib, bundles
seen = []
bundles.run = lambda report, kind, script, jobs, workers: seen.append(workers)
options = argparse.Namespace(bundles=pathlib.Path("none"), jobs=8)
for backend in ("tensorrt-rtx", "tensorrt"):
    wanted = {"name": "none", "precisions": ["fp16"], "engines": [[backend, [], "fp16"]]}
    bundles.build_all(None, "script", options, [wanted])
print(*seen)
"""
    assert run_code(code) == "8 1"


def test_plans_knows_every_architecture():
    assert run_code("import plans; print(*plans.TINY)").split() == list(ARCHITECTURES)


def run_code(code: str) -> str:
    """What code prints that sees the scripts as modules."""
    code = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); {code.strip()}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_a_checkout_that_is_not_installed_has_a_version(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    assert own_version() == importlib.metadata.version("w2vc")
    monkeypatch.setattr("w2vc_runtime.system.version.version", absent)
    assert own_version() == "0+unknown"


@pytest.mark.full
def test_kernels_tries_itself_on_the_cpu(folder):
    """What PyTorch's profiler sees there is what PyTorch runs, and no GPU."""
    found, shown = trial("kernels.py", folder, "--bundles", str(folder / "speed"))
    ways = ["PyTorch eager", "ONNX Runtime cpu, plain export", "ONNX Runtime cpu, ours"]
    assert [cell["way"] for cell in found["cells"]] == ways
    eager = found["cells"][0]
    assert 0 < sum(each["ms"] for each in eager["kernels"]) <= eager["busy_ms"]
    assert "aten::addmm" in {each["name"] for each in eager["kernels"]}
    assert eager["kernels"][0]["name"] in shown
