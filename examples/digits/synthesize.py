"""Make the demonstration recordings: digits spoken by espeak-ng, 16 kHz mono FLAC, and what they say.

    python examples/digits/synthesize.py

The same version of espeak-ng makes the same files.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import soundfile
from strings import SAMPLE_RATE, WORDS
from synthesis import MissingProgramError, require_espeak, speak

VOICE = "en-us"
PITCH = 45
WORDS_A_MINUTE = 140
PEAK = 0.5
EDGE_SECONDS = 0.1

RECORDINGS = {
    "three-one-four-one-five.flac": "three one four one five",
    "seven-two-nine.flac": "seven two nine",
    "phone-number.flac": "five five five, zero one, nine eight",
}
"""What is said, by file; a comma is a short pause."""

WORD = "four"
"""A single word for the keyword classifier, beside the folder of the strings."""


def record(text: str) -> np.ndarray:
    """`text` as float32 (samples,) at 16 kHz, with a little silence at both ends."""
    audio = speak(text, VOICE, PITCH, WORDS_A_MINUTE)
    loud = np.flatnonzero(np.abs(audio) > 1e-3)
    audio = audio[loud[0] : loud[-1] + 1]
    return np.pad(audio / np.abs(audio).max() * np.float32(PEAK), int(EDGE_SECONDS * SAMPLE_RATE))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "audio", help="default: %(default)s")
    folder = parser.parse_args().output
    try:
        require_espeak()
    except MissingProgramError as error:
        print(f"synthesize.py: {error}", file=sys.stderr)
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    transcripts = {}
    for name, text in RECORDINGS.items():
        soundfile.write(folder / name, record(text), SAMPLE_RATE, subtype="PCM_16")
        transcripts[name] = text.replace(",", "")
        assert set(transcripts[name].split()) <= set(WORDS)
    words = folder.with_name("words")
    words.mkdir(exist_ok=True)
    soundfile.write(words / f"{WORD}.flac", record(WORD), SAMPLE_RATE, subtype="PCM_16")
    rows = "".join(f"{name},{text}\n" for name, text in transcripts.items())
    (folder / "metadata.csv").write_text(f"file_name,transcription\n{rows}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
