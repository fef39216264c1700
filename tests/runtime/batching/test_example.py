"""The example of a service answers many callers, each with its own."""

from __future__ import annotations

import subprocess
import sys

from support.paths import DEMO_AUDIO, ROOT, TRANSCRIPTS

EXAMPLE = ROOT / "examples" / "python" / "service.py"


def test_every_caller_gets_the_own_answer(digits, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no audio")
    paths = [str(DEMO_AUDIO / name) for name in TRANSCRIPTS] * 5
    command = [sys.executable, EXAMPLE, digits["fp32"], *paths, bad]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[:-1] == [f"{path}: {text}" for path, text in zip(paths, [*TRANSCRIPTS.values()] * 5)]
    assert lines[-1].startswith(f"{bad}: {bad} ")
