"""Where things are."""

from __future__ import annotations

import csv
import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEMO_AUDIO = ROOT / "examples" / "digits" / "audio"
with (DEMO_AUDIO / "metadata.csv").open(newline="") as rows:
    TRANSCRIPTS = {row["file_name"]: row["transcription"] for row in csv.DictReader(rows)}
DATA = Path(os.environ.get("W2VC_DATA", ROOT.parent / "shared" / "data"))
