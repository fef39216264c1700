"""Hostile bundles come to a right answer or to one line; a sample by default, all with ``W2VC_HOSTILE=all``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from support.hostile import archives, bundles, harness, manifests
from support.hostile.harness import Bundle

ALL = os.environ.get("W2VC_HOSTILE") == "all"


@pytest.fixture(scope="module")
def bundle(digits, tmp_path_factory) -> Bundle:
    return Bundle.of(digits["fp32"], tmp_path_factory.mktemp("hostile"))


def test_edited_manifests(bundle, tmp_path):
    assert len(list(manifests.inputs([bundle]))) == manifests.COUNT
    count = manifests.COUNT if ALL else 100
    assert harness.tally("edited manifests", manifests.attempts([bundle], count, tmp_path)) == 0


def test_damaged_bundles(bundle, tmp_path):
    assert len(bundles.inputs(bundle)) + bundles.PLACES == bundles.COUNT
    assert harness.tally("damaged bundles", bundles.attempts([bundle], tmp_path, 1 if ALL else 5)) == 0


def test_archives_and_graphs(bundle, tmp_path):
    assert len(archives.inputs(bundle)) == archives.COUNT
    assert harness.tally("archives and graphs", archives.attempts([bundle], tmp_path, 1 if ALL else 3)) == 0


def opens(path: Path):
    return lambda arguments: path.read_bytes() and 0


def writes(arguments):
    os.write(1, b"noise")
    return 0


def prints(arguments):
    print("a warning", file=sys.stderr)
    return 0


def fails(arguments):
    return 3


@pytest.mark.parametrize(
    ("main", "fault"),
    [
        (fails, "ended with 3"), (writes, "native libraries wrote 'noise'"), (prints, "wrote 'a warning'"),
        (lambda arguments: 2, "without a word"), (lambda arguments: os.system("true"), "os.system"),
    ],
)  # fmt: skip
def test_the_harness_sees_what_must_not_be(main, fault, tmp_path):
    assert fault in str(harness.attempt(main, [], [tmp_path]).fault)


def test_the_harness_sees_what_is_opened(bundle, tmp_path):
    (tmp_path / "inside").write_text("a")
    assert harness.attempt(opens(tmp_path / "inside"), [], [tmp_path]).fault is None
    secret = bundle.outside / "model.onnx"
    assert str(secret) in str(harness.attempt(opens(secret), [], [tmp_path]).fault)
    onnxruntime = pytest.importorskip("onnxruntime")

    def native(arguments):
        onnxruntime.InferenceSession(str(secret), providers=["CPUExecutionProvider"])
        return 0

    assert "by whomever" in str(harness.attempt(native, [], [tmp_path], bundle.outside).fault)


def test_signing_is_what_the_exporter_does(bundle, tmp_path):
    copy = bundle.copy(tmp_path / "copy").path
    before = json.loads((copy / "manifest.json").read_text()), json.loads((copy / "report.json").read_text())
    harness.sign(copy)
    assert before == (json.loads((copy / "manifest.json").read_text()), json.loads((copy / "report.json").read_text()))
