"""``report.json``: the certificate of a bundle, as plain data. `html.render` shows it to people.

What differs between two exports of the same checkpoint is in ``created`` and ``measured``, and so in ``page``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from w2vc_runtime.bench.measure import Speed, measure
from w2vc_runtime.bundle import Bundle, Manifest, digest, file_entry
from w2vc_runtime.documents.typed import plain
from w2vc_runtime.verify.again import PAGE, REPORT
from w2vc_runtime.verify.cases import CASES, GAINS
from w2vc_runtime.verify.verdict import Audio, Verdict, error_percent, percent

from .html import render


@dataclass(frozen=True)
class Facts:
    """What the manifest does not say of a model. width: channels of the encoder. parameters: that the head uses."""

    layers: int
    width: int
    parameters: int


def write(
    bundle: Bundle,
    facts: Facts,
    verdicts: Mapping[str, Verdict],
    drifts: Mapping[str, list[dict[str, Any]]],
    speeds: Mapping[str, Speed],
) -> dict[str, Any]:
    """Measure the graphs of a bundle; write the report and its page beside them, and return the report.

    drifts: by precision, see `drift.Layers.drift`. speeds: of the graphs that are measured already.
    """
    directory, manifest = bundle.path, bundle.manifest
    passed = not any(verdict.problems for verdict in verdicts.values())
    precisions = {
        graph.precision: {
            **_precision(verdicts[graph.precision]),
            "megabytes": _megabytes(manifest, graph.files),
            "size_ratio": None,
            "layers": drifts.get(graph.precision, []),
            "kept_fp32": graph.kept_fp32,
            "kept": plain(graph.kept),
            "audio": _audio(verdicts[graph.precision].audio),
        }
        for graph in manifest.graphs
    }
    if "fp32" in precisions:
        for each in precisions.values():
            each["size_ratio"] = round(each["megabytes"] / precisions["fp32"]["megabytes"], 2)
    certified = next(iter(manifest.verification.values()))
    report: dict[str, Any] = {
        "name": manifest.name,
        "passed": passed,
        "statement": _statement(verdicts),
        "manifest": manifest.sha256 if passed else None,
        "model": _model(manifest, facts),
        "precisions": precisions,
        "verified_against": {"reference": certified.reference, "material": certified.material},
        "tools": manifest.tools,
        "source": plain(manifest.source),
        "files": {name: {"sha256": entry.sha256, "bytes": entry.size} for name, entry in manifest.files.items()},
        "measured": measure(bundle, speeds),
        "created": manifest.created,
    }
    (directory / PAGE).write_text(render(report), encoding="utf-8")
    report["page"] = plain(file_entry(directory / PAGE))
    report["sha256"] = digest(json.loads(json.dumps(report)))
    (directory / REPORT).write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return report


def _statement(verdicts: Mapping[str, Verdict]) -> str:
    failed = [precision for precision, verdict in verdicts.items() if verdict.problems]
    if failed:
        return f"Not published: the graph in {_listed(failed)} misses its budget against PyTorch."
    if len(verdicts) == 1:
        return f"The {_listed(list(verdicts))} graph computes what PyTorch computes, within its budget."
    return f"The graphs in {_listed(list(verdicts))} compute what PyTorch computes, each within its budget."


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _precision(verdict: Verdict) -> dict[str, Any]:
    plain = verdict.to_dict()
    required = plain["budget"]["choices"]
    same = verdict.same
    return {
        "passed": plain["passed"],
        "statement": plain["problems"][0] if plain["problems"] else plain["summary"],
        "problems": plain["problems"],
        "budget": {"difference": plain["budget"]["difference"], "same_percent": round(100 * required, 4)},
        "difference": _worst(plain["cases"]),
        "choices": sum(row.choices for row in verdict.rows),
        "same": sum(row.same for row in verdict.rows),
        "same_percent": None if same is None else percent(same),
        "sessions": plain["sessions"],
        "cases": [{**case, "group": _group(case)} for case in plain["cases"]],
    }


def _worst(cases: Sequence[Mapping[str, Any]]) -> float | None:
    differences = [case["difference"] for case in cases]
    return None if None in differences else max(differences)


def _audio(audio: Audio | None) -> dict[str, Any] | None:
    """Word error rates; None without transcripts."""
    if audio is None or audio.word_errors is None:
        return None
    return {
        "clips": audio.clips,
        "seconds": round(audio.seconds, 1),
        "words": audio.word_errors.words,
        "reference_error_percent": error_percent(audio.word_errors.reference.wer),
        "error_percent": error_percent(audio.word_errors.graph.wer),
    }


def _group(case: Mapping[str, Any]) -> str:
    if case["recorded"]:
        return "recording"
    if case["case"] in GAINS:
        return "loudness"
    return "batch" if len(CASES[case["case"]]) > 1 else "length"


def _model(manifest: Manifest, facts: Facts) -> dict[str, Any]:
    recipe = manifest.features
    rate = recipe.sampling_rate
    return {
        "family": manifest.family,
        "head": manifest.head,
        "position": manifest.position,
        "layers": facts.layers,
        "width": facts.width,
        "parameters": facts.parameters,
        "padding": manifest.padding,
        "features": {"kind": recipe.kind, "extractor": recipe.extractor, "sampling_rate": rate},
        "inputs": [_tensor(each.name, each.shape) for each in manifest.inputs],
        "outputs": [_tensor(each.name, each.shape) for each in manifest.outputs],
        "frame_milliseconds": {axis: 1000 * each.step / rate for axis, each in manifest.frames.items()},
        "shortest_milliseconds": round(1000 * manifest.shortest / rate, 3),
    }


def _tensor(name: str, shape: Sequence[str | int]) -> str:
    return f"{name} [{', '.join(map(str, shape))}]"


def _megabytes(manifest: Manifest, files: Sequence[str]) -> float:
    return round(sum(manifest.files[name].size for name in files) / 1e6, 2)
