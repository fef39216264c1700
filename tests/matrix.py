"""The parity matrix: what is exported and compared, and README's table of it.

python tests/matrix.py    rewrites the table in README.md
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from oracle import ARCHITECTURES, CLASSES, OPTIONS, fronts, matrix

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- made by tests/matrix.py -->\n", "<!-- end -->"
ROWS = {
    "wav2vec2": ("Wav2Vec2", "post-norm", "convolutional"),
    "wav2vec2-stable": ("Wav2Vec2", "stable layer norm", "convolutional"),
    "conformer-relative": ("Wav2Vec2-Conformer", "conformer", "relative"),
    "conformer-rotary": ("Wav2Vec2-Conformer", "conformer", "rotary"),
    "conformer-none": ("Wav2Vec2-Conformer", "conformer", "none"),
    "bert-relative_key": ("Wav2Vec2-BERT", "causal conformer", "relative_key"),
    "bert-relative": ("Wav2Vec2-BERT", "causal conformer", "relative"),
    "bert-rotary": ("Wav2Vec2-BERT", "causal conformer", "rotary"),
    "bert-none": ("Wav2Vec2-BERT", "causal conformer", "none"),
}
MARKS = {"weighted sum": "w", "adapter": "a", "narrow adapter": "n", "adapter after a feed-forward": "f"}


def table() -> str:
    """README's table, from the cells of the matrix."""
    cells = {(cell.architecture, cell.head, cell.option) for cell in matrix()}
    lines = [
        "| family | encoder | front end | positions | " + " | ".join(CLASSES) + " |",
        "|---" * (4 + len(CLASSES)) + "|",
    ]
    for architecture in ARCHITECTURES:
        family, encoder, positions = ROWS[architecture]
        front = " or ".join(f"{norm} norm" if norm != "log-mel" else norm for norm in fronts(architecture))
        shown = []
        for head in CLASSES:
            options = "".join(MARKS[o] for o in OPTIONS if o in MARKS and (architecture, head, o) in cells)
            plain = "yes" if (architecture, head, "plain") in cells else "-"
            shown.append(f"{plain} {options}".strip())
        lines.append(f"| {family} | {encoder} | {front} | {positions} | " + " | ".join(shown) + " |")
    legend = (
        "w: also with `use_weighted_layer_sum`. a: also with `add_adapter`, its stride in every length. "
        "n: with an adapter of another width.\n"
        "f: with `use_intermediate_ffn_before_adapter`."
    )
    count = len(matrix())
    return "\n".join([*lines, "", legend, "", f"{count} combinations, each in both padding contracts.", ""])


def rewritten(readme: str) -> str:
    """README with its table as it should be."""
    return re.sub(f"{BEGIN}.*?{END}", lambda _: BEGIN + table() + END, readme, flags=re.DOTALL)


if __name__ == "__main__":
    README.write_text(rewritten(README.read_text()))
    sys.exit(0)
