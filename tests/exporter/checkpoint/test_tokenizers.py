"""Greedy decoding equals Hugging Face's tokenizers, whatever their settings and however their files were written."""

from __future__ import annotations

import dataclasses
import json
import shutil
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedTokenizer, Wav2Vec2CTCTokenizer, Wav2Vec2PhonemeCTCTokenizer

from support.oracle import LETTERS
from w2vc_exporter import RecipeError
from w2vc_exporter.checkpoint.tokenizers import read_ctc
from w2vc_runtime import BundleError, load
from w2vc_runtime.bundle import FILE_NAME, Bundle, Ctc
from w2vc_runtime.decoding import GreedyDecoder, Hypothesis

PHONEMES = [
    "<s>",
    "<pad>",
    "</s>",
    "<unk>",
    "n",
    "s",
    "t",
    "ə",
    "l",
    "a",
    "ɪ",
    "aɪ",
    "tʃ",
    "ɡ̊",
    "ː",
    "|",
    ".",
    "'s",
    "#",
]


def make(folder: Path, cls: type[PreTrainedTokenizer], tokens: list[str], **settings) -> PreTrainedTokenizer:
    """A tokenizer of ours, in memory and as its files."""
    folder.mkdir(exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    tokenizer = cls(folder / "vocab.json", **settings)
    tokenizer.save_pretrained(folder)
    return tokenizer


def scores(ids: list[int], size: int) -> np.ndarray:
    logits = np.zeros((len(ids), size), np.float32)
    logits[np.arange(len(ids)), ids] = 8.0
    return logits


def speech_like(generator: np.random.Generator, size: int, often: list[int], count: int = 150) -> list[int]:
    """Ids with repeats, and with blanks and delimiters as often as in speech."""
    ids = np.where(generator.random(count) < 0.5, generator.choice(often, count), generator.integers(0, size, count))
    return np.repeat(ids, generator.integers(1, 4, count)).tolist()


def check(rules: Ctc, theirs: PreTrainedTokenizer, ids: list[int]) -> None:
    """Text, offsets and words of ``rules`` equal those of ``theirs``."""
    logits = scores(ids, len(rules.vocabulary))
    read = GreedyDecoder(rules, skip_special_tokens=False).decode(logits)
    offsets = [{"char": c.text, "start_offset": c.start, "end_offset": c.end} for c in read.tokens]
    words = [(word.text, word.start, word.end) for word in read.words]
    if rules.kind == "characters":
        expected = theirs.decode(ids, output_char_offsets=True, output_word_offsets=True)
        assert offsets == expected.char_offsets
        lower = str.lower if rules.do_lower_case else str
        assert words == [(lower(w["word"]), w["start_offset"], w["end_offset"]) for w in expected.word_offsets]
    else:
        expected = theirs.decode(ids, output_char_offsets=True)
        whole = theirs.decode(ids, output_char_offsets=True, filter_word_delimiter_token=False)
        assert offsets == whole.char_offsets
        assert [o for o in offsets if o["char"] != theirs.word_delimiter_token] == expected.char_offsets
        assert " ".join(text for text, *_ in words) == " ".join(o["char"] for o in expected.char_offsets)
    assert read.text == expected.text
    # Hugging Face drops special tokens before it merges repeats; told of merged ids, it does as we do.
    merged = [rules.vocabulary.index(token) for token, _ in groupby(rules.vocabulary[index] for index in ids)]
    assert GreedyDecoder(rules).decode(logits).text == theirs.decode(
        merged, skip_special_tokens=True, group_tokens=False
    )


SETTINGS: list[dict[str, Any]] = [
    {},
    {"do_lower_case": True},
    {"replace_word_delimiter_char": "_"},
    {"replace_word_delimiter_char": " - "},
    {"replace_word_delimiter_char": ""},
    {"replace_word_delimiter_char": "e"},
    {"word_delimiter_token": "e"},
    {"word_delimiter_token": "<space>"},
    {"clean_up_tokenization_spaces": True},
    {"pad_token": "z", "unk_token": "q"},
    {"bos_token": "<start>", "mask_token": "<mask>"},
    {"bos_token": None, "eos_token": None},
    {"additional_special_tokens": ["<music>", "x"]},
    {"extra_special_tokens": {"noise_token": "<noise>"}},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_characters_equal_hugging_face(settings, tmp_path):
    generator = np.random.default_rng(0)
    theirs = make(tmp_path, Wav2Vec2CTCTokenizer, [*LETTERS, "E", "É"], **settings)
    size = len(theirs) + 2
    rules = read_ctc(tmp_path, size)
    for _ in range(5):
        check(rules, theirs, speech_like(generator, size, [rules.blank, 4, 5, 25]))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"word_delimiter_token": "|"},
        {"word_delimiter_token": "#", "phone_delimiter_token": "|"},
        {"word_delimiter_token": "absent"},
        {"clean_up_tokenization_spaces": True},
        {"do_lower_case": True, "pad_token": "n"},
        {"additional_special_tokens": ["<music>", "ː"]},
        {"eos_token": "<end>", "word_delimiter_token": "|"},
    ],
)
def test_phonemes_equal_hugging_face(settings, tmp_path):
    generator = np.random.default_rng(0)
    theirs = make(tmp_path, Wav2Vec2PhonemeCTCTokenizer, [*PHONEMES, "A"], do_phonemize=False, **settings)
    size = len(theirs) + 2
    rules = read_ctc(tmp_path, size)
    assert rules.kind == "phonemes"
    for _ in range(5):
        check(rules, theirs, speech_like(generator, size, [rules.blank, 15, 18]))


