"""Graphs judged on the user's own recordings, and on the words that are heard in them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from support.oracle import tiny
from support.paths import DEMO_AUDIO, TRANSCRIPTS
from support.recordings import record, refused
from w2vc_exporter import ExportOptions, RejectedError, cli, export
from w2vc_exporter.precision.fitting import Fitting
from w2vc_runtime import load
from w2vc_runtime.bundle import Bundle, CertifiedAudio
from w2vc_runtime.cli import main as run_cli
from w2vc_runtime.sessions.onnx_runtime import OnnxRuntimeSession
from w2vc_runtime.verify.error_rate import ErrorRates, error_rates
from w2vc_runtime.verify.parity import verify
from w2vc_runtime.verify.reference import Expected, Reference
from w2vc_runtime.verify.verdict import Budget, WordErrors, error_percent, percent_text

SAMPLES = {"first.wav": 17011, "second.wav": 9001, "third.wav": 17011, "fourth.wav": 30001, "fifth.wav": 12007}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Recordings of noise, in which a network with random weights hears much; none as long as a case of the gate."""
    folder = tmp_path_factory.mktemp("audio") / "calls"
    folder.mkdir()
    generator = np.random.default_rng(7)
    for name, samples in SAMPLES.items():
        soundfile.write(folder / name, 0.1 * generator.standard_normal(samples), 16000)
    return folder


@pytest.fixture(scope="module")
def spoken(corpus, tmp_path_factory) -> Path:
    """The same with transcripts: what PyTorch hears, or a graph that equals it."""
    folder = tmp_path_factory.mktemp("spoken") / "calls"
    folder.mkdir()
    bundle = export(ExportOptions(tiny()[1], output=folder.parent / "bundle")).bundle
    model = load(bundle, "cpu")
    for name in SAMPLES:
        (folder / name).symlink_to(corpus / name)
        (folder / name).with_suffix(".txt").write_text(model(corpus / name).text)
    return folder


def options(precision: str, corpus: Path, budget: str, target: Path) -> ExportOptions:
    return ExportOptions(tiny()[1], precision=precision, audio=corpus, budget=budget, output=target)


def test_recordings_are_cases_of_the_gate(corpus, tmp_path):
    result = export(ExportOptions(tiny()[1], audio=corpus, output=tmp_path / "b"))
    verdict = result.verdicts["fp32"]
    padded = "padded fifth.wav, first.wav, fourth.wav"
    rows = {row.case: row for row in verdict.rows if row.recorded}
    assert list(rows) == [*sorted(SAMPLES), padded]
    assert rows["second.wav"].seconds == round(9001 / 16000, 4)
    assert rows[padded].batch == 3
    assert all(0 < row.choices >= row.same for row in rows.values())
    assert verdict.word_errors is None
    (stored,) = result.manifest.verification.values()
    seconds = round(sum(SAMPLES.values()) / 16000, 2)
    assert stored.audio == CertifiedAudio("calls", 5, seconds)
    assert stored.material == "noise shaped like speech, seed 0, and 5 recordings in calls"
    assert f"{len(stored.cases) - 6} cases of noise and 6 of recordings in calls" in stored.summary
    for file in ("manifest.json", "report.json", "report.html"):
        assert str(corpus) not in (tmp_path / "b" / file).read_text()
    assert "fourth.wav" in (tmp_path / "b" / "report.html").read_text()
    assert run_cli.main(["verify", str(tmp_path / "b"), "--provider", "cpu"]) == 0  # on the noise, which it holds


def test_a_bundle_says_that_no_recordings_were_judged(digits):
    stored = Bundle.read(digits["fp16"]).manifest.verification["fp16"]
    assert stored.audio is None
    assert stored.material == "noise shaped like speech, seed 0; no recordings"
    assert f"{len(stored.cases)} cases of noise and no recordings" in stored.summary


