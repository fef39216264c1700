"""Train a small Wav2Vec2-Conformer to write down spoken digit strings, from nothing, on a CPU.

    python examples/digits/train.py --output digits-checkpoint

Takes about an hour on two cores; needs the development packages, espeak-ng and the Free Spoken Digit Dataset.

Three aids get it past the plateau on which CTC on raw audio otherwise stays: the convolutions in front
first learn to predict a mel spectrogram; the clips' known boundaries give each frame a rough label for the
first third of the training; and strings grow from two digits to seven.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from data import Batch, MissingDataError, TrainingGroups, add_data_argument, read_training_clips
from model import (
    BLANK,
    FIELD_SAMPLES,
    FRAME_SAMPLES,
    attention_mask,
    build_config,
    isolated,
    save,
    transcribe,
)
from strings import SAMPLE_RATE, SPEAKERS, test_strings, word_error_rate
from synthesis import MissingProgramError, require_espeak, synthetic_voices
from torch.nn import functional
from torch.utils.data import DataLoader
from transformers import Wav2Vec2ConformerForCTC
from transformers.audio_utils import mel_filter_bank
from transformers.utils import logging

PEAK_LEARNING_RATE = 2e-3
WARM_UP_SHARE = 0.03
BOOTSTRAP_SHARE = 0.3
AVERAGE_STEPS = 500
MEL_STEPS = 300
VOICES = 800
STRINGS_A_VOICE = 4
CHECK_EVERY = 500
CHECK_STRINGS = 150


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_argument(parser)
    parser.add_argument("--output", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument("--steps", type=int, default=12000, help="batches of 16 s (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="fixes first weights and data (default: 0)")
    parser.add_argument(
        "--hold-out", nargs="+", default=[], choices=SPEAKERS, metavar="SPEAKER", help="speakers to leave out"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: %(default)s, one a CPU")
    return parser.parse_args()


def batches(groups: TrainingGroups) -> Iterator[Batch]:
    """The batches of all groups in order, made ahead by a process of their own."""
    for group in DataLoader(groups, batch_size=None, num_workers=1, prefetch_factor=2):
        yield from group


def log_mel(audio: torch.Tensor) -> torch.Tensor:
    """Normalized log mel spectrogram (batch, frames, 40) on the model's frames: 25 ms each 20."""
    hann = torch.hann_window(FIELD_SAMPLES)
    spectrum = torch.stft(audio, FIELD_SAMPLES, FRAME_SAMPLES, window=hann, center=False, return_complex=True)
    filters = torch.from_numpy(mel_filter_bank(FIELD_SAMPLES // 2 + 1, 40, 40.0, 7600.0, SAMPLE_RATE)).float()
    mel = torch.log(spectrum.abs().square().transpose(1, 2) @ filters + 1e-3)
    return (mel - mel.mean((0, 1))) / (mel.std((0, 1)) + 1e-3)


def learn_mel(model: Wav2Vec2ConformerForCTC, stream: Iterator[Batch], steps: int) -> None:
    """Teach the convolutions in front to hold a mel spectrogram; the head that reads it is thrown away."""
    front = model.wav2vec2_conformer.feature_extractor
    head = torch.nn.Sequential(torch.nn.LayerNorm(model.config.conv_dim[-1]), torch.nn.LazyLinear(40))
    head(torch.zeros(1, 1, model.config.conv_dim[-1]))
    optimizer = torch.optim.AdamW([*front.parameters(), *head.parameters()], lr=2e-3, fused=True)
    began = time.monotonic()
    for step in range(steps):
        batch = next(stream)
        optimizer.param_groups[0]["lr"] = 2e-3 * (1 - step / steps) + 1e-5
        with torch.autocast("cpu", torch.bfloat16):
            predicted = head(front(batch.audio).transpose(1, 2))
        loss = functional.mse_loss(predicted.float(), log_mel(batch.audio))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 50 == 0:
            passed = time.monotonic() - began
            print(f"mel {step + 1}/{steps}  loss {loss.item():.3f}  {passed:.0f} s", flush=True)


def losses(model: Wav2Vec2ConformerForCTC, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """CTC loss a token, and cross-entropy a labelled frame."""
    with isolated(model, batch.lengths) as frames, torch.autocast("cpu", torch.bfloat16):
        logits = model(batch.audio, attention_mask=attention_mask(batch.lengths)).logits
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
    return ctc / max(len(batch.labels), 1), labelled / max(int((batch.frame_labels >= 0).sum()), 1)


def learning_rate(step: int, steps: int) -> float:
    """A short rise, then half a cosine down to zero."""
    rise = WARM_UP_SHARE * steps
    if step < rise:
        return PEAK_LEARNING_RATE * (step + 1) / rise
    return PEAK_LEARNING_RATE * (1 + np.cos(np.pi * (step - rise) / (steps - rise))) / 2


def check(model: Wav2Vec2ConformerForCTC, weights: dict[str, torch.Tensor], data: Path) -> float:
    """Word error rate of `weights` on a few test strings: to watch only, nothing is chosen by it."""
    judge = Wav2Vec2ConformerForCTC(model.config).eval()
    judge.load_state_dict(weights)
    strings = test_strings(data, CHECK_STRINGS, seed=1)
    return word_error_rate((words, transcribe(judge, audio)) for audio, words in strings)


def learn_digits(model: Wav2Vec2ConformerForCTC, stream: Iterator[Batch], steps: int, data: Path, output: Path) -> None:
    """Train with CTC, saving the running average of the weights at every check."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}],
        betas=(0.9, 0.98),
        fused=True,
    )
    average = {name: value.clone() for name, value in model.state_dict().items()}
    began = time.monotonic()
    recent = np.zeros(2)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps)
        ctc, labelled = losses(model, next(stream))
        bootstrap = max(0.0, 1 - step / (BOOTSTRAP_SHARE * steps))
        optimizer.zero_grad()
        (ctc + bootstrap * labelled).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()

        share = max(1 / AVERAGE_STEPS, 1 / (step + 1))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                average[name].lerp_(value, share)
            else:
                average[name].copy_(value)
        recent += [ctc.item(), labelled.item()]
        done = step + 1
        if done % 50 == 0:
            passed = time.monotonic() - began
            left = passed / done * (steps - done) / 60
            print(
                f"step {done}/{steps}  ctc {recent[0] / 50:.3f}  frames {recent[1] / 50:.3f}"
                f"  {passed / 60:.1f} min, {left:.1f} left",
                flush=True,
            )
            recent[:] = 0
        if done % CHECK_EVERY == 0 or done == steps:
            save(model, average, output)
            print(f"step {done}/{steps}  word error rate {check(model, average, data):.2%}", flush=True)


def main() -> int:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    np.random.seed(arguments.seed)  # transformers draws its SpecAugment masks from numpy's global generator.
    try:
        require_espeak()
        humans = read_training_clips(arguments.data, arguments.hold_out)
    except (MissingDataError, MissingProgramError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2
    logging.disable_progress_bar()
    print(f"synthesising {VOICES} voices", flush=True)
    synthetic = synthetic_voices(VOICES, STRINGS_A_VOICE, arguments.seed)

    model = Wav2Vec2ConformerForCTC(build_config()).train()
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    learn_mel(model, batches(TrainingGroups(humans, synthetic, MEL_STEPS, arguments.seed + 1)), MEL_STEPS)
    groups = TrainingGroups(humans, synthetic, arguments.steps, arguments.seed)
    learn_digits(model, batches(groups), arguments.steps, arguments.data, arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
