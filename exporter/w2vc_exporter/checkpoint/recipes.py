"""The preprocessor files of a checkpoint, as the manifest states them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from w2vc_exporter.errors import RecipeError
from w2vc_model import ModelError
from w2vc_model.documents import read_object
from w2vc_model.errors import shown
from w2vc_runtime.features import RECIPES, Recipe

FEATURE_EXTRACTORS = {recipe.extractor: recipe for recipe in RECIPES.values()}
# Copied into the bundle as they are, for whoever wants to feed the graph with Hugging Face's own classes.
COPIED = (
    "config.json", "preprocessor_config.json", "processor_config.json", "vocab.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip
# Hz: from below a telephone to above what sound cards have.
RATES = range(1_000, 768_001)
SIZES = ("feature_size", "num_mel_bins", "stride")
SWITCHES = ("do_normalize", "return_attention_mask")


def read_features(checkpoint: Path, input_name: str) -> Recipe:
    """The feature recipe for a model that takes ``input_name``; raise `RecipeError` on one that is missing or unfit."""
    path, values = _preprocessor(checkpoint)
    kind = values.get("feature_extractor_type", "Wav2Vec2FeatureExtractor")
    if not isinstance(kind, str) or kind not in FEATURE_EXTRACTORS:
        known = ", ".join(FEATURE_EXTRACTORS)
        raise RecipeError(f"{path}: feature_extractor_type {shown(kind)} is not supported; supported: {known}")
    recipe = FEATURE_EXTRACTORS[kind]
    if recipe.input != input_name:
        fit = next(name for name, other in FEATURE_EXTRACTORS.items() if other.input == input_name)
        raise RecipeError(f"{path}: {kind} gives {recipe.input}, and the model takes {input_name}; it needs {fit}")
    try:
        _check(values)
        return recipe.from_preprocessor(values)
    except ValueError as error:
        raise RecipeError(f"{path}: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, empty where there is no file."""
    if not path.is_file():
        return {}
    try:
        return read_object(path)
    except ModelError as error:
        raise RecipeError(str(error)) from error


def _preprocessor(checkpoint: Path) -> tuple[Path, dict[str, Any]]:
    """The settings of the feature extractor, and the file that has them: transformers 5 writes one for both parts."""
    path, processor = checkpoint / "preprocessor_config.json", checkpoint / "processor_config.json"
    if values := read_json(path):
        return path, values
    if "feature_extractor" in (values := read_json(processor)):
        if not isinstance(values["feature_extractor"], dict):
            raise RecipeError(f"{processor}: feature_extractor must hold a JSON object")
        return processor, values["feature_extractor"]
    also = f", and {processor.name} has no feature_extractor" if values else ""
    raise RecipeError(f"{checkpoint} has no {path.name}{also}; save the feature extractor beside the model")


def _check(values: dict[str, Any]) -> None:
    """Raise `ValueError` on a value of a type or size that no feature extractor has."""
    for name in SWITCHES:
        if not isinstance(values.get(name, True), bool):
            raise ValueError(f"{name} {shown(values[name])} is not supported; supported: true, false")
    padding = values.get("padding_value", 0.0)
    # The largest float32 is what a graph can be fed.
    if isinstance(padding, bool) or not isinstance(padding, (int, float)) or not abs(padding) < 3e38:
        raise ValueError(f"padding_value {shown(padding)} is not supported; supported: a number")
    rate = values.get("sampling_rate", 16000)
    if isinstance(rate, bool) or not isinstance(rate, int) or rate not in RATES:
        raise ValueError(f"sampling_rate must be a positive number of Hz, {RATES[0]} to {RATES[-1]}, got {shown(rate)}")
    for name in SIZES:
        if name in values and (isinstance(values[name], bool) or not isinstance(values[name], int)):
            raise ValueError(f"{name} {shown(values[name])} is not supported; supported: a number")
    if (side := values.get("padding_side", "right")) != "right":
        raise ValueError(f"padding_side {shown(side)} is not supported; supported: 'right'")