@pytest.mark.parametrize(
    ("cell", "padding"),
    [
        (("conformer-none", "group", "pretraining", "plain"), "hf-exact"),
        (("bert-rotary", "log-mel", "frame-classification", "plain"), "padding-invariant"),
        (("wav2vec2", "layer", "sequence-classification", "plain"), "padding-invariant"),
    ],
    ids=lambda value: value[2] if isinstance(value, tuple) else value,
)
def test_recordings_of_every_head(cell, padding, corpus, tmp_path):
    checkpoint = tiny(*cell, brief=True)[1]
    result = export(ExportOptions(checkpoint, cell[2], audio=corpus, padding=padding, output=tmp_path / "b"))
    assert sum(row.recorded for row in result.verdicts["fp32"].rows) == 6


def garbled(monkeypatch, samples: int, shift: int) -> None:
    """Graphs that mistake one token for another, in a clip of one length."""
    intact = OnnxRuntimeSession.run

    def run(session, inputs):
        outputs = intact(session, inputs)
        if inputs["input_values"].shape != (1, samples):
            return outputs
        return {name: np.roll(value, shift, -1) for name, value in outputs.items()}

    monkeypatch.setattr(OnnxRuntimeSession, "run", run)


def test_what_is_wrong_on_recordings_alone_is_rejected(corpus, spoken, tmp_path, monkeypatch, capsys):
    garbled(monkeypatch, SAMPLES["second.wav"], 5)
    arguments = [str(tiny()[1]), "--head", "ctc", "-o", str(tmp_path / "b")]
    assert cli.main([*arguments, "--audio", str(spoken), "--budget", "difference=9,tokens=0%"]) == 1
    shown = capsys.readouterr()
    assert "w2vc-export: not published: fp32, the word error rate on the recordings is" in shown.err
    assert "points above PyTorch's, 0.1 are allowed" in shown.err
    assert [path.name for path in tmp_path.iterdir()] == ["b.rejected"]
    report = json.loads((tmp_path / "b.rejected" / "report.json").read_text())["precisions"]["fp32"]
    assert not report["passed"]
    assert report["audio"]["reference_error_percent"] == 0.0
    assert report["audio"]["error_percent"] > 1

    with pytest.raises(RejectedError, match=r"not published: fp32, second.wav: differs by"):
        export(ExportOptions(tiny()[1], audio=corpus, output=tmp_path / "b"))
    assert export(ExportOptions(tiny()[1], output=tmp_path / "b")).bundle.is_dir()  # noise does not show it


def test_choices_on_recordings_are_not_diluted_by_those_on_noise():
    logits = np.eye(10, dtype=np.float32)[np.arange(1000) % 10]
    wrong = logits.copy()
    wrong[[3, 30]] = wrong[[4, 31]]
    cases = [
        Reference("noise", (logits,), 20.0, {"x": logits}, {"logits": (Expected.whole(logits),)}),
        Reference("call.wav", (logits,), 1.0, {"x": wrong[:50]}, {"logits": (Expected.whole(logits[:50]),)}, "calls"),
    ]
    session = SimpleNamespace(run=lambda inputs: {"logits": inputs["x"][None]})
    verdict = verify(session, cases, Budget(9, 0.97, 0), "logits")
    assert verdict.same == 0.96
    assert verdict.problems == ("96.00 % of the choices are the same, 97 % is required",)
    assert not verify(session, cases, Budget(9, 0.95, 0), "logits").problems


@pytest.fixture(scope="module")
def unbounded(spoken, tmp_path_factory):
    """int8 at any cost."""
    target = tmp_path_factory.mktemp("unbounded") / "b"
    return export(options("int8", spoken, "difference=9,tokens=0%,wer=999", target))


@pytest.mark.parametrize(("budget", "limit"), [("tokens=0%,wer=+0", "wer_rise"), ("tokens=100%,wer=99", "changed")])
def test_layers_are_kept_for_words_and_choices_alone(budget, limit, spoken, unbounded, tmp_path):
    assert getattr(unbounded.verdicts["int8"], limit) > 0
    assert not unbounded.manifest.graphs[0].kept
    result = export(options("int8", spoken, f"difference=9,{budget}", tmp_path / "b"))
    assert getattr(result.verdicts["int8"], limit) == 0
    assert result.manifest.graphs[0].kept[-1].reason.startswith("int8 costs the most in ")


