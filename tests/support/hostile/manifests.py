"""Manifests with right hashes and wrong content: every field replaced, removed, and put where it is not expected."""

from __future__ import annotations

import copy
import json
import random
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from support.hostile import harness
from support.hostile.harness import Attempt, Bundle

COUNT = 1179
# Of fields that change what is said, but for a mistake: with another vocabulary the same tokens are another text.
MEANT = ("ctc", "labels", "features", "frames")
RAW = {
    "nesting": "[" * 100_000 + "]" * 100_000,
    "objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "digits": "9" * 5_000,
    "fraction": "0." + "3" * 5_000,
    "nan": "NaN",
    "infinity": "-Infinity",
    "exponent": "1e999",
    "surrogate": r'"\ud800"',
    "twice": '{"a": 1, "a": 2}',
}
VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2**31, 2**63, 10**308, -0.5, 1.5, 1e308, "", "a", "x" * 20_000, "\0", "\x1b[2J",
    "../outside/model.onnx", "/etc/passwd", [], [1], [[]], {}, {"a": 1}, [None] * 3,
    *(f"@{name}@" for name in RAW),
)  # fmt: skip
Step = str | int


def paths(value: Any, path: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """Where something is in a document; of a list the first and the last entry."""
    if path:
        yield path
    if isinstance(value, dict):
        for key in value:
            yield from paths(value[key], (*path, key))
    elif isinstance(value, list):
        for index in sorted({0, len(value) - 1} if value else ()):
            yield from paths(value[index], (*path, index))


def replaced(document: dict[str, Any], path: Sequence[Step], value: Any) -> dict[str, Any]:
    """A copy with another value in one place."""
    result = copy.deepcopy(document)
    inner: Any = result
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return result


def removed(document: dict[str, Any], path: Sequence[Step]) -> dict[str, Any]:
    """A copy without what is in one place."""
    result = copy.deepcopy(document)
    inner: Any = result
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return result


def edits(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """All edits of a manifest, by name. A text ``@NAME@`` stands for what is in `RAW`."""
    for path in paths(document):
        shown = ".".join(map(str, path))
        for value in VALUES:
            yield f"{shown} = {str(value)[:30]!r}", replaced(document, path, value)
        yield f"{shown} removed", removed(document, path)
        inner: Any = document
        for step in path:
            inner = inner[step]
        if isinstance(inner, dict):
            yield f"{shown} with more", replaced(document, path, {**inner, "more": 1})
            yield f"{shown} as a list", replaced(document, path, list(inner.values()))
        elif isinstance(inner, list):
            yield f"{shown} twice", replaced(document, path, inner * 2)
            yield f"{shown} in itself", replaced(document, path, [inner])
        else:
            yield f"{shown} in a list", replaced(document, path, [inner])
            yield f"{shown} as text", replaced(document, path, str(inner))


def outside(document: dict[str, Any], model: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Manifests that name a graph, or any file, that is not in the bundle: one whose hash is right."""
    entry = harness.entry(model)
    for name in ("../outside/model.onnx", str(model), "./../outside/model.onnx", "x/../../outside/model.onnx"):
        graph = replaced(document, ("graphs", 0, "files", 0), name)
        yield f"graph {name} in files", replaced(graph, ("files", name), entry)
        yield f"graph {name}", graph
        yield f"file {name}", replaced(document, ("files", name), entry)
        weights = replaced(document, ("graphs", 0, "files"), [*document["graphs"][0]["files"], name])
        yield f"weights {name}", replaced(weights, ("files", name), entry)
        yield f"engine {name}", {**document, "engines": [engine(document, file=name)]}
    yield "graph that files lacks", removed(document, ("files", document["graphs"][0]["files"][0]))


def engine(document: dict[str, Any], **other: Any) -> dict[str, Any]:
    """The entry of an engine that could be."""
    profile = {"seconds": [1, 2, 3], "batch": [1, 1, 1]}
    widths = {name: size for each in document["inputs"] for name, size in [(each["name"], each["shape"][2:])]}
    profile["shapes"] = {name: [[1, 10 * n, *width] for n in (1, 2, 3)] for name, width in widths.items()}
    graph = document["graphs"][0]
    return {
        "file": "engines/a.plan", "sha256": "0" * 64, "size": 1, "backend": "tensorrt-rtx", "version": "1.0",
        "platform": "linux-x86_64", "targets": ["sm89"], "gpu": None, "flags": [], "precision": graph["precision"],
        "graph": {name: document["files"][name]["sha256"] for name in graph["files"]}, "profiles": [profile],
        "ep_context": None, **other,
    }  # fmt: skip


def inputs(bundles: Sequence[Bundle], count: int = COUNT) -> Iterator[tuple[Bundle, str, dict[str, Any]]]:
    """As many edits as asked for, of all bundles: those that lead outside, and others by chance, always the same."""
    chosen, others = [], []
    for bundle in bundles:
        document = json.loads((bundle.path / "manifest.json").read_text())
        del document["sha256"]
        chosen += [(bundle, *each) for each in outside(document, bundle.outside / "model.onnx")]
        with_engine = {**document, "engines": [engine(document)]}
        others += [(bundle, *each) for each in edits(with_engine) if each[0].startswith("engines")]
        others += [(bundle, *each) for each in edits(document)]
    random.Random(0).shuffle(others)
    yield from (chosen + others)[:count]


def write(bundle: Path, document: dict[str, Any]) -> None:
    """Put a manifest into a bundle, with its own hash, and that in the report."""
    text = json.dumps(document)
    text = re.sub(r'"@(\w+)@"', lambda found: RAW.get(found[1], found[0]), text)
    text = re.sub(r"@(\w+)@", "raw", text)
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        document = json.loads(text)
        document["sha256"] = harness.hashed(document)
        text = json.dumps(document)
    except RecursionError:  # no Python could have hashed it
        pass
    finally:
        sys.set_int_max_str_digits(limit)
    (bundle / "manifest.json").write_text(text)
    harness.sign_report(bundle)


def attempts(
    bundles: Sequence[Bundle], count: int, folder: Path
) -> Iterator[tuple[str, Sequence[Attempt], str | None]]:
    """What comes of every edit."""
    copies = {bundle.path: bundle.copy(folder / str(index)) for index, bundle in enumerate(bundles)}
    for bundle, name, document in inputs(bundles, count):
        edited = copies[bundle.path]
        write(edited.path, document)
        done = edited.attempts()
        wrong = None
        said = done[1].output if done[1].code == 0 else bundle.said
        if said != bundle.said and not name.startswith(MEANT):
            wrong = f"says {said!r}"
        yield f"{bundle.path.name}: {name}", done, wrong


def main(arguments: Sequence[str]) -> int:
    with harness.exported(arguments) as (bundles, folder):
        return harness.tally("edited manifests", attempts(bundles, COUNT, folder))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
