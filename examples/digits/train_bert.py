"""Train a small Wav2Vec2-BERT to write down spoken digit strings, from nothing, on a CPU.

    python examples/digits/train_bert.py --output digits-bert

Takes about an hour on two cores; needs the development packages, espeak-ng and the Free Spoken Digit Dataset.

The speech and the loop are those of train.py. The model gets a mel spectrogram, so nothing has to learn one;
the rough frame labels and the strings growing from two digits to seven help as they do there. With each mel bin
normalized over the recording, a lone digit without silence around it is hard, so a second stretch, a quarter as
long as the first, is rich in those.
"""

import argparse
import sys
from collections.abc import Callable

import numpy as np
import torch
from bert import FIELD_SAMPLES, build_config, extract, mel_features, save, transcribe
from data import Batch, Front, Lesson, TrainingGroups, lesson_at
from strings import MAX_DIGITS
from synthesis import SyntheticVoice
from training import PEAK_LEARNING_RATE, batches, bootstrap, check_strings, ctc_losses, learn, parse_arguments, prepare
from transformers import Wav2Vec2BertForCTC

from model import attention_mask

STRINGS_A_VOICE = 4
SECOND_STRETCH = 0.25
MEL = Front(mel_features, FIELD_SAMPLES, level_db=6.0)


def require_equal_features() -> None:
    """Raise AssertionError unless the quick features of the training equal those of transformers."""
    rng = np.random.default_rng(0)
    for samples in (FIELD_SAMPLES, 5000, 16000, 16160):
        audio = (rng.standard_normal(samples) * rng.uniform(0, 0.1, samples)).astype(np.float32)
        audio[samples // 3 : samples // 2] = 0.0
        np.testing.assert_allclose(mel_features(audio), extract(audio), rtol=0, atol=1e-4)


def losses(model: Wav2Vec2BertForCTC, batch: Batch) -> dict[str, torch.Tensor]:
    """The CTC and frame losses of a batch."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(batch.inputs, attention_mask=attention_mask(batch.lengths)).logits
    return ctc_losses(logits, batch.lengths, batch)


def stretch(
    model: Wav2Vec2BertForCTC,
    speech: tuple[list[list[list[np.ndarray]]], list[SyntheticVoice]],
    steps: int,
    seed: int,
    arguments: argparse.Namespace,
    lessons: Callable[[float], Lesson] = lesson_at,
    weigh: Callable[[int, int], dict[str, float]] = bootstrap,
    peak: float = PEAK_LEARNING_RATE,
) -> None:
    """Train `model` for `steps` batches of `lessons` in human and synthetic `speech`."""
    learn(
        model,
        batches(TrainingGroups(*speech, steps, seed, MEL, lessons)),
        steps,
        losses,
        weigh,
        save=lambda model, weights: save(model, weights, arguments.output),
        check=lambda judge: check_strings(judge, transcribe, arguments.data),
        peak=peak,
    )


def learn_singles(
    speech: tuple[list[list[list[np.ndarray]]], list[SyntheticVoice]], arguments: argparse.Namespace
) -> None:
    """The second stretch, from the weights that the first has saved."""
    seed = arguments.seed + 1
    torch.manual_seed(seed)
    np.random.seed(seed)
    model = Wav2Vec2BertForCTC.from_pretrained(arguments.output, dtype=torch.float32).train()
    stretch(
        model,
        speech,
        int(SECOND_STRETCH * arguments.steps),
        seed,
        arguments,
        lessons=lambda progress: Lesson(MAX_DIGITS, synthetic_share=0.3, single_share=0.6),
        weigh=lambda step, steps: {"ctc": 1.0, "frames": 0.0},
        peak=PEAK_LEARNING_RATE / 2,
    )


def main() -> int:
    arguments = parse_arguments(__doc__, steps=10000)
    require_equal_features()
    speech = prepare(arguments, STRINGS_A_VOICE)
    model = Wav2Vec2BertForCTC(build_config()).train()
    print(f"{model.num_parameters():,} parameters", flush=True)
    stretch(model, speech, arguments.steps, arguments.seed, arguments)
    learn_singles(speech, arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
