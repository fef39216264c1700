"""Beam search and alignment by the rules of a manifest, and language models as users have them."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from w2vc_runtime.bundle import Ctc
from w2vc_runtime.decoding.align import Aligner
from w2vc_runtime.decoding.beam import BeamDecoder, BeamOptions
from w2vc_runtime.decoding.greedy import GreedyDecoder
from w2vc_runtime.decoding.language_model import LanguageModelFiles, find_language_model, open_language_model, pack
from w2vc_runtime.errors import InferenceError, MissingExtraError, OptionError

native = pytest.importorskip("w2vc_native", reason="w2vc-native is not installed: pip install runtime/cpp/python")

from decoding.ngrams import estimate, write_arpa  # noqa: E402

TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
RULES = Ctc(TOKENS, 0, "|", special_tokens=("<pad>", "<s>", "</s>", "<unk>"))
SENTENCES = [["TWO", "SEVEN"], ["SEVEN", "NINE"], ["ONE"], ["TWO", "ONE", "NINE"]]


@pytest.fixture
def arpa(tmp_path):
    return write_arpa(tmp_path / "lm.arpa", estimate(SENTENCES, 3))


def spell(text, doubts=()):
    """Logits that spell a text; doubts: (place, letter), which is nearly as likely there."""
    path = [token for letter in text for token in (TOKENS.index(letter), 0)]
    logits = np.zeros((len(path), len(TOKENS)), np.float32)
    logits[np.arange(len(path)), path] = 9.0
    for place, letter in doubts:
        logits[2 * place, TOKENS.index(letter)] = 8.0
    return logits


def processor(tmp_path, arpa, **changes):
    """The directory of a Wav2Vec2ProcessorWithLM."""
    shown = {"<pad>": "", "|": " ", "<unk>": "⁇"}
    content = {
        "alphabet.json": {"labels": [shown.get(token, token) for token in TOKENS], "is_bpe": False},
        "language_model/attrs.json": {"alpha": 0.7, "beta": 1.0, "unk_score_offset": -5.0, "score_boundary": True},
        "language_model/unigrams.txt": "ONE\nTWO\nSEVEN\nNINE\n",
        "language_model/lm.arpa": arpa.read_text(),
        **changes,
    }
    directory = tmp_path / "processor"
    (directory / "language_model").mkdir(parents=True)
    for name, value in content.items():
        if value is not None:
            (directory / name).write_text(value if isinstance(value, str) else json.dumps(value))
    return directory


def test_without_doubt_it_reads_what_greedy_reads():
    logits = spell("TWO|SEVEN")
    greedy = GreedyDecoder(RULES).decode(logits)
    (reading,) = BeamDecoder(RULES).hypotheses(logits)
    assert reading.text == greedy.text == "TWO SEVEN"
    for own, other in zip(reading.words, greedy.words, strict=True):
        assert (own.text, own.start, own.end) == (other.text, other.start, other.end)
        assert own.confidence == pytest.approx(other.confidence, abs=1e-5)


def test_a_language_model_and_hotwords_decide_doubts(arpa):
    logits = spell("TWA", [(2, "O")])
    assert BeamDecoder(RULES).hypotheses(logits)[0].text == "TWA"
    for model in (find_language_model(arpa), LanguageModelFiles(arpa, unigrams=("TWO",))):
        assert BeamDecoder(RULES, language_model=model).hypotheses(logits)[0].text == "TWO"
    assert BeamDecoder(RULES, BeamOptions(hotwords={"TWO": 5.0})).hypotheses(logits)[0].text == "TWO"
    readings = BeamDecoder(RULES, BeamOptions(nbest=2)).hypotheses(logits)
    assert [reading.text for reading in readings] == ["TWA", "TWO"]
    assert readings[0].scores.total == readings[0].scores.acoustic + readings[0].scores.language


def test_a_processor_is_read_as_it_is(tmp_path, arpa):
    found = find_language_model(processor(tmp_path, arpa))
    assert (found.alpha, found.beta, found.unk_score_offset, found.score_boundary) == (0.7, 1.0, -5.0, True)
    assert found.unigrams == ("ONE", "TWO", "SEVEN", "NINE")
    assert (found.labels[0], found.labels[4]) == ("", " ")
    logits = spell("TWA", [(2, "O")])
    reading = BeamDecoder(RULES, language_model=found).hypotheses(logits)[0]
    expected = native.Decoder(
        list(found.labels), blank=0, delimiter=" ", language_model=native.LanguageModel(str(arpa)),
        unigrams=list(found.unigrams), alpha=0.7, beta=1.0, unk_score_offset=-5.0,
    ).decode(logits)[0]  # fmt: skip
    assert (reading.text, reading.scores.total) == (expected.text, pytest.approx(expected.score))
    other = BeamDecoder(RULES, BeamOptions(alpha=0.1), found).hypotheses(logits)[0]
    assert other.scores.total != reading.scores.total
    inner = find_language_model(tmp_path / "processor" / "language_model")
    assert (inner.alpha, inner.labels) == (0.7, None)


def test_a_packed_model_decodes_alike(tmp_path, arpa):
    found = find_language_model(processor(tmp_path, arpa))
    pack(found, tmp_path / "packed")
    again = find_language_model(tmp_path / "packed")
    assert again.model.name == "model.lm"
    assert again.model.read_bytes()[:8] == b"w2vc-lm\0"
    assert (again.unigrams, again.labels, again.alpha) == (found.unigrams, found.labels, found.alpha)
    logits = spell("TWA|NANE", [(2, "O"), (5, "I")])
    left, right = (BeamDecoder(RULES, language_model=each).hypotheses(logits) for each in (found, again))
    assert left == right
    assert left[0].text == "TWO NINE"


def test_labels_of_another_case_are_what_is_read(tmp_path):
    """Checkpoints with capitals have a lower-case alphabet beside a lower-case model."""
    arpa = write_arpa(tmp_path / "lm.arpa", estimate([[word.lower() for word in each] for each in SENTENCES], 2))
    labels = ["", "<s>", "</s>", "⁇", " ", *"abcdefghijklmnopqrstuvwxyz"]
    found = LanguageModelFiles(arpa, labels=tuple(labels))
    assert BeamDecoder(RULES, language_model=found).hypotheses(spell("TWO|ONE"))[0].text == "two one"
    with pytest.raises(OptionError, match="expected words in the vocabulary's case"):
        BeamDecoder(RULES, language_model=LanguageModelFiles(arpa))


def test_special_tokens_are_no_text():
    logits = spell("TWO")
    logits[1, 3] = 20.0
    assert BeamDecoder(RULES).hypotheses(logits)[0].text == "TWO"
    assert BeamDecoder(RULES, skip_special_tokens=False).hypotheses(logits)[0].text == "T⁇WO"


def test_a_batch_and_a_stream_are_the_whole(arpa):
    decoder = BeamDecoder(RULES, language_model=find_language_model(arpa))
    clips = [spell("TWO|SEVEN"), spell("ONE"), spell("")]
    alone = [decoder.hypotheses(clip) for clip in clips]
    assert decoder.batch(clips) == alone
    stream = decoder.stream()
    for frame in clips[0]:
        assert stream.push(frame[None]) == []
    assert stream.weighed() == alone[0]
    assert (stream.text, tuple(stream.end())) == (alone[0][0].text, alone[0][0].words)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (BeamOptions(beam_width=0), "beam_width is 0 and nbest 1; expected at least 1 of each"),
        (BeamOptions(nbest=-1), "expected at least 1 of each"),
        (BeamOptions(alpha=float("inf")), "alpha is inf"),
        (BeamOptions(hotwords={"two": 1.0}), "the hotword 'two' has the letter 't', which no token has"),
        (BeamOptions(beam_prune_logp=3.0), "beam_prune_logp is 3"),
    ],
)
def test_options_that_cannot_be_met_are_one_line(options, message):
    with pytest.raises(OptionError, match=message) as caught:
        BeamDecoder(RULES, options)
    assert "\n" not in str(caught.value)


def test_logits_that_do_not_fit_are_one_line():
    for decode in (BeamDecoder(RULES).hypotheses, lambda each: Aligner(RULES).align(each, "TWO")):
        with pytest.raises(InferenceError, match=r"the logits have the shape \[3, 5\]; expected \[frames, 31\]"):
            decode(np.zeros((3, 5), np.float32))
        with pytest.raises(InferenceError, match="NaN or infinite"):
            decode(np.full((9, 31), np.nan, np.float32))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alphabet.json": "{}"}, "alphabet.json has no labels; expected what pyctcdecode writes"),
        ({"alphabet.json": "[1"}, "it is not JSON"),
        ({"alphabet.json": {"labels": ["", " "], "is_bpe": False}}, "the alphabet has 2 labels and the vocabulary 31"),
        ({"alphabet.json": {"labels": list(TOKENS), "is_bpe": False}}, "which is the blank, '<pad>'; expected ''"),
        ({"language_model/attrs.json": {"alpha": 1}}, "attrs.json is not what pyctcdecode writes; expected alpha"),
        (
            {"language_model/attrs.json": {"alpha": "1", "beta": 1, "unk_score_offset": 1, "score_boundary": True}},
            "alpha in attrs.json is '1'; expected a number",
        ),
        ({"language_model/lm.arpa": None}, "language_model/ has these models: none; expected one file"),
        ({"language_model/other.arpa": "x"}, "has these models: lm.arpa, other.arpa; expected one file"),
        ({"language_model/lm.arpa": "no model"}, r"has no line \\data\\; expected an ARPA language model"),
    ],
)
def test_a_directory_that_is_none_is_one_line(changes, message, tmp_path, arpa):
    with pytest.raises(OptionError, match=message) as caught:
        BeamDecoder(RULES, language_model=find_language_model(processor(tmp_path, arpa, **changes)))
    assert "\n" not in str(caught.value)


def test_no_model_is_one_line(tmp_path):
    with pytest.raises(OptionError, match="there is no language model; expected a file, or a directory"):
        find_language_model(tmp_path / "none")
    with pytest.raises(OptionError, match="has these models: none"):
        find_language_model(tmp_path)


def test_a_binary_file_of_kenlm_needs_kenlm(tmp_path, monkeypatch):
    file = tmp_path / "lm.bin"
    file.write_bytes(b"mmap lm http://kheafield.com/code format version 5\n\0" + bytes(100))
    monkeypatch.setitem(sys.modules, "kenlm", None)
    with pytest.raises(
        MissingExtraError, match="needs kenlm, which is not installed; pip install kenlm, or give the ARPA"
    ):
        open_language_model(LanguageModelFiles(file))
    with pytest.raises(OptionError, match="expected the ARPA file that it was built from"):
        pack(LanguageModelFiles(file), tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


def test_without_the_extension_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "w2vc_native", None)
    for make in (lambda: BeamDecoder(RULES), lambda: Aligner(RULES)):
        with pytest.raises(
            MissingExtraError, match=r"needs w2vc-native, which is not installed; pip install 'w2vc\[beam\]'"
        ):
            make()


def test_the_runtime_does_not_import_the_extension():
    modules = "w2vc_runtime, w2vc_runtime.decoding.beam, w2vc_runtime.decoding.align"
    code = f"import sys, {modules}; print('w2vc_native' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_text_is_aligned():
    found = Aligner(RULES).align(spell("TWO|ONE"), "two one")
    assert [(word.text, word.start, word.end) for word in found.words] == [("two", 0, 5), ("one", 8, 13)]
    with pytest.raises(OptionError, match="the text needs at least 28 frames and there are 14"):
        Aligner(RULES).align(spell("TWO|ONE"), "one two three four five six")


def test_compressed_models_are_read(tmp_path, arpa):
    packed = tmp_path / "lm.arpa.gz"
    packed.write_bytes(gzip.compress(arpa.read_bytes()))
    assert open_language_model(find_language_model(packed)).ngrams == native.LanguageModel(str(arpa)).ngrams
    assert Path(packed).is_file()
