"""The programs and commands of docs/embedding.md, as they stand there."""

from __future__ import annotations

import os
import re

import pytest
from native_build import ROOT, run

from w2vc_runtime import ChunkOptions, load

soundfile = pytest.importorskip("soundfile")
FOUND = re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / "docs" / "embedding.md").read_text(), re.M | re.S)
# The second program in C++ is a function; it gets the beginning and the end of one here.
BLOCKS = dict(reversed(FOUND))
LISTENS = """#include <w2vc/w2vc.hpp>

#include <iostream>
%s
int main(int argc, char** argv) { listen(w2vc::Model(argv[argc - 1])); }
"""
RECORDING = ROOT / "examples" / "digits" / "audio" / "seven-two-nine.flac"


def test_the_page_has_commands_and_programs():
    assert [kind for kind, _ in FOUND] == ["sh", "c", "cmake", "cpp", "cpp"]


def test_the_commands_install_what_the_programs_are_built_on(native, digits, toolchain, onnxruntime_library, tmp_path):
    prefix, source = tmp_path / "prefix", tmp_path / "source"
    run(["sh", "-ec", BLOCKS["sh"]], cwd=ROOT, env={**os.environ, "PREFIX": str(prefix)})
    source.mkdir()
    for name, kind in (("program.c", "c"), ("program.cpp", "cpp"), ("CMakeLists.txt", "cmake")):
        (source / name).write_text(BLOCKS[kind])
    (source / "listen.cpp").write_text(LISTENS % FOUND[-1][1])
    with (source / "CMakeLists.txt").open("a") as file:
        file.write("add_executable(listens listen.cpp)\ntarget_link_libraries(listens PRIVATE w2vc::w2vc)\n")
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
    # Blocks of a tenth of a second: what is left at the end is not pushed.
    with (tmp_path / "samples").open("rb") as file:
        said = run([tmp_path / "build" / "listens", digits["fp16"]], stdin=file, env=environment)
    with load(digits["fp16"], "cpu") as model:
        whole = model.chunked((samples[: len(samples) // 1600 * 1600], 16000), ChunkOptions(4))
    assert said.splitlines()[-1] == f"in all: {whole.text}"
    assert said.splitlines()[0] == "so far: "
