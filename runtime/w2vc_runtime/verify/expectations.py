"""``verification.npz``: what PyTorch computed, kept in the bundle so that it can be checked without PyTorch.

The audio is made again from its seed. Of each output the file has, for all clips of all cases one after another:

``OUTPUT.values``   float32 [rows, channels] at evenly spaced frames; [clips, ...] of an output without frames
``OUTPUT.frames``   int32 [clips]: how many frames each clip has; only of an output with frames
``OUTPUT.largest``  float64 [clips]: largest |value| of all frames
``OUTPUT.best``     int32 [frames]: index of the largest channel of every frame; only of ``chosen``

and besides ``rows`` (most frames of a clip in ``values``), ``chosen`` (see `parity.verify`; empty for none) and
``clips`` (sha256 of the audio).
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.bundle import Bundle, Manifest, Tensor, locate
from w2vc_runtime.documents.reader import DocumentError
from w2vc_runtime.errors import BundleError

from .archive import read_arrays
from .cases import cases, digest
from .reference import Expected, Reference

FILE_NAME = "verification.npz"
MOST_FRAMES = 64
MOST_BYTES = 4_000_000
# Outputs that can make a choice.
CHOSEN = ("logits", "projected_quantized_states")
# Dimensions of an output with frames.
TIMED = 3

# Type and shape of an array.
Layout = tuple[str, tuple[int, ...]]


def write(path: Path, references: Sequence[Reference], choice: str | None) -> None:
    """Write what PyTorch computed, at fewer frames the more there is of it. Same input, same bytes."""
    rows = _rows(references)
    arrays: dict[str, Any] = {
        "clips": np.frombuffer(digest(clip for each in references for clip in each.clips), dtype=np.uint8),
        "chosen": np.array(choice or ""),
        "rows": np.array(rows),
    }
    for name in references[0].expected:
        kept = [value.cut(rows) for reference in references for value in reference.expected[name]]
        timed = kept[0].frames is not None
        arrays[f"{name}.values"] = (np.concatenate if timed else np.stack)([each.values for each in kept])
        arrays[f"{name}.largest"] = np.array([each.largest for each in kept])
        if timed:
            arrays[f"{name}.frames"] = np.array([each.frames for each in kept], dtype=np.int32)
        if name == choice == "logits":
            arrays[f"{name}.best"] = np.concatenate([np.ravel(each.best) for each in kept if each.best is not None])
    with path.open("wb") as stream:
        np.savez(stream, **arrays)


def read(bundle: Bundle) -> tuple[list[Reference], str | None]:
    """What PyTorch computed for each case, and the output that makes a choice.

    Raises `BundleError` on a bundle without the file or with one that does not fit, and where this numpy draws other
    numbers than the one that it was made with.
    """
    manifest = bundle.manifest
    if FILE_NAME not in manifest.files:
        raise BundleError(f"{bundle.path} has no {FILE_NAME}; export the bundle again")
    path = locate(bundle.path, FILE_NAME)
    try:
        arrays = read_arrays(path)
    except DocumentError as error:
        raise _unfit(path, str(error)) from error
    made = cases(bundle.interface)
    counts = {tensor.name: [len(case.clips) if tensor.shape else 1 for case in made] for tensor in manifest.outputs}
    for problem in _problems(arrays, manifest, {name: sum(each) for name, each in counts.items()}):
        raise _unfit(path, problem)
    if arrays["clips"].tobytes() != digest(clip for case in made for clip in case.clips):
        raise BundleError(
            f"numpy {np.__version__} does not make the audio that {bundle.path} was verified on; "
            f"verify it with numpy {manifest.tools.get('numpy', 'of another version')}, with which it was exported"
        )
    expected = {name: iter(expected_of(arrays, name, int(arrays["rows"]))) for name in counts}
    references = []
    for index, case in enumerate(made):
        own = {name: tuple(itertools.islice(expected[name], each[index])) for name, each in counts.items()}
        seconds = max(map(len, case.clips)) / manifest.features.sampling_rate
        references.append(Reference(case.name, case.clips, seconds, case.inputs, own, alone=case.alone))
    return references, str(arrays["chosen"]) or None


def _unfit(path: Path, problem: str) -> BundleError:
    return BundleError(f"{path} does not fit the manifest ({problem}); export the bundle again")


def _problems(arrays: dict[str, NDArray], manifest: Manifest, clips: dict[str, int]) -> Iterator[str]:
    """What is wrong with the arrays of a file: each holds on the ones before. clips: how many, of each output."""
    known = {"clips", "rows", "chosen"}
    yield from _wrong(arrays, {"clips": ("|u1", (32,)), "rows": ("<i8", ())})
    choice, rows = arrays.get("chosen", np.array(0)), int(arrays["rows"])
    if choice.dtype.kind != "U" or choice.shape or str(choice) not in ("", *CHOSEN):
        yield f"chosen is none of {', '.join(CHOSEN)}"
    if not 1 <= rows <= MOST_FRAMES:
        yield f"rows is {rows}"
    for tensor in manifest.outputs:
        own = yield from _output_problems(arrays, tensor, clips[tensor.name], rows, str(choice))
        known |= own
    if strange := arrays.keys() - known:
        yield f"nobody knows {ascii(min(strange))[:60]}"


def _output_problems(
    arrays: dict[str, NDArray], tensor: Tensor, clips: int, rows: int, choice: str
) -> Generator[str, None, set[str]]:
    """As `_problems`, of one output; returns the names of its arrays."""
    name, timed = tensor.name, len(tensor.shape) == TIMED
    own: dict[str, Layout] = {f"{name}.largest": ("<f8", (clips,))}
    stored = choices = clips
    if timed:
        own[f"{name}.frames"] = ("<i4", (clips,))
        yield from _wrong(arrays, own)
        frames = arrays[f"{name}.frames"].astype(np.int64)
        if frames.min() < 1:
            yield f"{name} has a clip of no frames"
        stored, choices = int(np.minimum(frames, rows).sum()), int(frames.sum())
    width = tuple(map(int, tensor.shape[2 if timed else 1 :]))
    own[f"{name}.values"] = ("<f4", (stored, *width))
    if name == choice == "logits":
        own[f"{name}.best"] = ("<i4", (choices,))
    yield from _wrong(arrays, own)
    if not all(np.isfinite(arrays[f"{name}.{part}"]).all() for part in ("values", "largest")):
        yield f"{name} has a value that is not finite"
    if arrays[f"{name}.largest"].min() < 0:
        yield f"{name}.largest is below 0"
    if f"{name}.best" in own:
        best = arrays[f"{name}.best"]
        if best.min() < 0 or best.max() >= width[0]:
            yield f"{name}.best is of no channel"
    return set(own)


def _wrong(arrays: dict[str, NDArray], wanted: dict[str, Layout]) -> Iterator[str]:
    """Arrays that are missing, or of another type or shape."""
    for name, (dtype, shape) in wanted.items():
        found = arrays.get(name)
        if found is None:
            yield f"{name} is missing"
        elif (found.dtype.str, found.shape) != (dtype, shape):
            yield f"{name} is {found.dtype} {list(found.shape)}, and must be {np.dtype(dtype)} {list(shape)}"


def _rows(references: Sequence[Reference]) -> int:
    """The most frames of each clip with which the values stay within `MOST_BYTES`; at least one."""
    values = [value for reference in references for row in reference.expected.values() for value in row]
    for rows in range(MOST_FRAMES, 1, -1):
        if sum(_bytes(value, rows) for value in values) < MOST_BYTES:
            return rows
    return 1


def _bytes(value: Expected, rows: int) -> int:
    kept = value.values.size if value.frames is None else min(rows, value.frames) * value.values.shape[1]
    return 4 * kept


def expected_of(arrays: dict[str, np.ndarray], name: str, rows: int) -> list[Expected]:
    """What the arrays of a file hold of one output, for each clip. rows: most frames of a clip in ``values``."""
    values, largest = arrays[f"{name}.values"], arrays[f"{name}.largest"].tolist()
    best = arrays.get(f"{name}.best")
    if f"{name}.frames" not in arrays:
        whole = [Expected(value, None, size) for value, size in zip(values, largest, strict=True)]
        return whole if best is None else [replace(each, best=one) for each, one in zip(whole, best, strict=True)]
    frames = arrays[f"{name}.frames"].tolist()
    parts = np.split(values, np.cumsum([min(rows, count) for count in frames])[:-1])
    bests = [None] * len(frames) if best is None else np.split(best, np.cumsum(frames)[:-1])
    return [Expected(*each) for each in zip(parts, frames, largest, bests, strict=True)]
