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

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .cases import cases, digest
from .errors import BundleError
from .manifest import Manifest
from .parity import Expected, Reference

FILE_NAME = "verification.npz"
MOST_FRAMES = 64
MOST_BYTES = 4_000_000


def write(path: Path, references: Sequence[Reference], chosen: str | None) -> None:
    """Write what PyTorch computed, at fewer frames the more there is of it. Same input, same bytes."""
    rows = _rows(references)
    arrays: dict[str, Any] = {
        "clips": np.frombuffer(digest(clip for each in references for clip in each.clips), dtype=np.uint8),
        "chosen": np.array(chosen or ""),
        "rows": np.array(rows),
    }
    for name in references[0].expected:
        kept = [value.cut(rows) for reference in references for value in reference.expected[name]]
        timed = kept[0].frames is not None
        arrays[f"{name}.values"] = (np.concatenate if timed else np.stack)([each.values for each in kept])
        arrays[f"{name}.largest"] = np.array([each.largest for each in kept])
        if timed:
            arrays[f"{name}.frames"] = np.array([each.frames for each in kept], dtype=np.int32)
        if name == chosen == "logits":
            arrays[f"{name}.best"] = np.concatenate([np.ravel(each.best) for each in kept if each.best is not None])
    with path.open("wb") as stream:
        np.savez(stream, **arrays)


def read(bundle: Path, manifest: Manifest) -> tuple[list[Reference], str | None]:
    """What PyTorch computed for each case, and the output that makes a choice.

    Raises `BundleError` on a bundle without the file or with one that does not fit, and where this numpy draws other
    numbers than the one that it was made with.
    """
    path = bundle / FILE_NAME
    if FILE_NAME not in manifest.files:
        raise BundleError(f"{bundle} has no {FILE_NAME}; export the bundle again")
    names = [tensor.name for tensor in manifest.inputs]
    made = cases(manifest.features, manifest.frames, manifest.shortest, manifest.padding, names)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if arrays["clips"].tobytes() != digest(clip for case in made for clip in case.clips):
            theirs = manifest.tools.get("numpy")
            raise BundleError(
                f"numpy {np.__version__} does not make the audio that {bundle} was verified on; "
                f"verify it with numpy {theirs}, with which it was exported"
            )
        expected = {t.name: expected_of(arrays, t.name, int(arrays["rows"])) for t in manifest.outputs}
        references = []
        for case in made:
            counts = {tensor.name: len(case.clips) if tensor.shape else 1 for tensor in manifest.outputs}
            own = {name: tuple(expected[name].pop(0) for _ in range(count)) for name, count in counts.items()}
            seconds = max(map(len, case.clips)) / manifest.features.sampling_rate
            references.append(Reference(case.name, case.clips, seconds, case.inputs, own, alone=case.alone))
        return references, str(arrays["chosen"]) or None
    except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{path} does not fit the manifest ({error}); export the bundle again") from error


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
