"""The native runtime: its own tests, what is installed of it, and the examples built against that."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from native_build import ROOT, run

from w2vc_runtime import load
from w2vc_runtime.results.formats import json_object

DEMO_AUDIO = ROOT / "examples" / "digits" / "audio"
MOST_BYTES = 1_500_000
soundfile = pytest.importorskip("soundfile")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> list[Path]:
    """The demo's recordings as WAV of 16 bits, which the examples read."""
    folder = tmp_path_factory.mktemp("wav")
    for path in sorted(DEMO_AUDIO.glob("*.flac")):
        samples, rate = soundfile.read(path, dtype="int16")
        soundfile.write(folder / f"{path.stem}.wav", samples, rate, subtype="PCM_16")
    return sorted(folder.iterdir())


def build(example: str, prefix: Path, folder: Path, toolchain: list[str]) -> Path:
    """Build an example away from the project, with nothing but what is installed."""
    shutil.copytree(ROOT / "examples" / example, folder / "source")
    run(["cmake", "-S", folder / "source", "-B", folder / "build", f"-DCMAKE_PREFIX_PATH={prefix}", *toolchain])
    run(["cmake", "--build", folder / "build"])
    return folder / "build"


def library(prefix: Path) -> Path:
    return next(path for path in prefix.rglob("libw2vc.so.*") if not path.is_symlink())


def test_its_own_tests(native, goldens, onnxruntime_library):
    environment = {**os.environ, "W2VC_GOLDENS": str(goldens), "W2VC_ONNXRUNTIME": str(onnxruntime_library)}
    said = run([native / "tests" / "w2vc_tests", "-s"], env=environment)
    assert "no golden vectors" not in said
    run(["ctest", "--test-dir", native, "--output-on-failure"], env=environment)


def test_its_own_tests_fail_on_another_truth(native, goldens, onnxruntime_library, tmp_path):
    """A negative control: one digit of one answer."""
    for path in goldens.glob("*.records"):
        content = path.read_bytes()
        if path.name == "answers.records":
            content = content.replace(b'"duration": 1.5', b'"duration": 1.6', 1)
        (tmp_path / path.name).write_bytes(content)
    (tmp_path / "bundles").symlink_to(goldens / "bundles")
    environment = {**os.environ, "W2VC_GOLDENS": str(tmp_path), "W2VC_ONNXRUNTIME": str(onnxruntime_library)}
    done = subprocess.run([native / "tests" / "w2vc_tests", "-tc=answers*"], env=environment, capture_output=True)
    assert done.returncode == 1


def test_the_library_shows_its_functions_alone(installed, tmp_path):
    for tool in ("strip", "nm"):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool} here")
    names = [line.split()[-1] for line in run(["nm", "-D", "--defined-only", library(installed)]).splitlines()]
    header = (ROOT / "runtime" / "cpp" / "include" / "w2vc" / "w2vc.h").read_text()
    assert len(names) > 20
    assert all(name.startswith("w2vc_") and f" {name}(" in header.replace("*", " ") for name in names)
    run(["strip", "-o", tmp_path / "stripped", library(installed)])
    assert (tmp_path / "stripped").stat().st_size <= MOST_BYTES
    assert len(header.splitlines()) <= 300


@pytest.mark.parametrize("example", ["c", "cpp"])
def test_the_examples_transcribe(example, installed, digits, recordings, toolchain, onnxruntime_library, tmp_path):
    programs = build(example, installed, tmp_path, toolchain)
    environment = {**os.environ, "W2VC_ONNXRUNTIME": str(onnxruntime_library)}
    with load(digits["fp16"], "cpu") as model:
        for recording in recordings:
            wanted = model(recording)
            said = run([programs / "transcribe", digits["fp16"], recording], env=environment).splitlines()
            assert said[0] == wanted.text
            if example == "c":
                assert [line.split()[2] for line in said[1:]] == [word.text for word in wanted.words]


