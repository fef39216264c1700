"""``w2vc align``: when the words of a known text are said."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from w2vc_runtime.model import load
from w2vc_runtime.results.formats import csv_table
from w2vc_runtime.sessions.select import NAMES

from .program import DONE, JSON, REFUSED, say

FORMATS = ("text", "json", "csv")


def add_align_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `align`, and the command itself."""
    command.add_argument("bundle", type=Path, help="directory that w2vc-export wrote, of head ctc")
    command.add_argument("audio", help="a wav, flac, ogg or mp3 file")
    command.add_argument("text", help="what is said; * stands for any speech, [word] may be left out")
    command.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    command.add_argument("--provider", choices=NAMES, default="auto", help="what computes; default: auto")
    command.add_argument("--precision", metavar="P", help="which graph of the bundle; default: its first")
    command.set_defaults(command=align)


def align(arguments: argparse.Namespace) -> int:
    """Print the words with their times."""
    with load(arguments.bundle, arguments.provider, arguments.precision) as model:
        found = model.align(arguments.audio, arguments.text)
    if arguments.format == "json":
        say(json.dumps(found.to_dict(), ensure_ascii=False) + "\n", JSON)
    else:
        say(csv_table(found) if arguments.format == "csv" else f"{found.to_text()}\n", REFUSED)
    return DONE
