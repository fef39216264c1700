"""Beam search, language models and alignment through commands, models and bundles."""

from __future__ import annotations

import csv
import io
import json
import sys

import pytest

from support.commands import refused
from support.paths import DEMO_AUDIO, TRANSCRIPTS
from w2vc_exporter import ExportOptions, export
from w2vc_exporter import cli as export_cli
from w2vc_runtime import OptionError, load
from w2vc_runtime.bundle import Bundle
from w2vc_runtime.chunking.plan import ChunkOptions
from w2vc_runtime.cli import main as cli
from w2vc_runtime.decoding import BeamOptions

pytest.importorskip("w2vc_native", reason="w2vc-native is not installed: pip install runtime/cpp/python")
NAME = "seven-two-nine.flac"
AUDIO = DEMO_AUDIO / NAME
# Of one order, in ARPA: "nine" is all that is ever said.
NINES = "\\data\\\nngram 1=4\n\n\\1-grams:\n-3\t<unk>\n0\t<s>\n-1\t</s>\n-0.1\tnine\n\n\\end\\\n"


@pytest.fixture
def arpa(tmp_path):
    path = tmp_path / "nines.arpa"
    path.write_text(NINES)
    return path


def test_beam_search_reads_the_recordings(digits):
    greedy = load(digits["fp32"], "cpu")
    beam = load(digits["fp32"], "cpu", decoder="beam")
    for name, text in TRANSCRIPTS.items():
        one, other = greedy(DEMO_AUDIO / name), beam(DEMO_AUDIO / name)
        assert one.text == other.text == text
        for word, found in zip(one.words, other.words, strict=True):
            assert found.text == word.text
            # Within a frame: the search has the best path of a text, and greedy decoding the best path of all.
            assert (found.start, found.end) == pytest.approx((word.start, word.end), abs=0.021)
        assert (one.alternatives, [each.text for each in other.alternatives]) == ((), [text])


def test_a_recording_in_chunks_is_searched_as_a_whole(digits):
    model = load(digits["fp32"], "cpu", decoder="beam")
    assert model.chunked(AUDIO, ChunkOptions(1.5, 0.5)).text == TRANSCRIPTS[NAME]


def test_the_command_takes_its_options(digits, arpa, capsys):
    command = ["run", str(digits["fp32"]), str(AUDIO), "--provider", "cpu", "--decoder", "beam", "--format", "json"]
    assert cli.main([*command, "--nbest", "3"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["alternatives"][0]["text"] == shown["text"] == TRANSCRIPTS[NAME]
    wide = BeamOptions(nbest=3, token_min_logp=-100, beam_prune_logp=-100)
    scores = [each.score for each in load(digits["fp32"], "cpu", decoder="beam", beam=wide)(AUDIO).alternatives]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 3
    assert shown["alternatives"][0]["score"] == pytest.approx(
        sum(shown["alternatives"][0][name] for name in ("acoustic_score", "language_score")), abs=2e-4
    )
    assert cli.main([*command, "--lm", str(arpa), "--hotword", "nine=30", "--beam-width", "50"]) == 0
    assert "nine" in json.loads(capsys.readouterr().out)["text"]


def test_what_cannot_be_searched_is_one_line(digits, arpa, tmp_path, capsys, monkeypatch):
    run = ["run", digits["fp32"], AUDIO, "--provider", "cpu"]
    assert "are for decoder 'beam'; ask for it" in refused(capsys, cli.main, *run, "--lm", arpa)
    assert "is not WORD=WEIGHT, such as" in refused(capsys, cli.main, *run, "--decoder", "beam", "--hotword", "nine")
    line = refused(capsys, cli.main, *run, "--decoder", "beam", "--lm", tmp_path / "none.arpa")
    assert "there is no language model; expected a file" in line
    keywords = export(ExportOptions("keywords", output=tmp_path / "keywords")).bundle
    with pytest.raises(OptionError, match="decoder 'beam' is for head 'ctc'; this bundle has head 'sequence-class"):
        load(keywords, "cpu", decoder="beam")
    with pytest.raises(OptionError, match="alignment is for head 'ctc'"):
        load(keywords, "cpu").align(AUDIO, "seven")
    with pytest.raises(OptionError, match="unknown decoder 'best'; known: greedy, beam"):
        load(digits["fp32"], "cpu", decoder="best")
    monkeypatch.setitem(sys.modules, "w2vc_native", None)
    fault = "needs w2vc-native, which is not installed; pip install 'w2vc[beam]'"
    assert fault in refused(capsys, cli.main, *run, "--decoder", "beam")
    assert fault in refused(capsys, cli.main, "align", digits["fp32"], AUDIO, "seven two nine")


def test_a_bundle_has_its_language_model(arpa, tmp_path, capsys):
    command = ["digits", "--lm", str(arpa), "-o", str(tmp_path / "bundle")]
    assert export_cli.main(command) == 0
    bundle = Bundle.read(tmp_path / "bundle")
    assert "lm/language_model/model.lm" in bundle.manifest.files
    bundle.check()
    plain = load(bundle.path, "cpu", decoder="beam", beam=BeamOptions(alpha=0.0, nbest=2))(AUDIO)
    own = load(bundle.path, "cpu", decoder="beam", beam=BeamOptions(nbest=2))(AUDIO)
    assert plain.alternatives[0].language_score != own.alternatives[0].language_score
    assert export_cli.main([*command, "--force"]) == 0  # it is a bundle as others are
    capsys.readouterr()
    (tmp_path / "no.arpa").write_text("no model")
    line = refused(capsys, export_cli.main, "digits", "--lm", tmp_path / "no.arpa", "-o", tmp_path / "b")
    assert "expected an ARPA language model" in line
    with pytest.raises(OptionError):
        export(ExportOptions("digits", lm=tmp_path / "none", output=tmp_path / "c"))
    assert not (tmp_path / "c").exists()


def test_a_text_is_aligned_from_the_command(digits, capsys):
    bundle, audio, text = str(digits["fp32"]), str(AUDIO), "SEVEN [six] TWO NINE"
    greedy = load(digits["fp32"], "cpu")(AUDIO)
    command = ["align", bundle, audio, text, "--provider", "cpu"]
    assert cli.main([*command, "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [word["text"].lower() for word in shown["words"]] == [word.text for word in greedy.words]
    for word, heard in zip(shown["words"], greedy.words):
        assert word["start"] == pytest.approx(heard.start, abs=0.1)
        assert word["end"] == pytest.approx(heard.end, abs=0.1)
        assert 0 < word["confidence"] <= 1
    assert cli.main(command) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert cli.main([*command, "--format", "csv"]) == 0
    assert next(csv.reader(io.StringIO(capsys.readouterr().out))) == ["start", "end", "text", "confidence"]
    assert "frames" in refused(capsys, cli.main, "align", bundle, audio, "seven " * 100, "--provider", "cpu")
