"""A bundle, loaded and ready to answer."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .answers import ANSWERS, Outputs
from .audio import AudioSource, Samples, name_of, read_audio
from .errors import AudioError, InferenceError, OptionError, W2vcError
from .manifest import Manifest, check_files, find_graph
from .outputs import CheckedSession
from .results import Result
from .session import Session, open_bundle

TimeMask = NDArray[np.bool_]


class Model:
    """A speech model. Safe to call from several threads at once.

    What it answers depends on its head: `Transcript` (ctc), `Classification` (sequence-classification), `FrameLabels`
    (frame-classification), `Embedding` (xvector), `HiddenStates` (base) or `Pretraining` (pretraining).
    """

    def __init__(self, manifest: Manifest, session: Session) -> None:
        self.manifest = manifest
        self._session = session
        self._answer = ANSWERS[manifest.head](manifest)

    @property
    def provider(self) -> str:
        """What runs the graph, and was picked where ``auto`` was asked for: see `load`."""
        return self._session.provider

    def read(self, source: AudioSource) -> Samples:
        """Samples of a recording as this model wants them; raise `AudioError` on one it cannot answer.

        A silent recording has an answer, and a warning.
        """
        samples = read_audio(source, self.manifest.features.sampling_rate, self.manifest.shortest)
        if not samples.any():
            warnings.warn(f"{name_of(source)} is silent: every sample is zero", stacklevel=2)
        return samples

    def __call__(self, source: AudioSource) -> Result:
        """Answer for one recording: a path, bytes, file object, or ``(samples, sample_rate)``."""
        return self.batch([source])[0]

    def batch(self, sources: Sequence[AudioSource], batch_size: int = 8) -> list[Result]:
        """Answer for recordings of any lengths, in their order; clips of like length share a batch.

        Raises what `try_batch` would return for the first recording that has no answer.
        """
        answers: list[Result] = []
        for answer in self.try_batch(sources, batch_size):
            if isinstance(answer, W2vcError):
                raise answer
            answers.append(answer)
        return answers

    def try_batch(self, sources: Sequence[AudioSource], batch_size: int = 8) -> list[Result | W2vcError]:
        """As `batch`, but a recording that has no answer gives its error in its place, and the others their answers.

        The errors are `AudioError` (it cannot be read) and `InferenceError` (the backend failed on its batch).
        """
        if batch_size < 1:
            raise OptionError(f"batch_size must be at least 1, got {batch_size}")
        outcomes: dict[int, Result | W2vcError] = {}
        clips: dict[int, Samples] = {}
        for index, source in enumerate(sources):
            try:
                clips[index] = self.read(source)
            except AudioError as error:
                outcomes[index] = error
        # Longest first: little is padded, and memory peaks at once.
        order = sorted(clips, key=lambda index: -len(clips[index]))
        for start in range(0, len(order), batch_size):
            indices = order[start : start + batch_size]
            try:
                outcomes.update(zip(indices, self.infer([clips[index] for index in indices])))
            except InferenceError as error:
                outcomes.update(dict.fromkeys(indices, error))
        return [outcomes[index] for index in range(len(sources))]

    def infer(self, clips: Sequence[Samples], mask_time_indices: Sequence[TimeMask] | None = None) -> list[Result]:
        """Answer for clips as `read` gives them, in one batch.

        mask_time_indices: for head ``pretraining``, the frames [frames] of each clip that the encoder must guess; none
        by default.
        """
        rate = self.manifest.features.sampling_rate
        rows = self.outputs(clips, mask_time_indices)
        return [self._answer(row, len(clip) / rate) for row, clip in zip(rows, clips)]

    def outputs(self, clips: Sequence[Samples], mask_time_indices: Sequence[TimeMask] | None = None) -> list[Outputs]:
        """The graph's outputs by name for each clip, cut to its valid frames; the arguments are those of `infer`."""
        manifest = self.manifest
        inputs = manifest.features(clips, manifest.padding)
        if any(tensor.name == "mask_time_indices" for tensor in manifest.inputs):
            inputs["mask_time_indices"] = self._time_mask(clips, mask_time_indices)
        elif mask_time_indices is not None:
            raise OptionError(f"mask_time_indices is for head 'pretraining'; this bundle has head {manifest.head!r}")
        results = self._session.run(inputs)
        rows = []
        for row, clip in enumerate(clips):
            outputs = {}
            for tensor in manifest.outputs:
                value = results[tensor.name]
                if tensor.shape:  # what has no batch axis is of the batch as a whole
                    value = value[row]
                axis = tensor.shape[1] if len(tensor.shape) > 1 else None
                if axis in manifest.frames:
                    count = manifest.frames[str(axis)].count(len(clip))
                    if len(value) < count:
                        raise InferenceError(f"{tensor.name} has {len(value)} frames, and a clip like this has {count}")
                    value = value[:count]
                outputs[tensor.name] = value
            rows.append(outputs)
        return rows

    def _time_mask(self, clips: Sequence[Samples], masks: Sequence[TimeMask] | None) -> TimeMask:
        frames = self.manifest.frames["frames"]
        result = np.zeros((len(clips), max(frames.count(len(clip)) for clip in clips)), dtype=bool)
        for row, clip in enumerate(clips):
            count = frames.count(len(clip))
            if masks is None:
                continue
            if len(masks) != len(clips) or np.shape(masks[row]) != (count,):
                raise OptionError(f"mask_time_indices must have one mask a clip; clip {row} has {count} frames")
            result[row, :count] = masks[row]
        return result


def load(bundle: str | os.PathLike[str], provider: str = "auto", precision: str | None = None) -> Model:
    """Load a bundle that ``w2vc-export`` wrote, after checking every file against its manifest.

    provider: ``cpu`` or ``cuda`` (ONNX Runtime), ``tensorrt`` or ``tensorrt-rtx`` (an engine of the bundle, else ONNX
    Runtime), ``openvino`` (on the CPU) or ``auto``: what the graph is written for, else an engine of the bundle that
    runs here, else CUDA, else OpenVINO where it is installed on an x86, else ``cpu``; ``w2vc info`` says which and why,
    and the logger ``w2vc`` what was passed over. precision: which graph of the bundle; by default its first.
    Raises `BundleError` (missing, damaged or too new), `OptionError` (no such provider here) or `MissingExtraError`.
    """
    directory = Path(bundle)
    manifest = Manifest.read(directory)
    check_files(directory, manifest)
    graph = find_graph(directory, manifest, precision)
    return Model(manifest, CheckedSession(open_bundle(directory, manifest, graph, provider), manifest))
