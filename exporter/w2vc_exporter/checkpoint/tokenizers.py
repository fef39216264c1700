"""The tokenizer files of a checkpoint, as the decoding rules that the manifest states.

Hugging Face writes ``vocab.json``, ``tokenizer_config.json`` and, for tokens past the vocabulary,
``added_tokens.json``; transformers 4 writes ``special_tokens_map.json`` too. The last two are read only where the
configuration has no ``added_tokens_decoder``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from w2vc_exporter.errors import RecipeError
from w2vc_model.errors import listed, shown
from w2vc_runtime.bundle import Ctc

from .recipes import read_json

TOKENIZERS = {"Wav2Vec2CTCTokenizer": "characters", "Wav2Vec2PhonemeCTCTokenizer": "phonemes"}
# In the order in which Hugging Face numbers those that the vocabulary lacks.
SPECIAL = {
    "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": None, "pad_token": "<pad>",
    "cls_token": None, "mask_token": None,
}  # fmt: skip
DELIMITERS = ("word_delimiter_token", "phone_delimiter_token")
SWITCHES = ("do_lower_case", "clean_up_tokenization_spaces")
MORE = ("additional_special_tokens", "extra_special_tokens")
# Rows that round a head up to a multiple of eight, as some do for speed. More are tokens that were lost.
SPARE_AT_MOST = 7
WITH_LANGUAGE_MODEL = "Wav2Vec2ProcessorWithLM"


def read_ctc(checkpoint: Path, vocab_size: int, target_lang: str | None = None) -> Ctc:
    """The decoding rules for ``vocab_size`` logits (HF ``Wav2Vec2CTCTokenizer``, ``Wav2Vec2PhonemeCTCTokenizer``).

    target_lang: which of the vocabularies, where they are nested by language; by default the tokenizer's own.
    Raises `RecipeError` on files that are missing or damaged, of another tokenizer, or of another model: one with more
    tokens, or with fewer than the logits by more than a few at the end, which are then the unknown token (as in HF).
    """
    settings = _settings(checkpoint)
    kind = _kind(checkpoint, settings)
    vocabulary = _vocabulary(checkpoint, kind, target_lang or settings.get("target_lang"))
    path = checkpoint / "vocab.json"
    if min(vocabulary.values()) < 0 or max(vocabulary.values()) >= vocab_size:
        raise RecipeError(
            f"{path} numbers its tokens {min(vocabulary.values())} to {max(vocabulary.values())}, but the model has "
            f"vocab_size {vocab_size}; the tokenizer belongs to another model"
        )
    named = {name: _token(settings.get(name, default)) for name, default in SPECIAL.items()}
    delimiter = _token(settings.get("word_delimiter_token", "|" if kind == "characters" else None))
    special = _special_tokens(checkpoint, settings, named, delimiter if kind == "characters" else "")
    tokens = _numbered(kind, vocabulary, _added_tokens(checkpoint, settings), special)
    _check_complete(path, tokens, vocab_size)
    pad = named["pad_token"]
    blank = next((index for index in range(vocab_size) if pad and tokens.get(index) == pad), None)
    if blank is None:
        raise RecipeError(f"{path} has no {shown(pad or 'pad_token')}, the pad token that is the CTC blank")
    replacement = settings.get("replace_word_delimiter_char", " ")
    if not isinstance(replacement, str):
        raise RecipeError(
            f"{checkpoint}: replace_word_delimiter_char {shown(replacement)} is not supported; supported: text"
        )
    return Ctc(
        vocabulary=tuple(tokens.get(index, named["unk_token"]) for index in range(vocab_size)),
        blank=blank,
        word_delimiter=delimiter,
        replace_word_delimiter_char=replacement,
        special_tokens=tuple(token for token in special if token != delimiter),
        do_lower_case=kind == "characters" and bool(settings.get("do_lower_case", False)),
        clean_up_tokenization_spaces=bool(settings.get("clean_up_tokenization_spaces", False)),
        kind=kind,
    )


def notes(checkpoint: Path, rules: Ctc) -> tuple[str, ...]:
    """What Hugging Face would make of a checkpoint's logits and a bundle with these rules does not, a line each."""
    found = []
    names = ("preprocessor_config.json", "processor_config.json", "tokenizer_config.json")
    classes = [read_json(checkpoint / name).get("processor_class") for name in names]
    if WITH_LANGUAGE_MODEL in classes or (checkpoint / "language_model").is_dir():
        found.append(f"{checkpoint} has a language model; the bundle decodes greedily, without it")
    first = {token: index for index, token in reversed([*enumerate(rules.vocabulary)])}
    spare = len(rules.vocabulary) - 1 - max(first.values())
    if spare:
        found.append(
            f"{checkpoint / 'vocab.json'} has no token for the last {spare} of the model's {len(rules.vocabulary)} "
            f"outputs; as in Hugging Face they are the unknown token, {shown(rules.vocabulary[-1])}, and not text"
        )
    return tuple(found)


def _settings(checkpoint: Path) -> dict[str, Any]:
    """The tokenizer's configuration, with every value of a type that it can have."""
    path = checkpoint / "tokenizer_config.json"
    settings = read_json(path)
    _check(settings, path)
    if "added_tokens_decoder" not in settings:
        path = checkpoint / "special_tokens_map.json"
        special = read_json(path)
        _check(special, path)
        settings = settings | special
    return settings


