"""Golden vectors: what the Python runtime makes of inputs, for the native one to be held to.

``python tests/native/goldens.py DIRECTORY`` writes them, for ``W2VC_GOLDENS=DIRECTORY w2vc_tests``.
"""

from __future__ import annotations

import copy
import itertools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import records

from support import oracle
from support.hostile import archives, harness, manifests
from support.hostile import bundles as damage
from support.paths import ROOT
from w2vc_exporter import ExportOptions, export
from w2vc_runtime import BundleError, InferenceError, Model, OptionError, load
from w2vc_runtime.bundle import Bundle
from w2vc_runtime.chunking.plan import ChunkOptions
from w2vc_runtime.results.formats import json_object
from w2vc_runtime.sessions.footprint import Footprint
from w2vc_runtime.verify.cases import noise

# Small bundles of every head and family: their names, architectures, heads and what else is in the configuration.
TINY: dict[str, tuple[str, str, dict[str, Any]]] = {
    "base": ("wav2vec2", "base", {}),
    "ctc": ("conformer-relative", "ctc", {}),
    "classification": ("wav2vec2-stable", "sequence-classification", {}),
    "several-labels": (
        "conformer-rotary", "sequence-classification", {"problem_type": "multi_label_classification"},
    ),
    "regression": ("bert-relative", "sequence-classification", {"problem_type": "regression"}),
    "frames": ("bert-relative_key", "frame-classification", {}),
    "frames-several": ("wav2vec2", "frame-classification", {"problem_type": "multi_label_classification"}),
    "xvector": ("wav2vec2-stable", "xvector", {}),
    "pretraining": ("conformer-none", "pretraining", {}),
    "adapter": ("bert-rotary", "base", {"add_adapter": True, "num_adapter_layers": 1}),
}  # fmt: skip
CARRIED = {"digits": "ctc", "digits-bert": "ctc", "keywords": "sequence-classification"}
MOST_EDITS = 4000


