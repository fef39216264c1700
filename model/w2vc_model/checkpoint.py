"""Read a Hugging Face checkpoint directory, strictly."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from .config import LARGEST, SpeechConfig
from .documents import read_object
from .errors import CheckpointError, ConfigError, HeadError, listed, shown
from .families import FAMILIES, Family
from .heads import HEADS, BaseModel, SpeechModel
from .masks import PaddingContract, receptive_field
from .weights import COUNTERS, read_tensors, weight_files, what_is

# What any head may own; a checkpoint with several heads is not at fault.
OWNED = tuple(sorted({prefix for head in HEADS.values() for prefix in head.owned}))
# Both spellings of weight norm, as one.
WEIGHT_NORM = {".parametrizations.weight.original0": ".weight_g", ".parametrizations.weight.original1": ".weight_v"}
# In the order of preference, the last wins: sorted by name, .safetensors comes after .bin.
ADAPTERS = (".bin", ".safetensors")


def load(
    directory: str | Path,
    head: str,
    padding: PaddingContract = "padding-invariant",
    target_lang: str | None = None,
    hidden_states: tuple[int, ...] = (),
) -> SpeechModel:
    """Load one head of a Hugging Face checkpoint, in fp32 and in evaluation mode.

    directory: holds ``config.json`` and ``model.safetensors`` or ``pytorch_model.bin``, single or sharded.
    target_lang: language whose adapter and head replace those of the weight file (HF ``load_adapter``).
    hidden_states: for head ``base``, the hidden states to give besides the last.
    Raises `CheckpointError` (a file or tensor is missing, damaged, unexpected or of the wrong shape), `ConfigError`
    (an unsupported configuration) or `HeadError` (the checkpoint has other heads).
    """
    if head not in HEADS:
        raise HeadError(f"unknown head {head!r}; known: {', '.join(HEADS)}")
    directory = Path(directory)
    config = read_config(directory)
    tensors = read_tensors(weight_files(directory))
    if target_lang is not None:
        adapter = read_tensors([adapter_file(directory, target_lang)])
        tensors |= adapter
        if "lm_head.bias" in adapter:  # every language has its own alphabet
            config = dataclasses.replace(config, vocab_size=adapter["lm_head.bias"].numel())
            config.check()
    tensors = _rename(tensors, FAMILIES[config.model_type])
    present = heads_of(tensors)
    if head not in present:
        raise HeadError(f"{directory} has no weights for head {head!r}; it has: {', '.join(present)}")
    _check_layers(config, tensors, directory)
    kind = HEADS[head]
    scores = tensors["classifier.bias"].numel() if "classifier.bias" in tensors else 0
    if kind.labelled and scores and scores != len(config.labels):
        raise ConfigError(
            f"{directory / 'config.json'}: id2label names {len(config.labels)} labels, and the classifier gives "
            f"{scores} scores; give id2label the names of 0 to {scores - 1}"
        )
    with torch.device("meta"):
        model = BaseModel(config, padding, hidden_states) if kind is BaseModel else kind(config, padding)
    _check_reach(model)
    _assign(model, tensors, directory)
    return model.eval().requires_grad_(False)


def read_config(directory: Path) -> SpeechConfig:
    """Parse ``config.json``; raise `ConfigError` where it describes a model that is not supported."""
    if directory.is_file():
        raise CheckpointError(f"{directory} {what_is(directory)}")
    if not directory.is_dir():
        raise CheckpointError(f"{directory} is not a directory; expected a Hugging Face checkpoint with config.json")
    path = directory / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{directory} has no config.json; expected a Hugging Face checkpoint directory")
    values = read_object(path)
    family = values.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        raise ConfigError(f"{path}: model_type {shown(family)} is not supported; supported: {', '.join(FAMILIES)}")
    return FAMILIES[family].config.from_dict(values)


def adapter_file(directory: Path, target_lang: str) -> Path:
    """The file of a language adapter; raise `CheckpointError` where the checkpoint has none for that language."""
    if getattr(read_config(directory), "adapter_attn_dim", None) is None:
        raise CheckpointError(f"{directory} has no language adapters (adapter_attn_dim); leave out the target language")
    found = {path.name.split(".")[1]: path for path in sorted(directory.glob("adapter.*.*")) if path.suffix in ADAPTERS}
    if target_lang not in found:
        there = listed(list(found)) if found else "none"
        raise CheckpointError(f"{directory} has no adapter for language {target_lang!r}; there: {there}")
    return found[target_lang]


def _rename(tensors: dict[str, Tensor], family: Family) -> dict[str, Tensor]:
    """Map Hugging Face's names to ours and drop what an inference does not use."""
    bare = not any(name.startswith(family.prefix) for name in tensors)
    renamed = {}
    for name, tensor in tensors.items():
        inner = name.removeprefix(family.prefix)
        if inner.endswith(COUNTERS):
            continue
        for theirs, ours in {**family.renamed, **WEIGHT_NORM}.items():
            inner = inner.replace(theirs, ours)
        if ".pointwise_conv" in inner and tensor.ndim == 3 and tensor.shape[-1] == 1:
            tensor = tensor.squeeze(-1)
        renamed[f"backbone.{inner}" if bare or name.startswith(family.prefix) else name] = tensor
    return _fold_weight_norm(renamed)


