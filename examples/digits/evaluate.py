"""Scores of a digit checkpoint on the test recordings of the Free Spoken Digit Dataset.

    python examples/digits/evaluate.py exporter/w2vc_exporter/checkpoints/digits

Word error rate, by greedy decoding, of a model with CTC; accuracy of a model that names one digit.
One recording at a time, float32 arithmetic.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import bert
import keywords
import numpy as np
import torch
from data import MissingDataError, add_data_argument, require_recordings
from strings import SPEAKERS, single_clips, test_strings, word_errors
from synthesis import unheard_strings
from transformers import Wav2Vec2BertForCTC, Wav2Vec2ConformerForCTC, Wav2Vec2ForSequenceClassification
from transformers.utils import logging

import model

LISTENERS = {
    "Wav2Vec2ConformerForCTC": (Wav2Vec2ConformerForCTC, model.transcribe),
    "Wav2Vec2BertForCTC": (Wav2Vec2BertForCTC, bert.transcribe),
    "Wav2Vec2ForSequenceClassification": (Wav2Vec2ForSequenceClassification, keywords.classify),
}
"""By the first of a checkpoint's `architectures`: its class, and what writes down a recording with it."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="folder with config.json and model.safetensors")
    add_data_argument(parser)
    parser.add_argument(
        "--speakers",
        nargs="+",
        choices=SPEAKERS,
        metavar="SPEAKER",
        help="score these only (default: all six)",
    )
    arguments = parser.parse_args()
    try:
        require_recordings(arguments.data)
    except MissingDataError as error:
        print(f"evaluate.py: {error}", file=sys.stderr)
        return 2
    if not (arguments.checkpoint / "config.json").is_file():
        print(f"evaluate.py: {arguments.checkpoint} holds no config.json", file=sys.stderr)
        return 2

    architecture = json.loads((arguments.checkpoint / "config.json").read_text())["architectures"][0]
    if architecture not in LISTENERS:
        print(f"evaluate.py: {architecture} is none of {', '.join(LISTENERS)}", file=sys.stderr)
        return 2

    logging.disable_progress_bar()
    architecture_class, listen = LISTENERS[architecture]
    listener = architecture_class.from_pretrained(arguments.checkpoint, dtype=torch.float32).eval()
    single = architecture == "Wav2Vec2ForSequenceClassification"
    sets: dict[str, Iterator[tuple[np.ndarray, str]]] = {}
    if not single:
        sets["strings of 1 to 7 digits"] = test_strings(arguments.data, speakers=arguments.speakers)
    sets["single digits"] = single_clips(arguments.data, speakers=arguments.speakers)
    if arguments.speakers is None and shutil.which("espeak-ng"):
        sets["unheard synthetic voices"] = unheard_strings(max_digits=1) if single else unheard_strings()
    print(
        f"{'test set':<26}{'recordings':>11}{'words':>7}{'errors':>8}{'accuracy' if single else 'word error rate':>17}"
    )
    for name, recordings in sets.items():
        count = words = errors = 0
        for audio, reference in recordings:
            count += 1
            words += len(reference.split())
            errors += word_errors(reference, listen(listener, audio))
        score = 1 - errors / words if single else errors / words
        print(f"{name:<26}{count:>11}{words:>7}{errors:>8}{score:>16.2%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
