"""The parity matrix: what is exported and compared, and README's table of it.

python -m support.matrix    rewrites the table in README.md
"""

from __future__ import annotations

import re
import sys

from support.oracle import ARCHITECTURES, CLASSES, fronts, matrix
from support.paths import ROOT

README = ROOT / "README.md"
BEGIN, END = "<!-- made by tests/support/matrix.py -->\n", "<!-- end -->"
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
# How Hugging Face's configurations name the options, and what of them is meant.
NAMES = {
    "weighted sum": "`use_weighted_layer_sum`",
    "adapter": "`add_adapter`, its stride in every length",
    "narrow adapter": "`add_adapter` with another `output_hidden_size`",
    "adapter after a feed-forward": "`use_intermediate_ffn_before_adapter`",
}


def table() -> str:
    """README's two tables, from the cells of the matrix: what is exported plainly, and with which options."""
    cells = {(cell.architecture, cell.head, cell.option) for cell in matrix()}
    head = "| family | encoder | front end | positions | " + " | ".join(CLASSES) + " |"
    lines = [head, "|---" * (4 + len(CLASSES)) + "|"]
    for architecture in ARCHITECTURES:
        family, encoder, positions = ROWS[architecture]
        front = " or ".join(f"{norm} norm" if norm != "log-mel" else norm for norm in fronts(architecture))
        shown = ["✓" if (architecture, head, "plain") in cells else "–" for head in CLASSES]
        lines.append(f"| {family} | {encoder} | {front} | {positions} | " + " | ".join(shown) + " |")
    lines += [
        "",
        "| and with the option | in families | " + " | ".join(CLASSES) + " |",
        "|---" * (2 + len(CLASSES)) + "|",
    ]
    for option, name in NAMES.items():
        families = dict.fromkeys(
            ROWS[a][0] for a in ARCHITECTURES if any((a, head, option) in cells for head in CLASSES)
        )
        every = len(families) == len({family for family, _, _ in ROWS.values()})
        shown = ["✓" if any((a, head, option) in cells for a in ARCHITECTURES) else "–" for head in CLASSES]
        lines.append(f"| {name} | {'all' if every else ', '.join(families)} | " + " | ".join(shown) + " |")
    return "\n".join([*lines, "", f"{len(matrix())} combinations, each in both padding contracts.", ""])


def rewritten(readme: str) -> str:
    """README with its table as it should be."""
    return re.sub(f"{BEGIN}.*?{END}", lambda _: BEGIN + table() + END, readme, flags=re.DOTALL)


if __name__ == "__main__":
    README.write_text(rewritten(README.read_text()))
    sys.exit(0)