def make_bundles(folder: Path) -> dict[str, Path]:
    """Bundles of the carried checkpoints and of `TINY`, by name; those that are there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for name, head in CARRIED.items():
        made[name] = folder / name
        if not made[name].is_dir():
            export(ExportOptions(name, head=head, output=made[name]))
    for name, (architecture, head, more) in TINY.items():
        made[name] = folder / name
        if not made[name].is_dir():
            front = {} if architecture.startswith("bert") else {**oracle.BRIEF, "feat_extract_norm": "layer"}
            config = {**oracle.TINY, "num_hidden_layers": 1, **front, **more}
            with tempfile.TemporaryDirectory() as checkpoint:
                oracle.save(oracle.build(architecture, head, **config), Path(checkpoint))
                hidden = {"hidden_states": (0, 1)} if name == "base" else {}
                export(ExportOptions(checkpoint, head=head, output=made[name], **hidden))
    return made


def signed(document: dict[str, Any]) -> str:
    """A manifest with its own hash."""
    document = {key: value for key, value in document.items() if key != "sha256"}
    return json.dumps({**document, "sha256": harness.hashed(document)})


def read_manifest(text: str, folder: Path) -> str:
    """What Python says of a manifest: nothing, or its error, with the file and the bundle called by fixed names."""
    (folder / "manifest.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        Bundle.read(folder)
    except BundleError as error:
        return str(error).replace(str(folder / "manifest.json"), "FILE").replace(str(folder), "BUNDLE")
    return ""


def manifest_texts(bundles: dict[str, Path], folder: Path) -> Iterator[str]:
    """Good manifests, those of every kind of mistake, and texts that are none."""
    for path in bundles.values():
        text = (path / "manifest.json").read_text()
        yield from (text, text.replace("digits", "Digits", 1), text[: len(text) // 2], text + "x")
    sources = []
    for name in ("digits", "digits-bert", "classification", "pretraining", "base"):
        (folder / f"from-{name}").mkdir(exist_ok=True)
        (folder / f"from-{name}" / "report.json").write_text("")  # which none signs
        sources.append(harness.Bundle(bundles[name], bundles[name], Path(), ""))
    for bundle, _, document in manifests.inputs(sources, MOST_EDITS):
        target = folder / f"from-{bundle.path.name}"
        manifests.write(target, document)
        yield (target / "manifest.json").read_text()
    document = json.loads((bundles["digits"] / "manifest.json").read_text())
    for schema in (4, 6, 5.0, True, None, "5", 10**17):
        yield signed({**document, "schema": schema})
    yield from ("", "{}", "[]", "5", "null", '{"schema": 5}', "\ufeff{}", "{'a': 1}", '{"a": 1,}', "// a\n{}")
    yield from ("[" * 33 + "]" * 33, "[" * 32 + "]" * 32, "[" + "1," * 1_000_000 + "1]", '["\t"]', '["\\ud834"]')
    yield from ('{"schema": 05}', '{"schema": +5}', '{"schema": .5}', '{"schema": 5.}', "nan", "[Infinity]", "[inf]")
    for value in (1e-7, 1e16, 123456789.123, -0.0, 5e-324, 1.7976931348623157e308, 0.1, 1e22, 100.0):
        yield signed({**document, "tools": {"é\n\x7f😀": str(value)}, "shortest": value})
        yield signed({**document, "verification": {"fp32": value}})


def golden_manifests(bundles: dict[str, Path], folder: Path) -> None:
    """manifests.records: texts, each followed by what Python says of it."""
    with tempfile.TemporaryDirectory() as work:
        bundle = Path(work) / "bundle"
        bundle.mkdir()
        found = []
        for text in manifest_texts(bundles, Path(work)):
            found += [("text", text.encode("utf-8", "surrogatepass")), ("says", read_manifest(text, bundle))]
    records.write(folder / "manifests.records", found)


def recipes(bundles: dict[str, Path]) -> Iterator[str]:
    """Manifests whose recipes have every constant in another value once."""
    edits: dict[str, dict[str, list[Any]]] = {
        "digits": {"do_normalize": [False], "return_attention_mask": [False], "padding_value": [0.25], "eps": [0.1]},
        "digits-bert": {
            "num_mel_bins": [40, 8], "padding_value": [-1.5], "return_attention_mask": [False], "scale": [1.0],
            "frame_length": [200, 512], "hop_length": [80], "fft_length": [1024, 400, 509], "preemphasis": [0.0, 1.0],
            "window_power": [0.0, 1.0], "min_frequency": [0.0], "max_frequency": [4000.0], "mel_factor": [2595.0],
            "mel_break": [100.0], "mel_floor": [1e-3], "eps": [1e-3], "ddof": [0], "pad_to_multiple_of": [1, 6],
        },
    }  # fmt: skip
    for name, values in edits.items():
        document = json.loads((bundles[name] / "manifest.json").read_text())
        yield signed(document)
        for (key, several), padding in itertools.product(values.items(), ("padding-invariant", "hf-exact")):
            for value in several:
                edited = copy.deepcopy(document)
                edited["padding"] = padding
                edited["features"][key] = value
                if key == "num_mel_bins":
                    edited["inputs"][0]["shape"][2] = 2 * value
                yield signed(edited)


def clips(shortest: int, rate: int) -> list[np.ndarray]:
    """Sounds of many lengths and levels."""
    generator = np.random.default_rng(5)
    lengths = [shortest, shortest + 1, max(shortest, rate // 7), 5 * rate + 13, 3 * rate // 2]
    made = [noise(length, rate, generator) for length in lengths]
    tone = (0.5 * np.sin(np.arange(rate) * 0.3)).astype(np.float32)
    levels = [(noise(rate // 2, rate, generator) * gain).astype(np.float32) for gain in (1e-4, 3e4)]
    return [*made, tone, *levels, np.zeros(rate // 3, np.float32), np.full(rate // 4, 0.1, np.float32)]


def golden_features(bundles: dict[str, Path], folder: Path) -> None:
    """features.records: manifests, each followed by clips and the graph's inputs for each alone and for all."""
    found: list[tuple[str, records.Content]] = []
    with tempfile.TemporaryDirectory() as work:
        for text in recipes(bundles):
            (Path(work) / "manifest.json").write_text(text)
            manifest = Bundle.read(Path(work)).manifest
            sounds = clips(manifest.shortest, manifest.features.sampling_rate)
            found.append(("manifest", text))
            found += [("clip", sound) for sound in sounds]
            for batch in (sounds, *([sound] for sound in sounds)):
                with np.errstate(all="ignore"):
                    inputs = manifest.features(batch, manifest.padding)
                for name, value in inputs.items():
                    kind = "mask" if name == "attention_mask" else "values"
                    found += [("shape", np.array(value.shape, np.int64)), (kind, value)]
    records.write(folder / "features.records", found)


def golden_answers(bundles: dict[str, Path], folder: Path) -> None:
    """answers.records: bundles, each followed by clips and their answers as JSON, in batches and one by one."""
    found: list[tuple[str, records.Content]] = []
    for path in bundles.values():
        with load(path, "cpu") as model:
            rate = model.manifest.features.sampling_rate
            sounds = [sound for sound in clips(model.manifest.shortest, rate) if sound.any()]
            if path.name in CARRIED:
                recordings = sorted((ROOT / "examples" / "digits").glob("*/*.flac"))
                sounds += [model.read(recording) for recording in recordings]
            found.append(("bundle", str(path)))
            found += [("clip", sound) for sound in sounds]
            found += [("alone", json_object(model((sound, rate)))) for sound in sounds]
            found += [("batch", json_object(each)) for each in model.batch([(sound, rate) for sound in sounds])]
            if model.manifest.head == "pretraining":
                frames = model.manifest.frames["frames"].count(len(sounds[3]))
                mask = np.arange(frames) % 3 == 0
                found += [("mask", mask), ("masked", json_object(model.infer([sounds[3]], [mask])[0]))]
    records.write(folder / "answers.records", found)


