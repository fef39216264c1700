"""Whatever is handed over as audio gives a right answer, or one line of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cache

import pytest

from support.hostile.audio import cases, run
from w2vc_runtime.audio import reader as audio
from w2vc_runtime.cli import run as command


@pytest.fixture(autouse=True)
def loaded_once(monkeypatch):
    """Loading the bundle is no part of what is tried here, and takes most of the time."""
    monkeypatch.setattr(command, "load", cache(command.load))


def test_every_input_is_answered_or_refused_in_one_line(digits):
    outcomes = [run(case, digits["fp32"]) for case in cases()]
    assert {each.case.name: (each.problem, each.err) for each in outcomes if each.problem} == {}
    assert len(outcomes) >= 127


def test_it_notices_lines_of_native_libraries(digits, monkeypatch):
    """Negative control: libmpg123 is let speak."""

    @contextlib.contextmanager
    def aloud() -> Iterator[None]:
        yield

    monkeypatch.setattr(audio, "silent_c_library", aloud)
    (case,) = (case for case in cases() if case.name == "MP3 MPEG_LAYER_III, 300 wrong bytes")
    assert run(case, digits["fp32"]).problem == "a line that is not ours, or more than one"