def pick(generator: np.random.Generator, options: list) -> Any:
    return options[generator.integers(len(options))]


@pytest.mark.parametrize("seed", range(60))
def test_any_settings_equal_hugging_face(seed, tmp_path):
    """Random vocabularies, special tokens, delimiters and added tokens."""
    generator = np.random.default_rng(seed)
    phonemes = seed % 3 == 0
    tokens = [*PHONEMES, " ", "_", ",", "n't", "Ab", "É", "\u00a0", "?", "'m", "X"]
    tokens = [tokens[i] for i in generator.permutation(len(tokens))[: generator.integers(12, len(tokens))]]
    settings: dict[str, Any] = {"clean_up_tokenization_spaces": pick(generator, [True, False])}
    for name in ("bos_token", "eos_token", "unk_token", "pad_token", "cls_token", "word_delimiter_token"):
        if generator.random() < 0.3:
            settings[name] = pick(generator, [*tokens, "<new>", f"<{name}>"])
    if generator.random() < 0.4:
        settings["additional_special_tokens"] = [pick(generator, tokens), "<more>"]
    if phonemes:
        settings["do_phonemize"] = False
    else:
        settings["do_lower_case"] = pick(generator, [True, False])
        settings["replace_word_delimiter_char"] = pick(generator, [" ", "_", "", "--", "X"])
    theirs = make(tmp_path, Wav2Vec2PhonemeCTCTokenizer if phonemes else Wav2Vec2CTCTokenizer, tokens, **settings)
    theirs.add_tokens(["<added>", "zz"])
    theirs.save_pretrained(tmp_path)
    size = len(theirs) + 3
    rules = read_ctc(tmp_path, size)
    often = [rules.blank, *(rules.vocabulary.index(t) for t in (rules.word_delimiter, " ") if t in rules.vocabulary)]
    for _ in range(3):
        check(rules, theirs, speech_like(generator, size, often))


