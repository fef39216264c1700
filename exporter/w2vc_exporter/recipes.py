"""The preprocessor and tokenizer files of a checkpoint, as the manifest states them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from w2vc_model.errors import listed
from w2vc_runtime.features import RECIPES, Recipe
from w2vc_runtime.manifest import Ctc

from .errors import RecipeError

FEATURE_EXTRACTORS = {recipe.extractor: recipe for recipe in RECIPES.values()}
TOKENIZERS = ("Wav2Vec2CTCTokenizer",)
SPECIAL = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
# Copied into the bundle as they are, for whoever wants to feed the graph with Hugging Face's own classes.
COPIED = (
    "config.json", "preprocessor_config.json", "processor_config.json", "vocab.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip


def read_features(checkpoint: Path, input_name: str) -> Recipe:
    """The feature recipe for a model that takes ``input_name``; raise `RecipeError` on one that is missing or unfit."""
    path = checkpoint / "preprocessor_config.json"
    values = _read_json(path) or _read_json(checkpoint / "processor_config.json").get("feature_extractor")
    if not isinstance(values, dict):
        raise RecipeError(f"{checkpoint} has no {path.name}; save the feature extractor beside the model")
    kind = values.get("feature_extractor_type", "Wav2Vec2FeatureExtractor")
    if kind not in FEATURE_EXTRACTORS:
        known = ", ".join(FEATURE_EXTRACTORS)
        raise RecipeError(f"{path}: feature_extractor_type {kind!r} is not supported; supported: {known}")
    recipe = FEATURE_EXTRACTORS[kind]
    if recipe.input != input_name:
        fit = next(name for name, other in FEATURE_EXTRACTORS.items() if other.input == input_name)
        raise RecipeError(f"{path}: {kind} gives {recipe.input}, and the model takes {input_name}; it needs {fit}")
    try:
        return recipe.from_preprocessor(values)
    except ValueError as error:
        raise RecipeError(f"{path}: {error}") from error


def read_ctc(checkpoint: Path, vocab_size: int, target_lang: str | None = None) -> Ctc:
    """The decoding rules (HF ``Wav2Vec2CTCTokenizer``) for a head of ``vocab_size`` logits.

    target_lang: which of the vocabularies, where they are nested by language; by default the tokenizer's own.
    """
    path = checkpoint / "vocab.json"
    vocabulary = _read_json(path)
    if not vocabulary:
        raise RecipeError(f"{checkpoint} has no vocab.json; save the tokenizer beside the model")
    settings = _read_json(checkpoint / "tokenizer_config.json") | _read_json(checkpoint / "special_tokens_map.json")
    if all(isinstance(value, dict) for value in vocabulary.values()):
        vocabulary = _of_language(path, vocabulary, target_lang or settings.get("target_lang"))
    if not all(isinstance(index, int) and not isinstance(index, bool) for index in vocabulary.values()):
        raise RecipeError(f"{path} must map each token to its number, or each language to such a map")
    kind = settings.get("tokenizer_class", TOKENIZERS[0])
    if kind not in TOKENIZERS:
        raise RecipeError(
            f"{checkpoint}: tokenizer_class {kind!r} is not supported; supported: {', '.join(TOKENIZERS)}"
        )
    special = {name: _token(settings.get(name, default)) for name, default in SPECIAL.items()}
    tokens = {index: token for token, index in _added(checkpoint, settings).items()}
    tokens |= {index: token for token, index in vocabulary.items()}
    if min(tokens) < 0 or max(vocabulary.values()) >= vocab_size:
        raise RecipeError(
            f"{path} has tokens up to {max(vocabulary.values())}, but config.json has vocab_size {vocab_size}; "
            "the tokenizer belongs to another model"
        )
    blank = next((index for index, token in sorted(tokens.items()) if token == special["pad_token"]), None)
    if blank is None or blank >= vocab_size:
        raise RecipeError(f"{path} has no {special['pad_token']!r}, the pad token that is the CTC blank")
    extra = settings.get("additional_special_tokens") or settings.get("extra_special_tokens") or []
    return Ctc(
        vocabulary=tuple(tokens.get(index, special["unk_token"]) for index in range(vocab_size)),
        blank=blank,
        word_delimiter=_token(settings.get("word_delimiter_token", "|")),
        replace_word_delimiter_char=settings.get("replace_word_delimiter_char", " "),
        special_tokens=tuple(dict.fromkeys(filter(None, [*special.values(), *map(_token, extra)]))),
        do_lower_case=bool(settings.get("do_lower_case", False)),
        clean_up_tokenization_spaces=bool(settings.get("clean_up_tokenization_spaces", False)),
    )


def _of_language(path: Path, vocabularies: dict[str, Any], language: str | None) -> dict[str, Any]:
    if language is None or language not in vocabularies:
        wanted = "needs a target language" if language is None else f"has no language {language!r}"
        raise RecipeError(f"{path} {wanted}; there: {listed(sorted(vocabularies))}")
    return vocabularies[language]


def _added(checkpoint: Path, settings: dict[str, Any]) -> dict[str, int]:
    added = dict(_read_json(checkpoint / "added_tokens.json"))
    for index, token in settings.get("added_tokens_decoder", {}).items():
        added[_token(token)] = int(index)
    return added


def _token(value: Any) -> str:
    """A token as text: Hugging Face writes it plain, as an object with its ``content``, or null for none."""
    return value["content"] if isinstance(value, dict) else str(value or "")


def _read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, empty where there is no file."""
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RecipeError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path} must hold a JSON object")
    return values
