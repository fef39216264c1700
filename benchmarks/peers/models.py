"""What all peers are given: a checkpoint, clips, and what PyTorch makes of them."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import ENVIRONMENTS, HERE
from .processes import Worker
from .registry import GIVEN, OURS, PEERS

MODELS = {
    "wav2vec2-large": "wav2vec2-large-960h-lv60-self",
    "conformer-rel-pos-large": "wav2vec2-conformer-rel-pos-large",
    "conformer-rope-large": "wav2vec2-conformer-rope-large-960h-ft",
    "w2v-bert-2.0": "w2v-bert-2.0",
}
RATE = 16000
# Seconds of the shortest and longest clip of a batch of mixed lengths.
MIXED = (1.0, 15.0)
CALIBRATION = (8, 10.0)
# The name of models that are made for each length that is timed.
ONE_LENGTH = "one-length"
ROOT = HERE.parents[1]
FOLDER = ENVIRONMENTS / "models"


@dataclass(frozen=True)
class Cell:
    """What is timed: one clip of so many seconds, or a batch of clips of mixed lengths."""

    seconds: float
    batch: int

    @property
    def name(self) -> str:
        if self.batch == 1:
            return f"{self.seconds:g} s"
        return f"{self.batch} clips of {MIXED[0]:g} to {MIXED[1]:g} s"

    @property
    def lengths(self) -> list[int]:
        """Samples of each clip, no two alike."""
        if self.batch == 1:
            return [round(self.seconds * RATE)]
        seconds = np.random.default_rng(0).permutation(np.linspace(*MIXED, self.batch))
        return [round(each * RATE) for each in seconds]


@dataclass(frozen=True)
class Subject:
    """A model with random weights, of so many layers, and its directory."""

    model: str
    layers: int

    @property
    def folder(self) -> Path:
        return FOLDER / f"{self.model}-{self.layers}"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint"

    def prepare(self) -> int:
        """Write the checkpoint, if there is none; bytes of its weights."""
        weights = self.checkpoint / "model.safetensors"
        if not (self.checkpoint / "calibration.npz").is_file():
            import soundfile

            from support import oracle
            from support.published import LETTER_HEAD, PUBLISHED

            shutil.rmtree(self.checkpoint, ignore_errors=True)
            architecture, _, config = PUBLISHED[MODELS[self.model]]
            model = oracle.build(architecture, "ctc", **{**config, **LETTER_HEAD, "num_hidden_layers": self.layers})
            oracle.save(model, self.checkpoint)
            count, seconds = CALIBRATION
            clips = [clip(round(seconds * RATE), seed=100 + index) for index in range(count)]
            np.savez(self.checkpoint / "calibration.npz", *(self._values(each) for each in clips))
            (self.checkpoint / "calibration").mkdir()
            for index, each in enumerate(clips):
                soundfile.write(self.checkpoint / "calibration" / f"{index}.wav", each, RATE)
        return weights.stat().st_size

    def clips(self, cell: Cell) -> Path:
        """A file with the samples of each clip, and what Hugging Face's feature extractor makes of them alone."""
        path = self.folder / "clips" / f"{cell.name}.npz"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            arrays = {}
            for index, length in enumerate(cell.lengths):
                samples = clip(length, seed=index)
                arrays[f"samples_{index}"], arrays[f"values_{index}"] = samples, self._values(samples)
            np.savez(path, **arrays)
        return path

    def reference(self, cell: Cell, job: dict[str, Any], limit: float) -> list[np.ndarray]:
        """Logits of Hugging Face's model for each clip alone."""
        path = self.folder / "reference" / f"{cell.name}.npz"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            file = str(HERE / PEERS["transformers"].file)
            worker = Worker("transformers", "serve", {**job, "file": file, "settings": {}}, limit)
            answer = worker.first
            if "problem" not in answer:
                answer = worker.ask({"cell": cell.name, "clips": str(self.clips(cell)), "output": str(path)})
            worker.close()
            if "problem" in answer:
                raise RuntimeError(f"no reference, without which nothing can be judged: {answer['problem']}")
        with np.load(path) as arrays:
            return [arrays[str(index)] for index in range(len(arrays.files))]

    def operations(self, cell: Cell) -> int:
        """Floating point operations of a cell, clip by clip, two a multiply-add."""
        from gpu.flops import flops
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(self.checkpoint)
        with np.load(self.clips(cell)) as arrays:
            return sum(flops(config, 1, len(arrays[f"values_{index}"])) for index in range(cell.batch))

    def traffic(self, cell: Cell, weights: int) -> dict[str, int]:
        """Bytes that a cell moves at least, by precision: weights read for each clip, and each product's result
        written and read once."""
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(self.checkpoint)
        with np.load(self.clips(cell)) as arrays:
            lengths = [len(arrays[f"values_{index}"]) for index in range(cell.batch)]
        values = sum(weights // 4 + 2 * _results(config, length) for length in lengths)
        return {"fp32": 4 * values, "bf16": 2 * values, "int8": values}

    def _values(self, samples: np.ndarray) -> np.ndarray:
        from transformers import AutoFeatureExtractor

        extractor = AutoFeatureExtractor.from_pretrained(self.checkpoint)
        made = extractor(samples, sampling_rate=RATE, return_tensors="np", padding=True)
        values, mask = made[extractor.model_input_names[0]][0], made["attention_mask"][0]
        return np.ascontiguousarray(values[: int(mask.sum())], dtype=np.float32)


def clip(samples: int, seed: int) -> np.ndarray:
    """Noise shaped like speech, float32 [samples]."""
    from w2vc_runtime.verify.cases import noise

    return noise(samples, RATE, np.random.default_rng(seed))


def made(subject: Subject, peer: str, name: str, cells: list[Cell], job: dict[str, Any], limit: float) -> Any:
    """Have a peer make its model, unless it is there, of the same sources; what that took, or its ``problem``."""
    target = subject.folder / f"{peer}, {name}"
    note = target / "made.json"
    shapes = sorted({_shape(subject, cell) for cell in cells if cell.batch == 1})
    if name != ONE_LENGTH:
        shapes = shapes[-1:] or [_shape(subject, cells[0])]
    elif not shapes:
        return {"problem": "not run: made for one length"}
    key = {"sources": _sources(peer), "shapes": [list(each) for each in shapes] if name == ONE_LENGTH else []}
    if note.is_file():
        found = json.loads(note.read_text())
        known = found.pop("key")
        if known["sources"] == key["sources"] and all(shape in known["shapes"] for shape in key["shapes"]):
            return found
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    order = {**job, "file": str(HERE / PEERS[peer].file), "target": str(target), "name": name, "shapes": shapes}
    if peer in GIVEN:
        other, export = GIVEN[peer]
        order["checkpoint"] = str(subject.folder / f"{other}, {export}")
    start = time.perf_counter()
    worker = Worker(peer, "make", order, limit)
    worker.close()
    found = {**worker.first, "wall": time.perf_counter() - start}
    if "problem" in found:
        shutil.rmtree(target)
        return found
    found["size"] = sum(each.stat().st_size for each in target.rglob("*") if each.is_file())
    note.write_text(json.dumps({**found, "key": key}))
    return found


def _results(config: Any, length: int) -> int:
    """Values that the products of one clip give, but for those of attention, which a kernel may keep to itself."""
    frames, values = length, 0
    if config.model_type != "wav2vec2-bert":
        for size, kernel, stride in zip(config.conv_dim, config.conv_kernel, config.conv_stride):
            frames = (frames - kernel) // stride + 1
            values += frames * size
    feed_forward = config.intermediate_size + config.hidden_size
    if config.model_type == "wav2vec2":
        layer = 5 * config.hidden_size + feed_forward
    else:
        layer = 9 * config.hidden_size + 2 * feed_forward
    return values + frames * (config.hidden_size + config.num_hidden_layers * layer)


def _shape(subject: Subject, cell: Cell) -> tuple[int, ...]:
    with np.load(subject.clips(cell)) as arrays:
        return arrays["values_0"].shape


def _sources(peer: str) -> str:
    """A hash of what a peer's model is made by: its file and pins; of ours, all of our sources."""
    files = [HERE / PEERS[peer].file]
    if peer == OURS:
        files += [file for room in ("model", "exporter") for file in sorted((ROOT / room).rglob("*.py"))]
    else:
        files.append(HERE / f"{PEERS[peer].environment}.txt")
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
