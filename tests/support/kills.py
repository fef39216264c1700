"""Run the export command again and again and kill it at random moments; used by test_crash.py.

    python -m support.kills CHECKPOINT FOLDER KILLS [--in-place | --force]

Each run is a fork of this process, which has imported and traced once: both take seconds and write nothing. A first run
is left to finish as FOLDER/older and gives the time within which the others are killed, evenly spread; what one of them
published is moved to FOLDER/published-N. A last one is left to finish as FOLDER/bundle. Prints the outcomes as JSON.
With --force, FOLDER/bundle is there from the start, each run would replace it, and what is there after a kill is copied
to FOLDER/published-N.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: a fork has none of its threads

import onnxruntime  # noqa: F401  imported here to be there in every fork
import torch

import w2vc_model
from w2vc_exporter import pipeline, staging
from w2vc_exporter.cli import main as command
from w2vc_exporter.graph.trace import trace


def start(checkpoint: Path, target: Path, *more: str) -> int:
    """Begin an export in a fork; return its process id."""
    process = os.fork()
    if process == 0:
        try:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            options = ["--head", "ctc", "--precision", "fp32,fp16,int8"]
            os._exit(command([str(checkpoint), *options, "-o", str(target), *more]))
        finally:
            os._exit(3)
    return process


def finish(process: int) -> None:
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status


@contextlib.contextmanager
def in_place(target: Path, force: bool):
    """How not to do it: write where the bundle will be."""
    target.mkdir()
    yield target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("kills", type=int)
    parser.add_argument("--in-place", action="store_true")
    parser.add_argument("--force", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    traced = trace(w2vc_model.load(options.checkpoint, "ctc"))
    pipeline.trace = lambda model: traced
    if options.in_place:
        staging.staging = in_place
        staging.publish = lambda directory, target, force: None
    begin = time.monotonic()
    finish(start(options.checkpoint, options.folder / "older"))
    took = time.monotonic() - begin
    target = options.folder / "bundle"
    generator = random.Random(0)
    more = ["--force"] if options.force else []
    if options.force:
        shutil.copytree(options.folder / "older", target)
    outcomes = []
    for number in range(options.kills):
        process = start(options.checkpoint, target, *more)
        time.sleep(took * (number + generator.random()) / options.kills)
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        published = target.exists()
        if published and options.force:
            shutil.copytree(target, options.folder / f"published-{number}")
        elif published:
            target.rename(options.folder / f"published-{number}")
        left = [path.name for path in options.folder.glob(".*")]
        outcomes.append({"killed": os.WIFSIGNALED(status), "published": published, "left": left})
    finish(start(options.checkpoint, target, *more))
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main()