def _fold_weight_norm(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Replace magnitude and direction by their product (arXiv 1602.07868), per position of the kernel as in HF."""
    folded = dict(tensors)
    for name in tensors:
        stem = name.removesuffix("_g")
        if stem != name and f"{stem}_v" in tensors:
            magnitude, direction = folded.pop(name).float(), folded.pop(f"{stem}_v").float()
            if direction.ndim == 3 and magnitude.shape == (1, 1, direction.shape[-1]):
                folded[stem] = magnitude * direction / direction.norm(dim=(0, 1), keepdim=True)
    return folded


def heads_of(tensors: Iterable[str]) -> list[str]:
    """The heads whose weights are among some names of parameters; ``base`` is in every checkpoint.

    Frame classification, sequence classification and x-vectors share names: whoever has more of them is meant.
    """
    names = tuple(tensors)
    found = {
        name: head.marker
        for name, head in HEADS.items()
        if all(any(tensor.startswith(prefix) for tensor in names) for prefix in head.marker)
    }
    if "xvector" in found:
        found.pop("sequence-classification", None)
    if found.keys() & {"xvector", "sequence-classification"}:
        found.pop("frame-classification", None)
    return list(found)


def _check_layers(config: SpeechConfig, tensors: Iterable[str], directory: Path) -> None:
    """Raise `CheckpointError` where the weights have other layers than the configuration, before any is built."""
    prefix = "backbone.encoder.layers."
    numbers = (name.removeprefix(prefix).partition(".")[0] for name in tensors if name.startswith(prefix))
    layers = set(filter(str.isdecimal, numbers))
    if layers and len(layers) != config.num_hidden_layers:
        raise CheckpointError(
            f"{directory}: config.json has num_hidden_layers {config.num_hidden_layers}, "
            f"and the weights have {len(layers)} layers; they belong to different checkpoints"
        )


def _check_reach(model: SpeechModel) -> None:
    """Raise `ConfigError` where one answer takes more sound than a recording has."""
    reach = max(model.shortest, *(max(receptive_field(chain)) for chain in model.axes.values()))
    if reach > LARGEST:
        raise ConfigError(
            f"config.json: kernels and strides that take {reach} samples or frames together are not supported; "
            f"supported: up to {LARGEST}"
        )


def _assign(model: SpeechModel, tensors: dict[str, Tensor], directory: Path) -> None:
    wanted = {name: t for name, t in model.state_dict().items() if not name.endswith(COUNTERS)}
    unused = tuple(f"backbone.{name}" for name in FAMILIES[model.config.model_type].unused)
    missing = sorted(wanted.keys() - tensors.keys())
    unexpected = sorted(name for name in tensors.keys() - wanted.keys() if not name.startswith(OWNED + unused))
    wrong = [
        f"{name} {list(tensors[name].shape)} instead of {list(wanted[name].shape)}"
        for name in sorted(wanted.keys() & tensors.keys())
        if tensors[name].shape != wanted[name].shape
    ]
    problems = [
        f"{title}: {listed(names)}"
        for title, names in (("missing", missing), ("unexpected", unexpected), ("wrong shape", wrong))
        if names
    ]
    if problems:
        raise CheckpointError(f"{directory}: the weights do not fit config.json; {'; '.join(problems)}")
    state = {name: tensors[name].to(torch.float32) for name in wanted}
    # Batch norm insists on its counter, which an inference never reads.
    counters = {name: torch.zeros((), dtype=torch.int64) for name in model.state_dict() if name not in wanted}
    model.load_state_dict(state | counters, strict=True, assign=True)
