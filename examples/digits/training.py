"""What the three trainings share: their command line, their speech, and the loop that learns from it."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from data import Batch, MissingDataError, add_data_argument, read_training_clips
from strings import SAMPLE_RATE, SPEAKERS, test_strings, word_error_rate
from synthesis import MissingProgramError, SyntheticVoice, require_espeak, synthetic_voices
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedModel
from transformers.audio_utils import mel_filter_bank
from transformers.utils import logging

from model import BLANK, FIELD_SAMPLES, FRAME_SAMPLES

PEAK_LEARNING_RATE = 2e-3
WARM_UP_SHARE = 0.03
BOOTSTRAP_SHARE = 0.3
AVERAGE_STEPS = 500
VOICES = 800
CHECK_EVERY = 500
CHECK_STRINGS = 150

Weights = dict[str, torch.Tensor]


def parse_arguments(description: str | None, steps: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_argument(parser)
    parser.add_argument("--output", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument("--steps", type=int, default=steps, help="batches of 16 s (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="fixes first weights and data (default: 0)")
    parser.add_argument(
        "--hold-out", nargs="+", default=[], choices=SPEAKERS, metavar="SPEAKER", help="speakers to leave out"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: %(default)s, one a CPU")
    return parser.parse_args()


def prepare(
    arguments: argparse.Namespace, strings_a_voice: int
) -> tuple[list[list[list[np.ndarray]]], list[SyntheticVoice]]:
    """Fix threads and seeds; the human clips and the synthetic voices. Exits with 2 where something is missing."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    np.random.seed(arguments.seed)  # transformers draws its SpecAugment masks from numpy's global generator.
    try:
        require_espeak()
        humans = read_training_clips(arguments.data, arguments.hold_out)
    except (MissingDataError, MissingProgramError) as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    logging.disable_progress_bar()
    print(f"synthesising {VOICES} voices", flush=True)
    return humans, synthetic_voices(VOICES, strings_a_voice, arguments.seed)


def batches(groups: Dataset) -> Iterator[Any]:
    """The batches of all groups in order, made ahead by a process of their own."""
    for group in DataLoader(groups, batch_size=None, num_workers=1, prefetch_factor=2):
        yield from group


def log_mel(audio: torch.Tensor, balance_over: tuple[int, ...]) -> torch.Tensor:
    """Log mel spectrogram (batch, frames, 40) on the model's frames, 25 ms each 20.

    Each bin is normalized over the axes `balance_over`.
    """
    hann = torch.hann_window(FIELD_SAMPLES)
    spectrum = torch.stft(audio, FIELD_SAMPLES, FRAME_SAMPLES, window=hann, center=False, return_complex=True)
    filters = torch.from_numpy(mel_filter_bank(FIELD_SAMPLES // 2 + 1, 40, 40.0, 7600.0, SAMPLE_RATE)).float()
    mel = torch.log(spectrum.abs().square().transpose(1, 2) @ filters + 1e-3)
    return (mel - mel.mean(balance_over, keepdim=True)) / (mel.std(balance_over, keepdim=True) + 1e-3)


def learn_mel(
    front: torch.nn.Module,
    channels: int,
    stream: Iterator[Any],
    steps: int,
    balance_over: tuple[int, ...] = (0, 1),
) -> None:
    """Teach the convolutions in front to hold a mel spectrogram; the head that reads it is thrown away."""
    head = torch.nn.Sequential(torch.nn.LayerNorm(channels), torch.nn.LazyLinear(40))
    head(torch.zeros(1, 1, channels))
    optimizer = torch.optim.AdamW([*front.parameters(), *head.parameters()], lr=2e-3, fused=True)
    began = time.monotonic()
    for step in range(steps):
        batch = next(stream)
        optimizer.param_groups[0]["lr"] = 2e-3 * (1 - step / steps) + 1e-5
        with torch.autocast("cpu", torch.bfloat16):
            predicted = head(front(batch.inputs).transpose(1, 2))
        loss = functional.mse_loss(predicted.float(), log_mel(batch.inputs, balance_over))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 50 == 0:
            passed = time.monotonic() - began
            print(f"mel {step + 1}/{steps}  loss {loss.item():.3f}  {passed:.0f} s", flush=True)


def ctc_losses(logits: torch.Tensor, frames: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
    """CTC loss a token, and cross-entropy a labelled frame. `frames`: int64 (batch,), the frames of each."""
    scores = logits.float().log_softmax(-1)
    ctc = functional.ctc_loss(
        scores.transpose(0, 1),
        batch.labels,
        frames,
        batch.label_lengths,
        BLANK,
        reduction="sum",
        zero_infinity=True,
    )
    labelled = functional.nll_loss(scores.flatten(0, 1), batch.frame_labels.flatten(), reduction="sum")
    known = int((batch.frame_labels >= 0).sum())
    return {"ctc": ctc / max(len(batch.labels), 1), "frames": labelled / max(known, 1)}


def bootstrap(step: int, steps: int) -> dict[str, float]:
    """Weights of ctc_losses: the frames' rough labels count at first, and less and less."""
    return {"ctc": 1.0, "frames": max(0.0, 1 - step / (BOOTSTRAP_SHARE * steps))}


def check_strings(model: PreTrainedModel, transcribe: Callable[[Any, np.ndarray], str], data: Path) -> str:
    """Word error rate on a few test strings: to watch only, nothing is chosen by it."""
    strings = test_strings(data, CHECK_STRINGS, seed=1)
    return f"word error rate {word_error_rate((words, transcribe(model, audio)) for audio, words in strings):.2%}"


def learning_rate(step: int, steps: int, peak: float) -> float:
    """A short rise, then half a cosine down to zero."""
    rise = WARM_UP_SHARE * steps
    if step < rise:
        return peak * (step + 1) / rise
    return peak * (1 + np.cos(np.pi * (step - rise) / (steps - rise))) / 2


def learn(
    model: PreTrainedModel,
    stream: Iterator[Any],
    steps: int,
    losses: Callable[[Any, Any], dict[str, torch.Tensor]],
    weigh: Callable[[int, int], dict[str, float]],
    save: Callable[[Any, Weights], None],
    check: Callable[[Any], str],
    peak: float = PEAK_LEARNING_RATE,
) -> None:
    """Train, saving and checking the running average of the weights every CHECK_EVERY steps.

    `losses(model, batch)` are added with the weights that `weigh(step, steps)` gives them.
    """
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}],
        betas=(0.9, 0.98),
        fused=True,
    )
    average = {name: value.clone() for name, value in model.state_dict().items()}
    began = time.monotonic()
    recent: dict[str, float] = {}
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak)
        parts = losses(model, next(stream))
        weights = weigh(step, steps)
        optimizer.zero_grad()
        sum(weights[name] * part for name, part in parts.items()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()

        share = max(1 / AVERAGE_STEPS, 1 / (step + 1))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                average[name].lerp_(value, share)
            else:
                average[name].copy_(value)
        for name, part in parts.items():
            recent[name] = recent.get(name, 0.0) + part.item()
        done = step + 1
        if done % 50 == 0:
            passed = time.monotonic() - began
            left = passed / done * (steps - done) / 60
            shown = "  ".join(f"{name} {total / 50:.3f}" for name, total in recent.items())
            print(f"step {done}/{steps}  {shown}  {passed / 60:.1f} min, {left:.1f} left", flush=True)
            recent.clear()
        if done % CHECK_EVERY == 0 or done == steps:
            save(model, average)
            judge = type(model)(model.config).eval()
            judge.load_state_dict(average)
            print(f"step {done}/{steps}  {check(judge)}", flush=True)
