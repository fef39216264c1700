"""benchmarks/compare.py, as far as it can be told without the peers: what fails, hangs or is wrong costs its own row
and says so, and the tables say what the samples say.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from support.paths import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

from peers import models, registry, table
from peers.models import Cell, Subject, made
from peers.registry import Peer, Variant
from peers.rounds import Rounds, judged

RIGHT = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
# Gives what is right, or fails in the way that its variant says.
FAKE = """
import os, time
import numpy as np

def make(checkpoint, target, name, shapes):
    if name == "unmade":
        raise ValueError("first line\\nsecond line")
    (target / "model").write_text(str(shapes))

class Engine:
    def __init__(self, checkpoint, target, settings):
        self.way = settings["way"]
        if self.way == "unloaded":
            raise OSError("no such model")

    def prepare(self, clips):
        print("{}", clips[0].samples.shape)
        self.runs = 0
        return clips

    def run(self, clips):
        self.runs += 1
        if self.way == "abort" and self.runs > 1:
            os.abort()
        if self.way == "hang":
            time.sleep(600)
        right = np.load({right!r})
        return [right * (1.5 if self.way == "wrong" else 1.0)]
"""
WAYS = ("right", "wrong", "abort", "hang", "unloaded")


@pytest.fixture
def fakes(tmp_path, monkeypatch) -> Subject:
    """Peers that fail, and a model whose clips and logits are there."""
    right, file = tmp_path / "right.npy", tmp_path / "run_fake.py"
    np.save(right, RIGHT)
    file.write_text(FAKE.replace("{right!r}", repr(str(right))))
    variants = {way: Variant("fp32", settings=(("way", way),)) for way in WAYS}
    variants["one length"] = Variant("fp32", settings=(("way", "right"),), only="one")
    monkeypatch.setitem(registry.PEERS, "fake", Peer(str(file), None, variants))
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    (tmp_path / "model-1" / "clips").mkdir(parents=True)
    for cell in (Cell(1, 1), Cell(1, 2)):
        arrays = {
            f"{kind}_{i}": np.zeros(16000, np.float32) for i in range(cell.batch) for kind in ("samples", "values")
        }
        np.savez(tmp_path / "model-1" / "clips" / f"{cell.name}.npz", **arrays)
    return Subject("model", 1)


def rounds(subject: Subject, *ways: str) -> Rounds:
    peer = registry.PEERS["fake"]
    jobs = {
        ("fake", way): {
            "file": peer.file, "checkpoint": "", "target": "", "cores": [0], "given": {"threads": 1},
            "settings": dict(peer.variants[way].settings),
        }
        for way in ways
    }  # fmt: skip
    return Rounds(subject, 1 << 20, jobs, limit=4, rest=0)


def test_what_fails_costs_its_own_row_and_says_so(fakes):
    timed = rounds(fakes, *WAYS)
    try:
        rows = {row["variant"]: row for row in timed.run(Cell(1, 1), [RIGHT], 4, lambda text: None)}
        again = {row["variant"]: row for row in timed.run(Cell(1, 1), [RIGHT], 3, lambda text: None)}
    finally:
        timed.close()
    assert len(rows["right"]["samples"]) == 4
    assert len(again["right"]["samples"]) == 3
    assert again["abort"]["problem"] == rows["abort"]["problem"]  # started anew, for another cell
    assert rows["right"]["difference"] == 0
    assert rows["right"]["installed"] > 1e6  # numpy
    assert "problem" not in rows["right"]
    assert rows["wrong"]["problem"].startswith("wrong: 5.0e-01 from PyTorch")
    assert rows["wrong"]["samples"] == []
    assert rows["abort"]["problem"].startswith("ended by SIGABRT")
    assert rows["hang"]["problem"] == "stopped after 4 s without an answer"
    assert rows["unloaded"]["problem"] == "start: OSError: no such model"


def test_what_is_made_for_one_length_is_not_given_several(fakes):
    timed = rounds(fakes, "one length")
    try:
        (row,) = timed.run(Cell(1, 2), [RIGHT, RIGHT], 1, lambda text: None)
    finally:
        timed.close()
    assert row["problem"] == "not run: made for one length, or compiled anew for each"
    variants = registry.PEERS["fake"].variants
    variants["several"] = Variant("fp32", settings=(("way", "right"),), only="several")
    assert rounds(fakes, "several").run(Cell(1, 1), [RIGHT], 1, lambda text: None) == []


def test_a_model_that_cannot_be_made_is_one_line_and_leaves_nothing(fakes, monkeypatch):
    job = {"checkpoint": "", "cores": [0], "given": {"threads": 1}}
    monkeypatch.setattr(models, "_sources", lambda peer: "the same")
    assert made(fakes, "fake", "unmade", [Cell(1, 1)], job, 60)["problem"] == "make: ValueError: first line"
    assert not (fakes.folder / "fake, unmade").exists()
    first = made(fakes, "fake", "model", [Cell(1, 1)], job, 60)
    assert first["size"] > 0
    assert made(fakes, "fake", "model", [Cell(1, 1)], job, 60) == first
    monkeypatch.setattr(models, "_sources", lambda peer: "another")
    assert made(fakes, "fake", "model", [Cell(1, 1)], job, 60)["wall"] != first["wall"]


def test_a_text_is_judged_by_its_letters(tmp_path):
    logits = np.full((6, 32), -1.0, np.float32)
    for frame, token in enumerate((5, 5, 0, 5, 4, 6)):  # e, repeated, blank, e, a space, t
        logits[frame, token] = 1
    output = tmp_path / "output.npz"
    output.with_suffix(".json").write_text('["EE T"]')
    assert judged(output, [logits], "fp32") == {"agreement": 1.0}
    output.with_suffix(".json").write_text('["nonsense"]')
    assert judged(output, [logits], "fp32")["problem"].startswith("wrong: 'nonsense'")


def row(peer: str, variant: str, precision: str, samples: list[float], **more: object) -> dict:
    return {"peer": peer, "variant": variant, "precision": precision, "samples": samples, "made": "", **more}


def test_tables_have_ratios_spread_and_share_of_the_limit():
    near, far = {"difference": 1e-3, "agreement": 1.0}, {"difference": 5e-2, "agreement": 0.9}
    rows = [
        row("transformers", "eager", "fp32", [2.0, 2.0, 2.0], difference=0.0, agreement=1.0),
        row("openvino", "nncf int8", "int8", [0.5, 0.5, 0.5], **near),
        row("ours", "openvino fp32", "fp32", [1.0, 1.0, 1.0], **near),
        row("ours", "openvino int8", "int8", [0.4, 0.4, 0.8], **far),
        {"peer": "optimum", "variant": "onnxruntime", "precision": "fp32", "problem": "make: it cannot"},
    ]
    cell = {
        "model": "m", "layers": 6, "cell": "10 s", "threads": 2, "operations": 4e11, "rows": rows,
        "bytes": dict.fromkeys(("fp32", "bf16", "int8"), 1e9),
    }  # fmt: skip
    rates = {"fp32": 8e11, "bf16": 2e12, "int8": 4e12}
    floor = {"2": {"rates": rates, "copy": 1e10}}
    device = {"processor": "a processor", "cores": 2, "memory": 24e9}
    about = {"device": device, "versions": {"torch": "2"}, "command": "it", "date": "today", "load": 0.0, "models": []}
    shown = table.machine_lines({**about, "floor": floor})
    assert "with 2 threads: products, 10^12 operations a second: fp32 0.80, bf16 2.00, int8 4.00; copying 10" in shown
    shown = table.cell_table({"floor": floor}, cell)
    lines = {line.split(" | ")[0].strip("| "): line for line in shown.splitlines()}
    assert "| 1000 ms | 1000 ms | 0 % | 0.50 (0.50–0.50) | 1.0e-03 | 100.0 % | 50 % |" in lines["ours openvino fp32"]
    assert "100 % (wide)" in lines["ours openvino int8"]
    assert "make: it cannot" in lines["optimum onnxruntime"]
    # No ratio without a difference that is as small: that of int8 is larger than the peer's.
    standing = dict(re.findall(r"- (.*): (.*)", shown))
    assert standing["any precision, best of ours beside the best peer"].startswith("0.80 (0.80–1.60)")
    assert standing["any precision, best of ours that is no further from PyTorch than it"].startswith("2.00")
    assert standing["fp32, best of ours beside the best peer"].startswith("0.50")
    assert standing["int8 in ONNX Runtime beside the plain export in fp32"] == "nothing to compare"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--peer", "nobody"], "--peer: unknown peer 'nobody'; known: transformers"),
        (["--peer", "ours/cpu fp3"], "--peer: unknown variant 'cpu fp3' of ours; known: cpu fp32"),
        (["--seconds", "31"], "--seconds must be 1 to 30, got 31"),
        (["--batch", "0"], "--batch must be 1 to 8, got 0"),
        (["--threads", "1000"], "--threads must be 1 to"),
    ],
)
def test_bad_options_are_one_line(arguments, problem):
    command = [sys.executable, str(ROOT / "benchmarks" / "compare.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert problem in done.stderr.splitlines()[-1]


def test_every_peer_has_its_file_and_its_pins():
    for peer in registry.PEERS.values():
        assert (registry.HERE / peer.file).is_file()
        if peer.environment is not None:
            pins = (registry.HERE / f"{peer.environment}.txt").read_text().splitlines()
            assert all("==" in line for line in pins if not line.startswith("#"))
    assert {Path(file).name for file in registry.HERE.glob("run_*.py")} == {p.file for p in registry.PEERS.values()}