def _check(settings: dict[str, Any], path: Path) -> None:
    """Raise `RecipeError` on a value of a type that no tokenizer has."""
    for name, value in settings.items():
        if value is None:
            continue
        if name in SWITCHES:
            fits, wanted = isinstance(value, bool), "true, false"
        elif name in ("tokenizer_class", "target_lang"):
            fits, wanted = isinstance(value, str), "text"
        elif name in MORE:
            tokens = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
            fits, wanted = isinstance(value, (list, dict)) and all(map(_is_token, tokens)), "a list of tokens"
        elif name in SPECIAL or name in DELIMITERS:
            fits, wanted = _is_token(value), "a token"
        else:
            continue
        if not fits:
            raise RecipeError(f"{path}: {name} {shown(value)} is not supported; supported: {wanted}")


def _check_complete(path: Path, tokens: dict[int, str], vocab_size: int) -> None:
    """Raise `RecipeError` where outputs of the model have no token, but for a few spare ones at the end."""
    missing = [index for index in range(vocab_size) if index not in tokens]
    last = max(index for index in tokens if index < vocab_size)
    if len(missing) > SPARE_AT_MOST or any(index < last for index in missing):
        raise RecipeError(
            f"{path} has no token for {len(missing)} of the model's {vocab_size} outputs "
            f"({listed([*map(str, missing)])}); give the tokenizer that the model was trained with"
        )


def _kind(checkpoint: Path, settings: dict[str, Any]) -> str:
    name = settings.get("tokenizer_class") or read_json(checkpoint / "config.json").get("tokenizer_class")
    if name is None:
        return "characters"
    if not isinstance(name, str) or name not in TOKENIZERS:
        raise RecipeError(
            f"{checkpoint}: tokenizer_class {shown(name)} is not supported; supported: {', '.join(TOKENIZERS)}"
        )
    return TOKENIZERS[name]


def _vocabulary(checkpoint: Path, kind: str, language: str | None) -> dict[str, int]:
    """The number of each token, of one language where there are several."""
    path = checkpoint / "vocab.json"
    vocabulary = read_json(path)
    if not vocabulary:
        raise RecipeError(f"{checkpoint} has no vocab.json with tokens; save the tokenizer beside the model")
    if all(isinstance(value, dict) for value in vocabulary.values()):
        if kind != "characters":
            raise RecipeError(f"{path} has a vocabulary for each language, which only Wav2Vec2CTCTokenizer reads")
        if language is None or language not in vocabulary:
            wanted = "needs a target language" if language is None else f"has no language {shown(language)}"
            raise RecipeError(f"{path} {wanted}; there: {listed(sorted(vocabulary))}")
        vocabulary = vocabulary[language]
    if not vocabulary or not all(
        isinstance(index, int) and not isinstance(index, bool) for index in vocabulary.values()
    ):
        raise RecipeError(f"{path} must map each token to its number, or each language to such a map")
    return vocabulary


def _special_tokens(checkpoint: Path, settings: dict[str, Any], named: dict[str, str], delimiter: str) -> list[str]:
    """The tokens that are not text, in Hugging Face's order."""
    tokens = [*named.values(), delimiter]
    for name, value in settings.items():
        if (
            name.endswith("_token")
            and name not in SPECIAL
            and name not in DELIMITERS
            and isinstance(value, (str, dict))
        ):
            tokens.append(_token(value))
    for name in MORE:
        extra = settings.get(name) or []
        tokens += [_token(value) for value in (extra.values() if isinstance(extra, dict) else extra)]
    return list(dict.fromkeys(filter(None, tokens)))


def _added_tokens(checkpoint: Path, settings: dict[str, Any]) -> dict[int, str]:
    """The tokens that the tokenizer was given after its vocabulary, by their number."""
    path, added = checkpoint / "tokenizer_config.json", settings.get("added_tokens_decoder")
    if added is None:
        path = checkpoint / "added_tokens.json"
        added = {index: token for token, index in read_json(path).items()}
    try:
        numbers = {int(index): token for index, token in added.items() if isinstance(index, (int, str))}
    except (ValueError, AttributeError) as error:
        raise RecipeError(f"{path} must give each added token its number") from error
    if len(numbers) != len(added) or not all(map(_is_token, numbers.values())):
        raise RecipeError(f"{path} must give each added token its number")
    return {index: _token(token) for index, token in numbers.items()}


def _numbered(kind: str, vocabulary: dict[str, int], added: dict[int, str], special: list[str]) -> dict[int, str]:
    """The token of each number. Special tokens without one get the next, as when Hugging Face loads the tokenizer."""
    added, there = dict(added), {*added.values()}
    following = len({*vocabulary, *there})
    for token in [token for token in special if token not in there]:
        added[vocabulary.get(token, following)] = token
        following += token not in vocabulary
    own = {index: token for token, index in vocabulary.items()}
    # Of two tokens with one number, the class of characters takes the vocabulary's, that of phonemes the added one.
    return {**added, **own} if kind == "characters" else {**own, **added}


def _is_token(value: Any) -> bool:
    """Whether Hugging Face would have written a value for a token."""
    return isinstance(value, str) or (isinstance(value, dict) and isinstance(value.get("content"), str))


def _token(value: Any) -> str:
    """A token as text: Hugging Face writes it plain, as an object with its ``content``, or null for none."""
    return str(value.get("content", "")) if isinstance(value, dict) else str(value or "")
