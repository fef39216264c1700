"""The README's commands run, and the documents describe what there is."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from support.paths import DEMO_AUDIO, ROOT, TRANSCRIPTS
from support.service import free_port
from w2vc_exporter.gate.corpus import read_corpus
from w2vc_runtime.bundle import Manifest

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """An empty directory that sees the examples, as a reader's clone does."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "examples").symlink_to(ROOT / "examples")
    return folder


def execute(command: list[str], folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def expect_service(command: str, folder: Path) -> None:
    """A command answers over HTTP, and ends when it is told to."""
    port = free_port()
    arguments = [str(Path(sys.executable).parent / "w2vc"), *command.split()[1:], "--port", str(port)]
    with subprocess.Popen(arguments, cwd=folder, stderr=subprocess.PIPE, text=True) as service:
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                    assert answer.status == 200
                    break
                assert service.poll() is None, service.stderr.read()
                time.sleep(0.1)
            else:
                raise AssertionError("the service does not answer")
        finally:
            service.terminate()
        assert service.wait(timeout=60) in (0, 128 + signal.SIGTERM), service.stderr.read()


def test_shell_commands_run(folder):
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert commands[:2] == ["make demo", "make test"]  # the first screen has these two and no other
    for command in commands:
        if command.startswith("make "):
            execute(["make", "-C", str(ROOT), "-n", *command.split()[1:]], folder)
        elif command.startswith("pip install "):
            extras = re.search(r"\[(.*)\]", command)
            assert extras is not None
            assert set(extras[1].split(",")) <= set(importlib.metadata.metadata("w2vc").get_all("Provides-Extra"))
        elif command.startswith("w2vc serve "):
            expect_service(command, folder)
        else:
            execute(["bash", "-c", command], folder)
    assert sorted(path.suffix for path in (folder / "subtitles").iterdir()) == [".srt"] * 3


def test_the_demo_installs_what_it_needs_and_says_how_much(tmp_path):
    """In a fresh clone, where the tests then add the rest."""

    def installed(target: str) -> list[str]:
        shown = execute(["make", "-C", str(ROOT), "-n", target, f"VENV={tmp_path / 'venv'}"], tmp_path)
        lines = [line for line in shown.splitlines() if "pip install" in line or "GB" in line]
        return [line.rstrip("; \\").split()[-1].strip("'") if "pip install" in line else "size" for line in lines]

    native = ["runtime/cpp/python"]
    assert installed("demo") == ["size", "size", ".[export,cpu]", *native]
    assert installed("test") == ["size", "size", ".[export,cpu]", "size", ".[dev]", *native]


def test_without_a_compiler_beam_search_is_left_out_in_one_line(tmp_path):
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    for name in (".runs", ".ready"):
        (tmp_path / "venv" / name).touch()
    for name in ("make", "sh", "touch"):
        (tmp_path / name).symlink_to(shutil.which(name))
    command = ["make", "-C", str(ROOT), f"VENV={tmp_path / 'venv'}", str(tmp_path / "venv" / ".native")]
    shown = subprocess.run(command, capture_output=True, text=True, env={"PATH": str(tmp_path)}, check=True).stdout
    assert "beam search and alignment are left out: there is no C++ compiler here" in shown


def test_the_demo_recordings_have_transcripts_that_an_export_reads():
    corpus = read_corpus(DEMO_AUDIO, 16000, 400)
    assert {clip.name: clip.text for clip in corpus.clips} == TRANSCRIPTS
    assert len(TRANSCRIPTS) == 3


def test_python_blocks_run(folder):
    (block,) = blocks("python")
    shown = execute([sys.executable, "-c", block], folder)
    assert shown.startswith("seven two nine [('seven', 0.")


def test_links_lead_somewhere():
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_every_field_of_the_manifest_is_described():
    described = (ROOT / "docs" / "bundle.md").read_text()
    for field in dataclasses.fields(Manifest):
        assert f"`{field.name}`" in described, field.name


def test_sources_that_the_design_names_are_there():
    named = set(re.findall(r"`([\w/]+\.py)`", (ROOT / "docs" / "design.md").read_text()))
    places = ("exporter", "model", "runtime", "tests", "benchmarks")
    there = [path.as_posix() for place in places for path in (ROOT / place).rglob("*.py")]
    assert [name for name in sorted(named) if not any(path.endswith(f"/{name}") for path in there)] == []
    assert len(named) > 20
