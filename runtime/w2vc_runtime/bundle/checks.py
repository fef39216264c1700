"""What no type says of a manifest: that its parts belong together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from w2vc_runtime.features import LogMel

from .manifest import Manifest
from .types import HEADS, Engine, Tensor

CLASSIFICATION = ("sequence-classification", "frame-classification")
HIDDEN = re.compile(r"hidden_states_\d{1,4}")
# Of a clip that is answered for; more is a mistake that only takes memory.
MOST_SECONDS = 30
MOST_STEPS_A_SECOND = 2000


def contradictions(manifest: Manifest) -> Iterator[str]:
    """What is wrong with a manifest whose fields are all of the right type."""
    for part in (_recipe, _inputs, _outputs, _answers, _graphs, _engines):
        yield from part(manifest)


def _recipe(manifest: Manifest) -> Iterator[str]:
    recipe = manifest.features
    rate = recipe.sampling_rate
    if manifest.shortest > MOST_SECONDS * rate:
        yield f"shortest is {manifest.shortest:,} samples, and must be at most {MOST_SECONDS} seconds"
    if isinstance(recipe, LogMel):
        if recipe.fft_length < recipe.frame_length:
            yield f"features.fft_length is {recipe.fft_length}, and frames of {recipe.frame_length} samples do not fit"
        if recipe.max_frequency <= recipe.min_frequency:
            yield "features.max_frequency is not above min_frequency"
        if recipe.hop_length * MOST_STEPS_A_SECOND < rate:
            yield f"features.hop_length is {recipe.hop_length} samples of {rate} a second: too short a step"
    for axis, frames in manifest.frames.items():
        if not frames.count(manifest.shortest):
            yield f"shortest is {manifest.shortest}, and the first of frames.{axis} is made of {frames.field} samples"


def _inputs(manifest: Manifest) -> Iterator[str]:
    recipe = manifest.features
    wanted = [
        Tensor(recipe.input, "float32", recipe.shape),
        Tensor("attention_mask", "int64", recipe.shape[:2]),
    ]
    if manifest.head == "pretraining":
        wanted.append(Tensor("mask_time_indices", "bool", ("batch", "frames")))
        if "frames" not in manifest.frames:
            yield "frames lacks 'frames', which mask_time_indices is of"
    if list(manifest.inputs) != wanted:
        takes = ", ".join(f"{each.name} {each.dtype} {list(each.shape)}" for each in wanted)
        yield f"inputs must be {takes}, for features of kind {recipe.kind} and head {manifest.head}"


def _outputs(manifest: Manifest) -> Iterator[str]:
    wanted = HEADS[manifest.head]
    names = [output.name for output in manifest.outputs]
    more = names[len(wanted) :]
    hidden = manifest.head == "base" and all(map(HIDDEN.fullmatch, more)) and len(set(more)) == len(more)
    if names[: len(wanted)] != list(wanted) or (more and not hidden):
        yield f"outputs of head {manifest.head} must be {', '.join(wanted)}"
    for output in manifest.outputs:
        dimensions = wanted.get(output.name, (3,))
        batch = not output.shape or output.shape[0] == "batch"
        timed = len(output.shape) < 3 or output.shape[1] in manifest.frames
        width = not output.shape[1:] or isinstance(output.shape[-1], int)
        if len(output.shape) not in dimensions or not (batch and timed and width and output.dtype == "float32"):
            yield f"output {output.name} is {output.dtype} {list(output.shape)}, which head {manifest.head} has not"


def _answers(manifest: Manifest) -> Iterator[str]:
    for field, part, heads in (("ctc", manifest.ctc, ("ctc",)), ("labels", manifest.labels, CLASSIFICATION)):
        if (part is not None) != (manifest.head in heads):
            yield f"{field} must be {'given' if part is None else 'null'} for head {manifest.head}"
    channels = manifest.outputs[0].shape[-1:] if manifest.outputs else ()
    if manifest.ctc is not None:
        tokens = len(manifest.ctc.vocabulary)
        if manifest.ctc.blank >= tokens:
            yield f"ctc.blank is {manifest.ctc.blank}, and ctc.vocabulary has {tokens} tokens"
        if channels != (tokens,):
            yield f"ctc.vocabulary has {tokens} tokens, and there are {list(channels)} logits"
    if manifest.labels is not None and channels != (len(manifest.labels.names),):
        yield f"labels.names has {len(manifest.labels.names)} labels, and there are {list(channels)} logits"


def _graphs(manifest: Manifest) -> Iterator[str]:
    precisions = [graph.precision for graph in manifest.graphs]
    if len(set(precisions)) < len(precisions):
        yield f"graphs has two of one precision: {', '.join(precisions)}"
    if set(manifest.verification) != set(precisions):
        yield f"verification is of {', '.join(manifest.verification)}, and graphs of {', '.join(precisions)}"
    for graph in manifest.graphs:
        if not graph.files[0].endswith(".onnx"):  # a library may take another name for another format
            yield f"the graph in {graph.precision} is {graph.files[0]}, and must be an .onnx file"
        for name in graph.files:
            if name not in manifest.files:
                yield f"files lacks {name}, which the graph in {graph.precision} is made of"
    for precision, each in manifest.verification.items():
        if not each.passed or any(case.difference is None for case in each.cases):
            yield f"verification.{precision} did not pass, and a bundle is of graphs that did"
        if all(case.recorded for case in each.cases):
            yield f"verification.{precision} has no case of noise"


def _engines(manifest: Manifest) -> Iterator[str]:
    precisions = {graph.precision for graph in manifest.graphs}
    entries = dict(manifest.files)
    for engine in manifest.engines:
        if PurePosixPath(engine.file).suffix != ".plan":
            yield f"engine {engine.file} must be a .plan file"
        for name, entry in engine.files.items():
            if entries.setdefault(name, entry) != entry:
                yield f"two files are called {name}"
        if engine.precision not in precisions:
            yield f"engine {engine.file} is in {engine.precision}, and no graph is"
        if engine.gpu is not None and not engine.targets:
            yield f"engine {engine.file} is for {engine.gpu!a}, and its targets lack that one's capability"
        if not all(_fits(engine, manifest.inputs)):
            yield f"engine {engine.file} has profiles that are not of the inputs {[t.name for t in manifest.inputs]}"


def _fits(engine: Engine, inputs: tuple[Tensor, ...]) -> Iterator[bool]:
    """Of each profile and input, whether it has least, typical and most sizes of every dimension."""
    for profile in engine.profiles:
        yield profile.shapes.keys() == {tensor.name for tensor in inputs}
        yield sorted(profile.seconds) == list(profile.seconds)
        yield sorted(profile.batch) == list(profile.batch)
        for tensor in inputs:
            bounds = profile.shapes.get(tensor.name, ())
            yield all(len(each) == len(tensor.shape) for each in bounds)
            yield all(sorted(sizes) == list(sizes) for sizes in zip(*bounds))