def test_the_service_answers_from_several_threads(
    installed, digits, recordings, toolchain, onnxruntime_library, tmp_path
):
    programs = build("cpp", installed, tmp_path, toolchain)
    environment = {**os.environ, "W2VC_ONNXRUNTIME": str(onnxruntime_library)}
    asked = [*recordings * 4, tmp_path / "nothing.wav"]
    said = run(
        [programs / "service", digits["fp16"], "4"], env=environment, input="".join(f"{path}\n" for path in asked)
    )
    answers = [json.loads(line) for line in said.splitlines()]
    assert sorted(answer["file"] for answer in answers) == sorted(map(str, asked))
    with load(digits["fp16"], "cpu") as model:
        texts = {str(recording): model(recording).text for recording in recordings}
    for answer in answers:
        if answer["file"] in texts:
            assert answer["result"]["text"] == texts[answer["file"]]
        else:
            assert answer["error"] == f"{tmp_path / 'nothing.wav'} is not WAV of 16 bits, mono, at 16000 Hz"


def test_a_program_of_one_line_with_pkg_config_and_the_static_library(
    installed, digits, recordings, onnxruntime_library, tmp_path
):
    if shutil.which("pkg-config") is None:
        pytest.skip("there is no pkg-config here")
    environment = {**os.environ, "PKG_CONFIG_PATH": str(next(installed.rglob("pkgconfig")))}
    source = ROOT / "examples" / "c" / "transcribe.c"
    shared = run(["pkg-config", "--cflags", "--libs", "w2vc"], env=environment).split()
    run(["cc", "-std=c99", "-pedantic", "-Wall", "-Werror", source, "-o", tmp_path / "shared", *shared])
    flags = run(["pkg-config", "--static", "--cflags", "--libs", "w2vc"], env=environment).split()
    archive = next(installed.rglob("libw2vc.a"))
    linked = [str(archive) if flag == "-lw2vc" else flag for flag in flags]
    run(["cc", "-std=c99", "-DW2VC_STATIC", source, "-o", tmp_path / "static", *linked])
    environment = {
        **os.environ, "LD_LIBRARY_PATH": str(archive.parent), "W2VC_ONNXRUNTIME": str(onnxruntime_library)
    }  # fmt: skip
    with load(digits["fp16"], "cpu") as model:
        for program in ("shared", "static"):
            said = run([tmp_path / program, digits["fp16"], recordings[0]], env=environment)
            assert said.splitlines()[0] == model(recordings[0]).text


def test_without_onnx_runtime_there_is_one_line(installed, digits, recordings, toolchain, tmp_path):
    programs = build("c", installed, tmp_path, toolchain)
    environment = {**os.environ, "W2VC_ONNXRUNTIME": "/nowhere/libonnxruntime.so"}
    done = subprocess.run(
        [programs / "transcribe", digits["fp16"], recordings[0]], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("transcribe: ONNX Runtime cannot be loaded from /nowhere/libonnxruntime.so (")
    assert len(done.stderr.splitlines()) == 1


def test_json_is_that_of_python(installed, goldens, recordings, toolchain, onnxruntime_library, tmp_path):
    """Of a bundle of log-mel features, through the service, with the threads that it asks for."""
    programs = build("cpp", installed, tmp_path, toolchain)
    environment = {**os.environ, "W2VC_ONNXRUNTIME": str(onnxruntime_library)}
    bundle = goldens / "bundles" / "digits-bert"
    said = run([programs / "service", bundle, "1"], env=environment, input="".join(f"{path}\n" for path in recordings))
    with load(bundle, "cpu") as model:
        for line, recording in zip(said.splitlines(), recordings, strict=True):
            answer, wanted = json.loads(line)["result"], json.loads(json_object(model(recording)))
            assert answer["text"] == wanted["text"]
            assert [word["start"] for word in answer["words"]] == [word["start"] for word in wanted["words"]]