@pytest.mark.parametrize(
    "change",
    [
        {"blank": 1},
        {"word_delimiter": "t"},
        {"word_delimiter": ""},
        {"replace_word_delimiter_char": "_"},
        {"special_tokens": ("<s>",)},
        {"do_lower_case": True},
        {"clean_up_tokenization_spaces": True},
        {"vocabulary": (*LETTERS, "E", ".", "<pad>", "|")},
    ],
)
def test_every_rule_counts(change, tmp_path):
    """Negative control: the comparison tells each of them apart."""
    theirs = make(tmp_path, Wav2Vec2CTCTokenizer, [*LETTERS, "E", "."])
    rules = read_ctc(tmp_path, len(theirs) + 2)
    ids = [*range(len(theirs) + 2), *speech_like(np.random.default_rng(0), len(theirs) + 2, [0, 4]), 5, 4, 33, 6]
    check(rules, theirs, ids)
    with pytest.raises(AssertionError):
        check(dataclasses.replace(rules, **change), theirs, ids)


@pytest.mark.parametrize("language", ["eng", "fra", "ell"])
def test_each_language_equals_hugging_face(language, tmp_path):
    alphabets = {"eng": LETTERS, "fra": [*LETTERS, "é", "ç", "oe"], "ell": ["<pad>", "|", "α", "β", "<unk>", "γδ"]}
    nested = {name: {token: index for index, token in enumerate(tokens)} for name, tokens in alphabets.items()}
    (tmp_path / "vocab.json").write_text(json.dumps(nested))
    Wav2Vec2CTCTokenizer(tmp_path / "vocab.json", target_lang="eng").save_pretrained(tmp_path)
    size = len(alphabets[language])
    rules = read_ctc(tmp_path, size, language)
    assert rules.vocabulary == tuple(alphabets[language])
    ids = speech_like(np.random.default_rng(0), size, [rules.blank, rules.vocabulary.index("|")])
    theirs = Wav2Vec2CTCTokenizer.from_pretrained(tmp_path)
    theirs.set_target_lang(language)
    check(rules, theirs, ids)
    check(rules, Wav2Vec2CTCTokenizer.from_pretrained(tmp_path, target_lang=language), ids)


CLASSES: dict[str, tuple[type[PreTrainedTokenizer], dict[str, Any]]] = {
    "characters": (Wav2Vec2CTCTokenizer, {"replace_word_delimiter_char": "_"}),
    "phonemes": (Wav2Vec2PhonemeCTCTokenizer, {"do_phonemize": False, "word_delimiter_token": "|"}),
}


def as_transformers_4(folder: Path) -> None:
    """The files as transformers 4.57 writes them."""
    config = json.loads((folder / "tokenizer_config.json").read_text())
    special = {name: config[name] for name in ("bos_token", "eos_token", "unk_token", "pad_token")}
    config["additional_special_tokens"] = config.pop("extra_special_tokens")
    config["extra_special_tokens"] = {}
    special["additional_special_tokens"] = config["additional_special_tokens"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "special_tokens_map.json").write_text(json.dumps(special))


def as_before_4_34(folder: Path) -> None:
    """The files as they were when only added_tokens.json had the added tokens."""
    as_transformers_4(folder)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    special = json.loads((folder / "special_tokens_map.json").read_text())
    for name in (*special, "added_tokens_decoder", "extra_special_tokens"):
        del config[name]
    flags = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    special["unk_token"] = {"content": special["unk_token"], **flags}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "special_tokens_map.json").write_text(json.dumps(special))


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("rewrite", [as_transformers_4, as_before_4_34])
def test_files_of_every_age(kind, rewrite, tmp_path):
    cls, settings = CLASSES[kind]
    tokens = ["*", *PHONEMES[4:]]
    settings = {**settings, "pad_token": "*", "unk_token": "<?>", "additional_special_tokens": ["<music>"]}
    theirs = make(tmp_path / "model", cls, tokens, **settings)
    theirs.add_tokens(["<added>"])
    theirs.save_pretrained(tmp_path / "model")
    size = len(theirs) + 1
    expected = read_ctc(tmp_path / "model", size)
    assert expected.vocabulary == (*tokens, "<s>", "</s>", "<?>", "<music>", "<added>", "<?>")
    rewrite(tmp_path / "model")
    rules = read_ctc(tmp_path / "model", size)
    assert rules == expected
    check(rules, theirs, speech_like(np.random.default_rng(0), size, [0, tokens.index("|")]))
    check(rules, cls.from_pretrained(tmp_path / "model"), list(range(size)))


