"""``w2vc bench``: what it measures, what it refuses before it starts, and what it makes of the figures."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ElementTree

import pytest

from support.commands import refused
from w2vc_runtime.bench import recommend, sweep
from w2vc_runtime.bench.page import render
from w2vc_runtime.bench.sweep import Sweep, SweepOptions
from w2vc_runtime.bundle import Bundle
from w2vc_runtime.cli import main as run_cli
from w2vc_runtime.errors import OptionError

BRIEFLY = ["--seconds", "0.5", "1", "--batch", "1", "2", "--threads", "1"]


def test_every_combination_is_measured_and_shown(digits, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert run_cli.main(["bench", str(digits["fp16"]), *BRIEFLY, "--provider", "cpu", "--json", "-o", str(page)]) == 0
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert "[1/2] cpu, fp16, 1 thread, pass 1 of 2" in shown.err
    cells = [(row["provider"], row["threads"], row["seconds"], row["batch"]) for row in result["rows"]]
    assert cells == [("cpu", 1, seconds, batch) for seconds in (0.5, 1.0) for batch in (1, 2)]
    for row in result["rows"]:
        assert row["note"] is None
        assert row["runs"] >= 2 * 3
        assert 0 < row["least"] <= row["milliseconds"]
        assert row["times_real_time"] == pytest.approx(
            1000 * row["batch"] * row["seconds"] / row["milliseconds"], rel=0.01
        )
        assert row["peak_megabytes"] > 5  # the weights
    assert set(result["recommended"]) == {"latency", "throughput"}
    text = page.read_text()
    assert not re.search(r"<script|<link|<img|url\(|https?://", text)
    plots = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(plots) >= 3
    for plot in plots:
        ElementTree.fromstring(plot)
    for row in result["rows"]:
        assert f"{row['milliseconds']:g} ms" in text


def test_a_table_by_default(digits, capsys):
    assert run_cli.main(["bench", str(digits["fp16"]), "--seconds", "0.5", "--batch", "1", "--threads", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["setting", "audio"]
    assert any(line.startswith("cpu, fp16, 1 thread ") for line in lines)
    assert any(line.startswith("openvino, fp16, 1 thread ") for line in lines)
    assert lines[-2].startswith("one clip at a time: ")
    assert lines[-1].startswith("most audio a second: ")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--seconds", "0"], "--seconds must be 0.1 to 3600 here, got 0"),
        (["--batch", "0"], "--batch must be 1 to 1024 here, got 0"),
        (["--threads", "9999"], "--threads must be 1 to "),
        (["--provider", "tpu"], "unknown provider 'tpu'; known: cpu, cuda"),
        (["--provider", "cuda"], "nothing can be measured here: provider 'cuda' is not in this onnxruntime"),
        (["--precision", "int4"], "int4"),
        (["-o", "page.txt"], "--output is a page; expected a name that ends in .html, got page.txt"),
        (["-o", "nowhere/page.html"], "--output nowhere/page.html cannot be written"),
    ],
)
def test_bad_input_is_one_line_before_anything_starts(digits, monkeypatch, capsys, arguments, problem):
    monkeypatch.setattr(sweep.subprocess, "Popen", lambda *args, **kwargs: pytest.fail("it started"))
    assert problem in refused(capsys, run_cli.main, "bench", digits["fp16"], *arguments)


def test_memory_that_would_not_suffice_is_refused_before(digits, monkeypatch, capsys):
    monkeypatch.setattr("w2vc_runtime.system.memory.available_bytes", lambda: 2 << 30)
    monkeypatch.setattr(sweep.subprocess, "Popen", lambda *args, **kwargs: pytest.fail("it started"))
    line = refused(capsys, run_cli.main, "bench", digits["fp16"], "--seconds", "600", "--provider", "cpu")
    assert "not started: 4 clips of 600 s on provider cpu take about" in line
    assert "2.1 GB are free here; take fewer --seconds or a smaller --batch" in line
    Sweep(Bundle.read(digits["fp16"]), SweepOptions(providers=("cpu",)))  # what fits does start


def test_a_process_that_dies_costs_its_own_rows(digits, tmp_path, monkeypatch):
    worker = tmp_path / "worker.py"
    worker.write_text(
        "import json, os, signal, sys\n"
        'print(json.dumps({"runs": [0.1, 0.1, 0.1], "peak": None}), flush=True)\n'
        'if json.loads(sys.argv[1])["provider"] == "cpu":\n'
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        'print(json.dumps({"problem": "it cannot"}), flush=True)\n'
    )
    monkeypatch.setattr(sweep, "WORKER", worker)
    options = SweepOptions(seconds=(1.0,), batches=(1, 2), threads=(1,), providers=("cpu", "openvino"))
    result = Sweep(Bundle.read(digits["fp16"]), options).run(_Step)
    notes = {(row["provider"], row["batch"]): row["note"] for row in result["rows"]}
    assert notes == {
        ("cpu", 1): None,
        ("cpu", 2): "not measured: ended by SIGKILL, as where memory runs out",
        ("openvino", 1): None,
        ("openvino", 2): "it cannot",
    }
    assert "it cannot" in render(result)


class _Step:
    def __init__(self, title: str) -> None:
        self.title = title

    def __enter__(self):
        return lambda doing: None

    def __exit__(self, *error: object) -> None:
        return None


def row(precision: str, milliseconds: float, spread: float = 0.01, **more: object) -> dict:
    values = {"provider": "cpu", "precision": precision, "threads": 1, "seconds": 10.0, "batch": 1, "note": None}
    measured = {"milliseconds": milliseconds, "times_real_time": 1e4 / milliseconds, "peak_megabytes": 100}
    return {**values, **measured, "spread": spread, **more}


def test_the_recommendation_is_the_fastest_and_of_those_alike_the_most_exact():
    found = recommend.recommended([row("fp32", 900.0), row("bf16", 102.0), row("int8", 100.0)])["latency"]
    assert found["precision"] == "bf16"
    assert "the most exact of 2 settings within 5 % of the fastest" in found["reason"]
    assert "the next (cpu, fp32, 1 threads) takes 8.82 times as long" in found["reason"]
    assert (
        recommend.recommended([row("fp32", 900.0), row("bf16", 110.0), row("int8", 100.0)])["latency"]["precision"]
        == "int8"
    )


def test_the_most_audio_a_second_may_be_with_several_clips():
    rows = [row("fp32", 100.0), row("fp32", 150.0, batch=4, times_real_time=266.0)]
    found = recommend.recommended(rows)
    assert found["latency"]["batch"] == 1
    assert found["throughput"]["batch"] == 4


def test_what_lacks_a_length_is_not_recommended():
    failed = row("int8", 1.0, seconds=20.0, note="it cannot")
    rows = [row("fp32", 100.0), row("fp32", 200.0, seconds=20.0), row("int8", 1.0), failed]
    assert recommend.recommended(rows)["latency"]["precision"] == "fp32"
    assert recommend.recommended([failed]) == {}


def test_a_busy_machine_is_said():
    calm = [row("fp32", 100.0)] * 7
    assert recommend.untrusted([*calm, row("fp32", 100.0, spread=0.5)]) is None  # one by chance
    said = recommend.untrusted([*calm[:2], *[row("fp32", 100.0, spread=0.5)] * 2])
    assert said is not None
    assert said.startswith("the spread is too wide to trust: in 2 of 4 measurements")


def test_the_threads_are_those_that_were_asked_for(digits, tmp_path, monkeypatch):
    worker = tmp_path / "worker.py"
    worker.write_text(
        "import json, os, sys\n"
        'cores = json.loads(sys.argv[1])["cores"]\n'
        'print(json.dumps({"problem": f"{len(cores)} {os.environ[\'OMP_NUM_THREADS\']}"}), flush=True)\n'
    )
    monkeypatch.setattr(sweep, "WORKER", worker)
    cores = len(os.sched_getaffinity(0))
    options = SweepOptions(seconds=(1.0,), batches=(1,), providers=("cpu",))
    result = Sweep(Bundle.read(digits["fp16"]), options).run(_Step)
    assert [row["note"] for row in result["rows"]] == [f"{count} {count}" for count in dict.fromkeys((1, cores))]


def test_options_that_cannot_be_are_errors_in_python_too(digits):
    with pytest.raises(OptionError, match="--threads must be 1 to"):
        Sweep(Bundle.read(digits["fp16"]), SweepOptions(threads=(0,)))
