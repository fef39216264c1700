"""Give the same job to each decoder, in its own environment and process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from peers import environment

HERE = Path(__file__).parent
ENVIRONMENTS = {"native": None, "pyctcdecode": "pyctcdecode", "flashlight": "flashlight"}


def run(decoder: str, logits: Sequence[np.ndarray], labels: list[str], arpa: Path | None, **job: Any) -> dict[str, Any]:
    """The result of a decoder: see run_pyctcdecode.py."""
    name = ENVIRONMENTS[decoder]
    python = sys.executable if name is None else str(environment(name) / "python")
    with tempfile.TemporaryDirectory() as folder:
        arrays, result = Path(folder) / "logits.npz", Path(folder) / "result.json"
        np.savez(arrays, *logits)
        job |= {"arrays": str(arrays), "labels": labels, "arpa": str(arpa) if arpa else None, "result": str(result)}
        path = Path(folder) / "job.json"
        path.write_text(json.dumps(job))
        command = [python, str(HERE / f"run_{decoder}.py"), str(path)]
        quiet = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True)
        if quiet.returncode != 0:
            sys.exit(f"{decoder} failed:\n{quiet.stderr}")
        return json.loads(result.read_text())