@pytest.mark.parametrize("tokens", [["<pad>", "a", "b"], ["a", "|"], ["a", "<s>", "</s>"]])
def test_a_vocabulary_alone(tokens, tmp_path):
    """What it lacks, Hugging Face numbers after it, the blank too."""
    theirs = make(tmp_path, Wav2Vec2CTCTokenizer, tokens)
    for path in tmp_path.iterdir():
        if path.name != "vocab.json":
            path.unlink()
    rules = read_ctc(tmp_path, len(theirs) + 1)
    assert list(rules.vocabulary) == theirs.convert_ids_to_tokens(list(range(len(theirs) + 1)))
    check(rules, theirs, speech_like(np.random.default_rng(0), len(theirs), [rules.blank]))


def test_the_word_delimiter_of_the_file_counts(tmp_path):
    """transformers 5 loses it on the way from its own file, 4 does not."""
    make(tmp_path, Wav2Vec2CTCTokenizer, LETTERS, word_delimiter_token="e")
    assert read_ctc(tmp_path, len(LETTERS)).word_delimiter == "e"


def test_no_word_delimiter(tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(LETTERS)}))
    (tmp_path / "tokenizer_config.json").write_text('{"word_delimiter_token": null}')
    rules = read_ctc(tmp_path, len(LETTERS) + 2)
    assert rules.word_delimiter == ""
    check(rules, Wav2Vec2CTCTokenizer.from_pretrained(tmp_path), list(range(len(LETTERS) + 2)))


def test_the_class_may_stand_in_the_models_configuration(tmp_path):
    make(tmp_path, Wav2Vec2PhonemeCTCTokenizer, PHONEMES, do_phonemize=False)
    (tmp_path / "tokenizer_config.json").unlink()
    assert read_ctc(tmp_path, len(PHONEMES)).kind == "characters"
    (tmp_path / "config.json").write_text('{"tokenizer_class": "Wav2Vec2PhonemeCTCTokenizer"}')
    assert read_ctc(tmp_path, len(PHONEMES)).kind == "phonemes"


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (
            "tokenizer_config.json",
            {"tokenizer_class": "BertTokenizer"},
            "tokenizer_class 'BertTokenizer' is not supported",
        ),
        ("tokenizer_config.json", {"pad_token": None}, "has no 'pad_token', the pad token that is the CTC blank"),
        (
            "tokenizer_config.json",
            {"replace_word_delimiter_char": None},
            "replace_word_delimiter_char None is not supp",
        ),
        ("tokenizer_config.json", {"added_tokens_decoder": {"x": "y"}}, "must give each added token its number"),
        (
            "tokenizer_config.json",
            {"extra_special_tokens": 5},
            "extra_special_tokens 5 is not supported; supported: a ",
        ),
        ("added_tokens.json", {"a": "b"}, r"added_tokens\.json must give each added token its number"),
        ("vocab.json", {}, r"has no vocab\.json with tokens"),
        ("vocab.json", {"<pad>": 0, "a": 33}, "numbers its tokens 0 to 33, but the model has vocab_size 33"),
        ("vocab.json", {"<pad>": 0, "a": -1}, "numbers its tokens -1 to 0"),
        ("vocab.json", {"<pad>": True}, "must map each token to its number"),
        ("vocab.json", {"eng": {}}, "must map each token to its number"),
        (
            "vocab.json",
            {str(index): index for index in range(33)},
            "has no '<pad>', the pad token that is the CTC blank",
        ),
    ],
)
def test_files_that_are_refused(name, values, message, tmp_path):
    make(tmp_path, Wav2Vec2CTCTokenizer, LETTERS, target_lang=None)
    (tmp_path / "tokenizer_config.json").write_text('{"target_lang": "eng"}')
    (tmp_path / name).write_text(json.dumps(values))
    with pytest.raises(RecipeError, match=message) as caught:
        read_ctc(tmp_path, 33, "eng")
    assert "\n" not in str(caught.value)


