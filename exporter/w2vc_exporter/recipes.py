"""The preprocessor files of a checkpoint, as the manifest states them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from w2vc_runtime.features import RECIPES, Recipe

from .errors import RecipeError

FEATURE_EXTRACTORS = {recipe.extractor: recipe for recipe in RECIPES.values()}
# Copied into the bundle as they are, for whoever wants to feed the graph with Hugging Face's own classes.
COPIED = (
    "config.json", "preprocessor_config.json", "processor_config.json", "vocab.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip


def read_features(checkpoint: Path, input_name: str) -> Recipe:
    """The feature recipe for a model that takes ``input_name``; raise `RecipeError` on one that is missing or unfit."""
    path = checkpoint / "preprocessor_config.json"
    values = read_json(path) or read_json(checkpoint / "processor_config.json").get("feature_extractor")
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


def read_json(path: Path) -> dict[str, Any]:
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
