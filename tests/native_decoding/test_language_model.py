"""The language model: the definition of backoff, KenLM, and files that are none."""

from __future__ import annotations

import gzip
import math
import random
import time
from pathlib import Path

import pytest

native = pytest.importorskip("w2vc_native", reason="w2vc-native is not installed: pip install runtime/cpp/python")

from decoding.ngrams import BEGIN, END, UNKNOWN, estimate, write_arpa  # noqa: E402

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def sentences():
    chance = random.Random(0)
    words = [f"w{index}" for index in range(30)]
    return [[chance.choice(words[: 3 + index % 28]) for _ in range(chance.randint(1, 9))] for index in range(400)]


def brute_force(levels, history, word):
    """log10 of a probability by the definition of backoff."""
    known = levels[0]
    history = [each if (each,) in known else UNKNOWN for each in history]
    word = word if (word,) in known else UNKNOWN
    context = tuple(history[-(len(levels) - 1) :]) if len(levels) > 1 else ()
    backoffs = 0.0
    while (*context, word) not in levels[len(context)]:
        backoffs += levels[len(context) - 1].get(context, (0.0, 0.0))[1]
        context = context[1:]
    return levels[len(context)][(*context, word)][0] + backoffs


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("kept", [1.0, 0.7])
def test_scores_are_those_of_the_definition(order, kept, sentences, tmp_path):
    """kept: share of the longer n-grams that are left, so that contexts and suffixes are missing."""
    chance = random.Random(1)
    levels = estimate(sentences, order)
    levels = [levels[0], *({n: v for n, v in level.items() if chance.random() < kept} for level in levels[1:])]
    path = write_arpa(tmp_path / "lm.arpa.gz", levels)
    native.compile_arpa(str(path), str(tmp_path / "lm.bin"))
    for file in (path, tmp_path / "lm.bin"):
        model = native.LanguageModel(str(file))
        assert model.order == order
        for sentence in [*sentences[:50], ["never", "w1", "seen"], []]:
            expected = sum(
                brute_force(levels, [BEGIN, *sentence[:index]], word) for index, word in enumerate([*sentence, END])
            )
            assert model.score(sentence) == pytest.approx(expected, abs=2e-4)


def test_scores_are_kenlms(sentences, tmp_path):
    kenlm = pytest.importorskip("kenlm", reason="kenlm is not installed")
    path = write_arpa(tmp_path / "lm.arpa", estimate(sentences, 4))
    theirs, own = kenlm.Model(str(path)), native.LanguageModel(str(path))
    for sentence in [*sentences, ["never", "w1", "seen", "w2"]]:
        for bos in (True, False):
            for eos in (True, False):
                expected = theirs.score(" ".join(sentence), bos=bos, eos=eos)
                assert own.score(sentence, bos, eos) == pytest.approx(expected, abs=1e-5)
    assert ("w1" in own, "never" in own) == ("w1" in theirs, "never" in theirs)


def test_a_model_of_kenlm_decodes_alike(tmp_path):
    kenlm = pytest.importorskip("kenlm", reason="kenlm is not installed")
    import numpy as np

    path = tmp_path / "lm.arpa"
    path.write_bytes(gzip.decompress((GOLDEN / "lm.arpa.gz").read_bytes()))
    tokens = ["", " ", *"abcdefghijklmnopqrstuvwxyz"]
    own = native.LanguageModel(str(path))
    words = [word for word in own.some_words(1000) if word not in (BEGIN, END, UNKNOWN)]
    arguments = {"tokens": tokens, "blank": 0, "delimiter": " ", "unigrams": words}
    for left, right in zip(
        *(
            native.Decoder(language_model=model, **arguments).decode_batch(
                [(each / 1000.0).astype(np.float32) for each in np.load(GOLDEN / "logits.npz")["letters"]], 2
            )
            for model in (own, native.KenlmModel(kenlm.Model(str(path))))
        )
    ):
        assert left[0].text == right[0].text
        assert left[0].score == pytest.approx(right[0].score, abs=1e-5)


def test_a_probability_sums_to_one(sentences, tmp_path):
    """The estimate that benchmarks are made of is one."""
    levels = estimate(sentences, 3)
    words = [word for (word,) in levels[0] if word != BEGIN]
    for history in (["w1"], [BEGIN, "w0"], ["w2", "w3"]):
        assert sum(10 ** brute_force(levels, history, word) for word in words) == pytest.approx(1.0, abs=1e-6)


def test_damaged_files_are_one_line(tmp_path):
    native.compile_arpa(str(GOLDEN / "lm.arpa.gz"), str(tmp_path / "lm.bin"))
    whole = (tmp_path / "lm.bin").read_bytes()
    arpa = gzip.decompress((GOLDEN / "lm.arpa.gz").read_bytes())
    chance = random.Random(2)
    damaged = tmp_path / "damaged"
    for _ in range(200):
        position = chance.randrange(len(whole))
        damaged.write_bytes(
            whole[:position] + bytes([whole[position] ^ 1 << chance.randrange(8)]) + whole[position + 1 :]
        )
        with pytest.raises(native.DecodingError) as caught:
            native.LanguageModel(str(damaged))
        assert "\n" not in str(caught.value)
    for content in (
        whole[: len(whole) // 2],
        arpa[: len(arpa) // 2],
        b"",
        b"w2vc-lm\0",
        b"RIFF....WAVE",
        gzip.compress(arpa)[:-9],
    ):
        damaged.write_bytes(content)
        with pytest.raises(native.DecodingError, match=r"; expected|damaged or cut off"):
            native.LanguageModel(str(damaged))
    damaged.write_bytes(b"mmap lm http://kheafield.com/code format version 5\n\0" + bytes(100))
    with pytest.raises(native.DecodingError, match="binary file of KenLM; expected the ARPA file"):
        native.LanguageModel(str(damaged))
    with pytest.raises(native.DecodingError, match="No such file or directory"):
        native.LanguageModel(str(tmp_path / "none"))
    with pytest.raises(native.DecodingError, match="cannot write"):
        native.compile_arpa(str(GOLDEN / "lm.arpa.gz"), str(tmp_path / "none" / "lm.bin"))
    assert not list(tmp_path.glob("*.tmp"))


def test_gigantic_counts_take_no_memory(tmp_path):
    path = tmp_path / "lm.arpa"
    path.write_text("\\data\\\nngram 1=2147483647\nngram 2=2147483647\n\n\\1-grams:\n-1\ta\t0\n")
    start = time.perf_counter()
    with pytest.raises(native.DecodingError, match="ends after line 6; expected n-grams"):
        native.LanguageModel(str(path))
    assert time.perf_counter() - start < 5  # nothing was set aside for them


def test_a_compiled_model_is_the_same_bytes_each_time(tmp_path):
    for name in ("first", "second"):
        native.compile_arpa(str(GOLDEN / "lm.arpa.gz"), str(tmp_path / name))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    native.LanguageModel(str(tmp_path / "first")).save(str(tmp_path / "third"))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "third").read_bytes()
    assert math.isfinite(native.LanguageModel(str(tmp_path / "third")).score(["a"]))
