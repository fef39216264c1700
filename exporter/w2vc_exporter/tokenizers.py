"""The tokenizer files of a checkpoint, as the decoding rules that the manifest states.

Hugging Face writes ``vocab.json``, ``tokenizer_config.json`` and, for tokens past the vocabulary,
``added_tokens.json``; transformers 4 writes ``special_tokens_map.json`` too. The last two are read only where the
configuration has no ``added_tokens_decoder``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from w2vc_model.errors import listed
from w2vc_runtime.manifest import Ctc

from .errors import RecipeError
from .recipes import read_json

TOKENIZERS = {"Wav2Vec2CTCTokenizer": "characters", "Wav2Vec2PhonemeCTCTokenizer": "phonemes"}
# In the order in which Hugging Face numbers those that the vocabulary lacks.
SPECIAL = {
    "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": None, "pad_token": "<pad>",
    "cls_token": None, "mask_token": None,
}  # fmt: skip
DELIMITERS = ("word_delimiter_token", "phone_delimiter_token")


def read_ctc(checkpoint: Path, vocab_size: int, target_lang: str | None = None) -> Ctc:
    """The decoding rules for ``vocab_size`` logits (HF ``Wav2Vec2CTCTokenizer``, ``Wav2Vec2PhonemeCTCTokenizer``).

    target_lang: which of the vocabularies, where they are nested by language; by default the tokenizer's own.
    Raises `RecipeError` on files that are missing or damaged, of another tokenizer, or of another model.
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
    pad = named["pad_token"]
    blank = next((index for index in range(vocab_size) if pad and tokens.get(index) == pad), None)
    if blank is None:
        raise RecipeError(f"{path} has no {pad or 'pad_token'!r}, the pad token that is the CTC blank")
    replacement = settings.get("replace_word_delimiter_char", " ")
    if not isinstance(replacement, str):
        raise RecipeError(
            f"{checkpoint}: replace_word_delimiter_char {replacement!r} is not supported; supported: text"
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


def _settings(checkpoint: Path) -> dict[str, Any]:
    """The tokenizer's configuration."""
    settings = read_json(checkpoint / "tokenizer_config.json")
    if "added_tokens_decoder" in settings:
        return settings
    return settings | read_json(checkpoint / "special_tokens_map.json")


def _kind(checkpoint: Path, settings: dict[str, Any]) -> str:
    name = settings.get("tokenizer_class") or read_json(checkpoint / "config.json").get("tokenizer_class")
    if name is None:
        return "characters"
    if name not in TOKENIZERS:
        raise RecipeError(
            f"{checkpoint}: tokenizer_class {name!r} is not supported; supported: {', '.join(TOKENIZERS)}"
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
            wanted = "needs a target language" if language is None else f"has no language {language!r}"
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
    for name in ("additional_special_tokens", "extra_special_tokens"):
        extra = settings.get(name) or []
        if not isinstance(extra, (list, dict)):
            raise RecipeError(f"{checkpoint}: {name} {extra!r} is not supported; supported: a list of tokens")
        tokens += [_token(value) for value in (extra.values() if isinstance(extra, dict) else extra)]
    return list(dict.fromkeys(filter(None, tokens)))


def _added_tokens(checkpoint: Path, settings: dict[str, Any]) -> dict[int, str]:
    """The tokens that the tokenizer was given after its vocabulary, by their number."""
    path = checkpoint / "added_tokens.json"
    added = settings.get("added_tokens_decoder")
    own = read_json(path) if added is None else {}
    try:
        if added is not None:
            path = checkpoint / "tokenizer_config.json"
            return {int(index): _token(token) for index, token in added.items()}
        return {int(index): token for token, index in own.items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise RecipeError(f"{path} must give each added token its number") from error


def _numbered(kind: str, vocabulary: dict[str, int], added: dict[int, str], special: list[str]) -> dict[int, str]:
    """The token of each number. Special tokens without one get the next, as when Hugging Face loads the tokenizer."""
    added = dict(added)
    following = len({*vocabulary, *added.values()})
    for token in [token for token in special if token not in added.values()]:
        added[vocabulary.get(token, following)] = token
        following += token not in vocabulary
    own = {index: token for token, index in vocabulary.items()}
    # Of two tokens with one number, the class of characters takes the vocabulary's, that of phonemes the added one.
    return {**added, **own} if kind == "characters" else {**own, **added}


def _token(value: Any) -> str:
    """A token as text: Hugging Face writes it plain, as an object with its ``content``, or null for none."""
    return str(value.get("content", "")) if isinstance(value, dict) else str(value or "")
