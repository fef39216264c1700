"""Train a small Wav2Vec2 to name the one spoken digit in a clip, from nothing, on a CPU.

    python examples/digits/train_keywords.py --output keywords

Takes about half an hour on two cores; needs the development packages, espeak-ng and the Free Spoken Digit Dataset.

The speech is that of train.py, one digit at a time: half of it cut close, half somewhere in a window of 0.4 to
1.5 s. Group norm and the mean over time read the padding of a batch, so nothing is padded: the clips of a batch
are all of one length. The convolutions in front first learn a mel spectrogram.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from data import BATCH_SECONDS, GROUP_BATCHES, at_speed, degrade
from keywords import build_config, classify, save
from strings import SAMPLE_RATE, single_clips
from synthesis import SyntheticVoice, trim
from torch.nn import functional
from torch.utils.data import Dataset
from training import batches, learn, learn_mel, parse_arguments, prepare
from transformers import Wav2Vec2ForSequenceClassification

from model import normalize

PEAK_LEARNING_RATE = 1e-3
MEL_STEPS = 300
SYNTHETIC_SHARE = 0.4
WINDOW_SECONDS = (0.4, 1.5)
MIN_SAMPLES = 1600


@dataclass
class Batch:
    """Clips of one length, with a digit in each."""

    inputs: torch.Tensor
    """float32 (batch, samples), each normalized."""
    digits: torch.Tensor
    """int64 (batch,)."""


class ClipGroups(Dataset):
    """Groups of GROUP_BATCHES batches; each depends on the seed and its place in the training alone."""

    def __init__(
        self, humans: list[list[list[np.ndarray]]], synthetic: list[SyntheticVoice], steps: int, seed: int
    ) -> None:
        self.humans = humans
        self.synthetic = synthetic
        self.steps = steps
        self.seed = seed

    def __len__(self) -> int:
        return -(-self.steps // GROUP_BATCHES)

    def __getitem__(self, group: int) -> list[Batch]:
        rng = np.random.default_rng([self.seed, 4, group])
        budget = GROUP_BATCHES * BATCH_SECONDS * SAMPLE_RATE
        clips = []
        while budget > 0:
            clips.append(self.clip(rng))
            budget -= clips[-1][2]
        # Clips of like length share a batch, so that one cut close stays so.
        clips.sort(key=lambda clip: clip[2])
        starts = np.cumsum([0] + [samples for _, _, samples in clips[:-1]])
        places = starts // (BATCH_SECONDS * SAMPLE_RATE)
        batches = [
            self.embed([clip for clip, place in zip(clips, places, strict=True) if place == wanted], rng)
            for wanted in range(GROUP_BATCHES)
        ]
        return [batches[i] for i in rng.permutation(GROUP_BATCHES)]

    def clip(self, rng: np.random.Generator) -> tuple[np.ndarray, int, int]:
        """One spoken digit: audio (samples,), the digit, and the samples to embed it in."""
        digit = int(rng.integers(10))
        speed = 1.0 if rng.random() < 0.3 else rng.uniform(0.82, 1.22)
        if rng.random() < SYNTHETIC_SHARE:
            audio = at_speed(self.synthetic[rng.integers(len(self.synthetic))].digits[digit], SAMPLE_RATE * speed)
        else:
            spoken = self.humans[rng.integers(len(self.humans))][digit]
            audio = at_speed(spoken[rng.integers(len(spoken))], 8000 * speed)
            if rng.random() < 0.3:
                audio = trim(audio, rng.uniform(-40, -30))
        samples = max(len(audio), MIN_SAMPLES)
        if rng.random() < 0.5:
            samples = max(samples, int(rng.uniform(*WINDOW_SECONDS) * SAMPLE_RATE))
        return audio, digit, samples

    def embed(self, clips: list[tuple[np.ndarray, int, int]], rng: np.random.Generator) -> Batch:
        """A batch of `clips`, each somewhere in as many samples as the longest needs."""
        length = max(samples for _, _, samples in clips)
        rows = []
        for audio, _, _ in clips:
            before = int(rng.integers(length - len(audio) + 1))
            row = np.pad(audio, (before, length - len(audio) - before))
            if rng.random() < 0.75:
                row = degrade(row, np.sqrt(np.mean(audio**2)), False, rng)
            rows.append(torch.from_numpy(normalize(row)))
        return Batch(torch.stack(rows), torch.tensor([digit for _, digit, _ in clips]))


def losses(model: Wav2Vec2ForSequenceClassification, batch: Batch) -> dict[str, torch.Tensor]:
    """The cross-entropy of a batch."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(batch.inputs).logits
    return {"cross-entropy": functional.cross_entropy(logits.float(), batch.digits)}


def check_clips(model: Wav2Vec2ForSequenceClassification, data: Path) -> str:
    """Accuracy on the single test clips: to watch only, nothing is chosen by it."""
    right = [classify(model, audio) == word for audio, word in single_clips(data)]
    return f"accuracy {np.mean(right):.2%}"


def main() -> int:
    arguments = parse_arguments(__doc__, steps=5000)
    humans, synthetic = prepare(arguments, strings_a_voice=0)
    model = Wav2Vec2ForSequenceClassification(build_config()).train()
    print(f"{model.num_parameters():,} parameters", flush=True)
    mel_groups = ClipGroups(humans, synthetic, MEL_STEPS, arguments.seed + 1)
    front = model.wav2vec2.feature_extractor
    # Group norm takes each clip's own spectral balance away, so the mel to learn is without it too.
    learn_mel(front, model.config.conv_dim[-1], batches(mel_groups), MEL_STEPS, balance_over=(1,))
    groups = ClipGroups(humans, synthetic, arguments.steps, arguments.seed)
    learn(
        model,
        batches(groups),
        arguments.steps,
        losses,
        weigh=lambda step, steps: {"cross-entropy": 1.0},
        save=lambda model, weights: save(model, weights, arguments.output),
        check=lambda judge: check_clips(judge, arguments.data),
        peak=PEAK_LEARNING_RATE,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