def test_error_rates_of_the_demo_recordings(tmp_path):
    folder = tmp_path / "demo"
    folder.mkdir()
    said = TRANSCRIPTS
    lines = ["file_name,transcription"]
    for number, (name, text) in enumerate(said.items()):
        (folder / name).symlink_to(DEMO_AUDIO / name)
        lines.append(f'{name},"{"Nought" if number == 0 else "And"}, {text.upper()}!"')
    (folder / "metadata.csv").write_text("\n".join(lines))
    result = export(ExportOptions("digits", precision="fp16", audio=folder, output=tmp_path / "b"))
    words = sum(len(text.split()) + 1 for text in said.values())
    model = load(result.bundle, "cpu")
    rates = error_rates([(f"{'Nought' if n == 0 else 'And'} {t}", model(DEMO_AUDIO / name).text)
                         for n, (name, t) in enumerate(said.items())])  # fmt: skip
    assert rates.wer == pytest.approx(3 / words)
    heard = result.verdicts["fp16"].word_errors
    assert (heard.words, heard.graph, heard.reference) == (words, rates, rates)
    rate = percent_text(error_percent(3 / words))
    assert f"word error rate {rate} (PyTorch {rate}, allowed +0.2 points)" in cli.summary(result)


def test_a_rise_as_large_as_allowed_is_allowed():
    heard = WordErrors(1000, ErrorRates(0.011, 0.0), ErrorRates(0.013, 0.0))
    assert heard.wer_rise == 0.2


def test_recordings_to_calibrate_on_reach_the_fitting(corpus, tmp_path, monkeypatch):
    seen = {}

    class Stopped(Exception):
        pass

    def fit(fitting):
        seen["lengths"] = [each["input_values"].shape for each in fitting.calibration]
        raise Stopped

    monkeypatch.setattr(Fitting, "fit", fit)
    with pytest.raises(Stopped):
        export(ExportOptions(tiny()[1], precision="int8", calibrate=corpus, output=tmp_path / "b"))
    assert seen["lengths"] == [(1, SAMPLES[name]) for name in sorted(SAMPLES)]


def test_recordings_to_calibrate_on_are_refused(corpus, tmp_path, capsys):
    base = [tiny()[1], "--head", "ctc", "-o", tmp_path / "out"]
    line = refused(capsys, *base, "--precision", "fp32,fp16", "--calibrate", corpus)
    assert line == "w2vc-export: recordings to calibrate on are for precision int8, and fp32,fp16 is asked for\n"
    line = refused(capsys, *base, "--precision", "fp32,int8", "--calibrate", tmp_path / "gone")
    assert "gone is not a directory; expected one of recordings" in line
    assert list(tmp_path.iterdir()) == []


def test_budgets_and_heads_at_odds_with_the_recordings(corpus, spoken, tmp_path, capsys):
    base = [tiny()[1], "-o", tmp_path / "out"]
    ctc, words = ["--head", "ctc"], ["--budget", "wer=+0.2"]
    needed = "a budget for wer needs recordings with transcripts, and"
    assert f"{needed} there is no --audio DIR" in refused(capsys, *base, *ctc, *words)
    assert f"{needed} {corpus} has none" in refused(capsys, *base, *ctc, *words, "--audio", corpus)
    line = refused(capsys, *base, "--head", "base", "--audio", spoken)
    assert f"{spoken} has transcripts, and head 'base' gives no text; take head 'ctc'" in line
    record(tmp_path / "short" / "tick.wav", seconds=0.02)
    assert "tick.wav is too short" in refused(capsys, *base, *ctc, "--audio", tmp_path / "short")
    assert [path.name for path in tmp_path.iterdir()] == ["short"]
