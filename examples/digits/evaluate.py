"""Word error rate of a digit checkpoint on the test recordings of the Free Spoken Digit Dataset.

    python examples/digits/evaluate.py exporter/w2vc_exporter/checkpoints/digits

Greedy decoding, one recording at a time, float32 arithmetic.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from data import MissingDataError, add_data_argument, require_recordings
from model import transcribe
from strings import SPEAKERS, single_clips, test_strings, word_errors
from synthesis import unheard_strings
from transformers import Wav2Vec2ConformerForCTC
from transformers.utils import logging


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

    logging.disable_progress_bar()
    model = Wav2Vec2ConformerForCTC.from_pretrained(arguments.checkpoint, dtype=torch.float32).eval()
    sets: dict[str, Iterator[tuple[np.ndarray, str]]] = {
        "strings of 1 to 7 digits": test_strings(arguments.data, speakers=arguments.speakers),
        "single digits": single_clips(arguments.data, speakers=arguments.speakers),
    }
    if arguments.speakers is None and shutil.which("espeak-ng"):
        sets["unheard synthetic voices"] = unheard_strings()
    print(f"{'test set':<26}{'recordings':>11}{'words':>7}{'errors':>8}{'word error rate':>17}")
    for name, recordings in sets.items():
        count = words = errors = 0
        for audio, reference in recordings:
            count += 1
            words += len(reference.split())
            errors += word_errors(reference, transcribe(model, audio))
        print(f"{name:<26}{count:>11}{words:>7}{errors:>8}{errors / words:>16.2%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