def test_phonemes_have_one_vocabulary(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "Wav2Vec2PhonemeCTCTokenizer"}')
    (tmp_path / "vocab.json").write_text('{"eng": {"<pad>": 0}}')
    with pytest.raises(RecipeError, match="for each language, which only Wav2Vec2CTCTokenizer reads"):
        read_ctc(tmp_path, 1, "eng")


RULES = Ctc(vocabulary=("-", "*", "|", "h", "e", "l", "o"), blank=0, word_delimiter="|", special_tokens=("-", "*"))
PHONE_RULES = Ctc(("-", "|", "h", "ə", "l", "oʊ"), 0, "|", special_tokens=("-",), kind="phonemes")


def frames(text: str, vocabulary: tuple[str, ...]) -> np.ndarray:
    return scores([vocabulary.index(token) for token in text], len(vocabulary))


def test_special_tokens_are_dropped_and_double_letters_are_kept():
    decoder = GreedyDecoder(RULES)
    assert decoder.decode(frames("*hheel-l*oo|", RULES.vocabulary)).text == "hello"
    assert decoder.decode(frames("-----", RULES.vocabulary)).text == ""
    assert decoder.decode(np.zeros((0, 7), np.float32)) == Hypothesis("", (), ())


def test_words_have_times_and_confidence():
    decoder = GreedyDecoder(RULES)
    logits = frames("-he-||lo-", RULES.vocabulary)
    logits[7] = 0  # the o of "lo": uniform, so that its probability is 1 / 7
    logits[7, 6] = 1e-3
    first, second = decoder.decode(logits).words
    assert (first.text, first.start, first.end) == ("he", 1, 3)
    assert (second.text, second.start, second.end) == ("lo", 6, 8)
    sure = np.exp(8) / (np.exp(8) + 6)
    assert first.confidence == pytest.approx(sure, rel=1e-5)
    assert second.confidence == pytest.approx(np.sqrt(sure / 7), rel=1e-3)


@pytest.mark.parametrize(
    ("delimiter", "expected"),
    [
        ("|", [("h ə l", 0, 5), ("l oʊ", 6, 10)]),
        (
            "",
            [
                ("h", 0, 1),
                ("ə", 1, 3),
                ("l", 3, 5),
                ("|", 5, 6),
                ("l", 6, 7),
                ("oʊ", 8, 10),
            ],
        ),
    ],
)
def test_phonemes_have_words_where_there_is_a_delimiter(delimiter, expected):
    rules = Ctc(PHONE_RULES.vocabulary, 0, delimiter, special_tokens=("-",), kind="phonemes")
    decoder = GreedyDecoder(rules)
    read = decoder.decode(scores([2, 3, 3, 4, 4, 1, 4, 0, 5, 5, 0], 6))
    assert [(w.text, w.start, w.end) for w in read.words] == expected
    assert read.text == " ".join(word.text for word in read.words)


def test_a_kind_from_the_future_is_refused(digits, tmp_path):
    bundle = Path(shutil.copytree(digits["fp32"], tmp_path / "bundle"))
    manifest = Bundle.read(bundle).manifest
    manifest = dataclasses.replace(manifest, ctc=dataclasses.replace(manifest.ctc, kind="syllables"))
    (bundle / FILE_NAME).write_text(manifest.to_json(), encoding="utf-8")
    with pytest.raises(BundleError, match=r"ctc\.kind is 'syllables', and must be one of characters, phonemes"):
        load(bundle)