def cut_clip(model: Model) -> np.ndarray:
    """Seven seconds: pauses and recordings where a model is a real one, else noise."""
    rate = model.manifest.features.sampling_rate
    if model.manifest.name.partition("-")[0] not in CARRIED:
        return noise(7 * rate + 17, rate, np.random.default_rng(7))
    recordings = sorted((ROOT / "examples" / "digits").glob("*/*.flac"))
    return np.concatenate([model.read(recording) for recording in recordings])[: 7 * rate + 17]


def golden_chunks(bundles: dict[str, Path], folder: Path) -> None:
    """chunks.records: bundles, each followed by a clip, and by options with the answer or the error for them."""
    found: list[tuple[str, records.Content]] = []
    for path in bundles.values():
        with load(path, "cpu") as model:
            rate, clip = model.manifest.features.sampling_rate, cut_clip(model)
            found += [("bundle", str(path)), ("clip", clip)]
            for chunk, context, pooled in itertools.product(
                (None, 1.3, 2.0, 0.01, 0.0001, 5000.0), (None, 0.0, 0.2, 1.0, 4000.0), (False, True)
            ):
                given = (0.0 if chunk is None else chunk, -1.0 if context is None else context, float(pooled))
                found.append(("options", np.array(given)))
                try:
                    options = ChunkOptions(chunk, context, pooled)
                    found.append(("answer", json_object(model.chunked((clip, rate), options))))
                except OptionError as error:
                    found.append(("error", str(error)))
    records.write(folder / "chunks.records", found)


def damaged(good: harness.Bundle, folder: Path) -> Iterator[Path]:
    """Bundles with every kind of damage that the hostile tests know, each in a directory of its own."""
    numbers = itertools.count()

    def copied() -> harness.Bundle:
        return good.copy(folder / str(next(numbers)))

    names = ("manifest.json", "model.onnx", "config.json", "report.html")
    for name, change in itertools.product(names, (*damage.DAMAGE, *map(damage.signed, damage.SIGNED))):
        bundle = copied()
        change(bundle, bundle.path / name)
        yield bundle.path
    for _, content in archives.graphs((good.path / "model.onnx").read_bytes(), good.outside / "model.onnx"):
        bundle = copied()
        (bundle.path / "model.onnx").write_bytes(content)
        harness.sign(bundle.path)
        yield bundle.path
    yield from (path for _, path in damage.places(copied()) if b"\xff" not in os.fsencode(path))


def verdict(path: Path, clip: np.ndarray) -> tuple[str, str]:
    """What Python says of the files of a bundle, and where it stops: at the files, at load, at run, or nowhere."""
    try:
        Bundle.read(path).check()
    except BundleError as error:
        return str(error), "files"
    try:
        with load(path, "cpu") as model:
            model((clip, 16000))
    except BundleError:
        return "", "load"
    except InferenceError:
        return "", "run"
    return "", ""


def golden_damage(bundles: dict[str, Path], folder: Path) -> None:
    """damage.records: bundles, each followed by Python's error for its files and by where Python stops."""
    place = folder / "damaged"
    shutil.rmtree(place, ignore_errors=True)
    outside = place / "outside"
    outside.mkdir(parents=True)
    for name in ("model.onnx", "manifest.json"):
        shutil.copyfile(bundles["ctc"] / name, outside / name)
    clip = noise(8000, 16000, np.random.default_rng(0))
    found: list[tuple[str, records.Content]] = [("clip", clip)]
    for path in damaged(harness.Bundle(bundles["ctc"], outside, Path(), ""), place):
        says, where = verdict(path, clip)
        found += [("path", os.fsencode(path)), ("says", says.encode("utf-8", "surrogateescape")), ("where", where)]
    records.write(folder / "damage.records", found)


def golden_footprints(bundles: dict[str, Path], folder: Path) -> None:
    """footprints.records: bundles, each followed by the bytes that batches are said to take."""
    found: list[tuple[str, records.Content]] = []
    for path in bundles.values():
        footprint = Footprint.of(Bundle.read(path), "cpu")
        assert footprint is not None
        needed = [footprint.needed(batch, samples) for batch in (1, 7) for samples in (400, 16000, 10**7)]
        found += [("bundle", str(path)), ("needed", np.array(needed))]
    records.write(folder / "footprints.records", found)


GOLDENS = (
    golden_manifests, golden_features, golden_answers, golden_chunks, golden_damage, golden_footprints,
)  # fmt: skip


def main(folder: Path) -> None:
    """Write all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    bundles = make_bundles(folder / "bundles")
    for golden in GOLDENS:
        golden(bundles, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
