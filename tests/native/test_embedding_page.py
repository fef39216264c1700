"""The programs and commands of docs/embedding.md, as they stand there."""

from __future__ import annotations

import os
import re

import pytest
from native_build import ROOT, run

from w2vc_runtime import load

soundfile = pytest.importorskip("soundfile")
BLOCKS = dict(re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / "docs" / "embedding.md").read_text(), re.M | re.S))
RECORDING = ROOT / "examples" / "digits" / "audio" / "seven-two-nine.flac"


def test_the_page_has_commands_and_programs():
    assert sorted(BLOCKS) == ["c", "cmake", "cpp", "sh"]


def test_the_commands_install_what_the_programs_are_built_on(native, digits, toolchain, onnxruntime_library, tmp_path):
    prefix, source = tmp_path / "prefix", tmp_path / "source"
    run(["sh", "-ec", BLOCKS["sh"]], cwd=ROOT, env={**os.environ, "PREFIX": str(prefix)})
    source.mkdir()
    for name, kind in (("program.c", "c"), ("program.cpp", "cpp"), ("CMakeLists.txt", "cmake")):
        (source / name).write_text(BLOCKS[kind])
    run(["cmake", "-S", source, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}", *toolchain])
    run(["cmake", "--build", tmp_path / "build"])
    with load(digits["fp16"], "cpu") as model:
        samples, wanted = model.read(RECORDING), model(RECORDING)
    (tmp_path / "samples").write_bytes(samples.tobytes())
    environment = {**os.environ, "W2VC_ONNXRUNTIME": str(onnxruntime_library)}
    with (tmp_path / "samples").open("rb") as file:
        said = run([tmp_path / "build" / "in_c", digits["fp16"]], stdin=file, env=environment)
    assert said == f"{wanted.text}\n"
    with (tmp_path / "samples").open("rb") as file:
        said = run([tmp_path / "build" / "in_cpp", digits["fp16"]], stdin=file, env=environment)
    lines = said.splitlines()
    words = len(wanted.words)
    assert [line.split()[1] for line in lines[:words]] == [word.text for word in wanted.words]
    assert lines[-1] == f"{words} words aligned"
    assert wanted.text in lines[words + 2]
