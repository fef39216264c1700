"""The beam search: what pyctcdecode reads, and what the extension makes of mistakes."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest

native = pytest.importorskip("w2vc_native", reason="w2vc-native is not installed: pip install runtime/cpp/python")

GOLDEN = Path(__file__).parent / "golden"
CONTENT = json.loads((GOLDEN / "pyctcdecode.json").read_text("utf-8"))
LETTERS = ["", " ", *"abcdefghijklmnopqrstuvwxyz"]


def logits_of(kind):
    return [(each / 1000.0).astype(np.float32) for each in np.load(GOLDEN / "logits.npz")[kind]]


def decoder_of(case, **changes):
    labels = CONTENT["labels"][case["kind"]]
    options = {**case["build"], **case["decode"]}
    if hotwords := options.pop("hotwords", None):
        options["hotwords"] = dict.fromkeys(hotwords, options.pop("hotword_weight"))
    if "lm_score_boundary" in options:
        options["score_boundary"] = options.pop("lm_score_boundary")
    options.setdefault("prune_history", False)
    model = native.LanguageModel(str(GOLDEN / "lm.arpa.gz")) if case["model"] else None
    if model is None:
        options.pop("unigrams", None)
    arguments = {"blank": 0, "delimiter": " ", "language_model": model, "nbest": 2, **options, **changes}
    return native.Decoder(labels, **arguments)


@pytest.mark.parametrize("name", CONTENT["cases"])
def test_it_reads_what_pyctcdecode_reads(name):
    case = CONTENT["cases"][name]
    decoder = decoder_of(case)
    for logits, expected in zip(logits_of(case["kind"]), case["expected"], strict=True):
        readings = decoder.decode(logits)
        assert len(readings) == len(expected)
        for reading, (text, words, acoustic, score) in zip(readings, expected):
            assert reading.text == text
            assert [[word.text, [word.start_frame, word.end_frame]] for word in reading.words] == words
            assert reading.acoustic_score == pytest.approx(acoustic, abs=1e-4)
            assert reading.score == pytest.approx(score, abs=1e-4)


def test_each_option_reads_otherwise():
    """Goldens that all options read alike would hold no option to anything."""
    scores = {name: [round(found[0][3], 3) for found in case["expected"]] for name, case in CONTENT["cases"].items()}
    same = [("no model", "model"), ("model", "model, hotwords"), ("no model", "hotwords"), ("model", "weights"),
            ("model", "no boundary"), ("model", "half of the words"), ("model", "narrow")]  # fmt: skip
    for left, right in same:
        assert scores[left] != scores[right], (left, right)


def test_a_batch_and_chunks_read_the_same():
    case = CONTENT["cases"]["model"]
    decoder, clips = decoder_of(case), logits_of("letters")
    alone = [decoder.decode(clip)[0].text for clip in clips]
    for threads in (0, 1, 3):
        assert [readings[0].text for readings in decoder.decode_batch(clips, threads)] == alone
    state = decoder.state()
    for start in range(0, len(clips[0]), 13):
        state.advance(clips[0][start : start + 13])
    assert state.read()[0].text == alone[0]
    assert state.read()[0].score == decoder.decode(clips[0])[0].score


def test_threads_share_a_decoder():
    case = CONTENT["cases"]["model"]
    decoder, clips = decoder_of(case), logits_of("letters")
    alone = [decoder.decode(clip)[0].text for clip in clips]
    found = {}

    def work(index):
        found[index] = [decoder.decode(clip)[0].text for clip in clips]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(texts == alone for texts in found.values())
    assert len(found) == 8


def test_other_arrays_are_taken():
    decoder = decoder_of(CONTENT["cases"]["model"])
    clip = logits_of("letters")[0]
    text = decoder.decode(clip)[0].text
    assert decoder.decode(clip.astype(np.float64))[0].text == text
    assert decoder.decode(np.asfortranarray(clip))[0].text == text
    padded = np.zeros((len(clip), 40), np.float32)
    padded[:, :28] = clip
    assert decoder.decode(padded[:, :28])[0].text == text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beam_width": 0}, "beam_width is 0; expected 1 to 1000000"),
        ({"nbest": 0}, "nbest is 0; expected at least 1"),
        ({"alpha": float("nan")}, "alpha is "),
        ({"hotwords": {"naïve": 1.0}}, "the hotword 'naïve' has the letter 'ï'"),
        ({"hotwords": {"one": float("inf")}}, "the weight of the hotword 'one' is inf"),
        ({"unigrams": ["one"]}, "there are unigrams and no language model"),
        ({"blank": 28}, "the blank is token 28; expected 0 to 27"),
        ({"tokens": []}, "the vocabulary has no tokens"),
    ],
)
def test_options_that_cannot_be_met_are_one_line(changes, message):
    arguments = {"tokens": LETTERS, "blank": 0, "delimiter": " ", **changes}
    with pytest.raises(native.DecodingError, match="^" + message) as caught:
        native.Decoder(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (np.full((3, 28), np.nan, np.float32), "NaN or infinite"),
        (np.full((3, 28), -np.inf, np.float32), "NaN or infinite"),
        (np.zeros((3, 27), np.float32), "the logits have 27 tokens and the vocabulary 28; expected the same"),
    ],
)
def test_logits_that_cannot_be_read_are_one_line(logits, message):
    for decoder in (native.Decoder(LETTERS, blank=0), native.GreedyDecoder(LETTERS, blank=0)):
        with pytest.raises(native.DecodingError, match=message):
            decoder.decode(logits)
        with pytest.raises(native.DecodingError, match=message):
            decoder.decode_batch([np.zeros((2, 28), np.float32), logits])


def test_no_frames_are_an_empty_text():
    empty = np.zeros((0, 28), np.float32)
    assert native.Decoder(LETTERS, blank=0).decode(empty)[0].text == ""
    assert native.GreedyDecoder(LETTERS, blank=0).decode(empty)[0].text == ""
