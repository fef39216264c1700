"""Checkpoints of a damaged disk or somebody hostile are read, or one line; nothing else is said or opened."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.hostile import checkpoints
from w2vc_exporter import ExportError
from w2vc_model import weights

LEAST = 325


def test_each_is_read_or_refused_in_one_line():
    command = [sys.executable, "-m", "support.hostile.checkpoints"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    kind, counts = done.stdout.splitlines()[-1].split(": ")
    assert kind == "checkpoints"
    assert int(counts.split(" inputs")[0]) >= LEAST
    assert "ended with 3" not in counts


def fault(work: Path, name: str) -> str | None:
    """What the script finds wrong with one of its checkpoints."""
    ((_, (ended,), wrong),) = checkpoints.results(
        [case for case in checkpoints.everything() if case.name == name], work
    )
    return ended.fault or wrong


def say(text: bytes) -> Callable[..., None]:
    return lambda *arguments: os.write(2, text) and None


def break_off(*arguments: object) -> None:
    raise KeyError("lm_head")


def two_lines(*arguments: object) -> None:
    raise ExportError("x" * 3000)


@pytest.mark.parametrize(
    ("reading", "expected"),
    [(say(b"[W] of torch's\n"), "native libraries wrote"), (break_off, "ended with 3"), (two_lines, "wrote 30")],
)
def test_the_script_sees_what_must_not_be(reading, expected, tmp_path, monkeypatch):
    """Negative control: readers that write past Python, break off, and say too much."""
    monkeypatch.setattr(checkpoints, "_read", reading)
    assert expected in (fault(tmp_path, "processor_config.json as it should be") or "")


@pytest.mark.parametrize("name", ["shard is the bait model.safetensors", "shard '../baits/model.bin'"])
def test_the_script_sees_files_that_are_opened_outside(name, tmp_path, monkeypatch):
    """Negative control: a reader that follows names wherever they lead, in Python and in native code."""
    monkeypatch.setattr(weights, "inside", lambda directory, name, document: directory / name)
    assert "opened" in (fault(tmp_path, name) or "")
