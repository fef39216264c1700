"""The best path in C++ is that of the Python runtime, with every rule of a tokenizer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from w2vc_runtime.bundle import Ctc
from w2vc_runtime.decoding import GreedyDecoder

native = pytest.importorskip("w2vc_native", reason="w2vc-native is not installed: pip install runtime/cpp/python")

VOCABULARIES = {
    "letters": (["<pad>", "<s>", "|", "A", "B", "'", "n", "t", ".", "Σ", "<unk>"], 0, "|"),
    "same tokens": (["<pad>", "a", "a", "b", "<unk>", "<unk>", " "], 0, " "),
    "blank last": (["a", "İ", "中", "|", ""], 4, "|"),
    "no delimiter": (["<pad>", "a", "b", "|"], 0, ""),
    "blank twice": (["", "a", "", "b", "|"], 2, "|"),
    "unusual space": (["<pad>", "a", "\u00a0", "b"], 0, "\u00a0"),
}


def rules(name, kind, replace, lower, clean_up, special):
    vocabulary, blank, delimiter = VOCABULARIES[name]
    specials = ("<pad>", "<s>", "<unk>", "|") if special else ()
    return Ctc(tuple(vocabulary), blank, delimiter, replace, specials, lower, clean_up, kind)


def arguments(ctc):
    return {
        "tokens": list(ctc.vocabulary),
        "blank": ctc.blank,
        "delimiter": ctc.word_delimiter,
        "replace_delimiter": ctc.replace_word_delimiter_char,
        "special_tokens": list(ctc.special_tokens),
        "lower_case": ctc.do_lower_case,
        "clean_up": ctc.clean_up_tokenization_spaces,
        "phonemes": ctc.kind == "phonemes",
    }


@pytest.mark.parametrize("name", VOCABULARIES)
def test_texts_words_times_and_confidences_are_pythons(name):
    random = np.random.default_rng(0)
    choices = itertools.product(
        ("characters", "phonemes"), (" ", "", "_"), (False, True), (False, True), (False, True), (False, True)
    )
    seen = set()
    for kind, replace, lower, clean_up, special, skip in choices:
        ctc = rules(name, kind, replace, lower, clean_up, special)
        python = GreedyDecoder(ctc, skip)
        own = native.GreedyDecoder(**arguments(ctc), skip_special_tokens=skip)
        for frames in (0, 1, 2, 60):
            logits = (4 * random.standard_normal((frames, len(ctc.vocabulary)))).astype(np.float32)
            logits = np.repeat(logits, random.integers(1, 4, size=frames), axis=0)
            expected = python.decode(logits)
            (found,) = own.decode(logits)
            assert found.text == expected.text
            assert [(w.text, w.start_frame, w.end_frame) for w in found.words] == [
                (w.text, w.start, w.end) for w in expected.words
            ]
            assert [round(w.confidence, 4) for w in found.words] == [round(w.confidence, 4) for w in expected.words]
            assert [(t.text, t.start_frame, t.end_frame) for t in found.tokens] == [
                (c.text, c.start, c.end) for c in expected.tokens
            ]
            np.testing.assert_allclose(
                [t.confidence for t in found.tokens], [c.confidence for c in expected.tokens], rtol=1e-12
            )
            seen.add(found.text)
    assert len(seen) > 10


def test_ties_go_to_the_first():
    ctc = rules("letters", "characters", " ", False, False, True)
    logits = np.zeros((3, len(ctc.vocabulary)), np.float32)
    logits[:, [3, 4]] = 1.0
    assert native.GreedyDecoder(**arguments(ctc)).decode(logits)[0].text == "A"


def test_every_letter_has_pythons_small_letter():
    letters = [chr(point) for point in range(1, 0x110000) if not 0xD800 <= point < 0xE000 and chr(point).isupper()]
    tokens = ["", *letters]
    decoder = native.GreedyDecoder(tokens, blank=0, delimiter="", replace_delimiter="", lower_case=True)
    order = np.random.default_rng(1).permutation(len(letters))
    logits = np.zeros((2, len(tokens)), np.float32)
    for index in order[:300]:
        logits[:] = 0
        logits[:, index + 1] = 1
        assert decoder.decode(logits)[0].text == letters[index].lower(), hex(ord(letters[index]))
