"""Write unicode_tables.hpp, of the Unicode tables of this Python: ``python unicode_tables.py > unicode_tables.hpp``."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterator

POINTS = [point for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000]


def ranges(holds: Callable[[str], bool]) -> Iterator[tuple[int, int]]:
    """First and last code point of each stretch of those that hold."""
    first = last = -2
    for point in POINTS:
        if not holds(chr(point)):
            continue
        if point != last + 1:
            if first >= 0:
                yield first, last
            first = point
        last = point
    yield first, last


def cased(char: str) -> bool:
    """Cased and not case-ignorable: a sigma after it ends a word."""
    return f" {char}Σ".lower().endswith("ς")


def ignorable(char: str) -> bool:
    """Case-ignorable: what is before it decides on a sigma after it."""
    return f"A{char}Σ".lower().endswith("ς") and not cased(char)


def lower_runs() -> list[tuple[int, int, int, int]]:
    """Runs (first, last, step, delta) of the capitals whose small letter is one other code point."""
    runs: list[list[int]] = []
    for point in POINTS:
        small = chr(point).lower()
        if len(small) != 1 or ord(small) == point or chr(point) == "Σ":
            continue
        delta = ord(small) - point
        if runs and runs[-1][3] == delta:
            first, last, step, _ = runs[-1]
            gap = point - last
            if gap == step or (first == last and gap <= 2):
                runs[-1][1:3] = [point, gap]
                continue
        runs.append([point, point, 1, delta])
    return [(first, last, step, delta) for first, last, step, delta in runs]


def write(name: str, kind: str, rows: list[tuple[int, ...]]) -> None:
    print(f"\ninline constexpr std::array<{kind}, {len(rows)}> {name}{{{{")
    for start in range(0, len(rows), 4):
        line = ", ".join("{" + ", ".join(map(str, row)) + "}" for row in rows[start : start + 4])
        print(f"    {line},")
    print("}};")


def main() -> None:
    print(f"// Made by unicode_tables.py from Unicode {unicodedata.unidata_version}.\n#pragma once\n")
    print("#include <array>\n#include <cstdint>\n\nnamespace w2vc::decoding::unicode {\n\n// clang-format off")
    print("struct Range {\n    char32_t first, last;\n};\n")
    print("// Every step-th code point of first..last has its small letter delta further on.")
    print("struct Run {\n    char32_t first, last, step;\n    std::int32_t delta;\n};")
    write("kLower", "Run", lower_runs())
    write("kCased", "Range", list(ranges(cased)))
    write("kCaseIgnorable", "Range", list(ranges(ignorable)))
    print("// clang-format on\n\n}  // namespace w2vc::decoding::unicode")


if __name__ == "__main__":
    main()
