"""``w2vc verify``: a bundle against its own certificate, on this machine, without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from w2vc_runtime.bundle import Bundle, Certified, FileEntry, Graph, check_file, digest, locate
from w2vc_runtime.documents.reader import DocumentError, read_document
from w2vc_runtime.documents.typed import TypeMismatch, build
from w2vc_runtime.errors import BundleError, InferenceError, OptionError
from w2vc_runtime.sessions.checked import CheckedSession
from w2vc_runtime.sessions.select import open_bundle

from . import expectations
from .parity import verify
from .reference import Reference
from .verdict import Verdict, percent, percent_text

REPORT = "report.json"
PAGE = "report.html"
HEADER = (
    "precision",
    "provider",
    "worst difference",
    "certificate",
    "allowed",
    "same choices",
    "certificate",
    "verdict",
)


@dataclass(frozen=True)
class Outcome:
    """What became of one precision.

    certified: the verdict of the export. verdict: None where the graph could not be run, and then
    ``reason`` says why; ``fault`` if that is the graph's own.
    """

    precision: str
    provider: str
    certified: Certified
    verdict: Verdict | None = None
    reason: str = ""
    fault: bool = False

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the precision failed; empty where it passed, or where this provider has no arithmetic for it."""
        if self.verdict is None:
            return (self.reason,) if self.fault else ()
        return self.verdict.problems

    def row(self) -> tuple[str, ...]:
        """Its cells under `HEADER`."""
        cases = [case for case in self.certified.cases if not case.recorded]  # which the bundle does not hold
        choices = sum(case.choices for case in cases)
        certified = _share(sum(case.same for case in cases) / choices if choices else None)
        worst = f"{max(case.difference or 0.0 for case in cases):.1e}"
        allowed = f"{self.certified.budget.difference:.0e}"
        if self.verdict is None:
            state = "failed" if self.fault else "not run"
            return (self.precision, self.provider, "-", worst, allowed, "-", certified, f"{state}: {self.reason}")
        state = "failed" if self.problems else "passed"
        difference = f"{self.verdict.difference:.1e}"
        return (
            self.precision, self.provider, difference, worst, allowed, _share(self.verdict.same), certified, state
        )  # fmt: skip


def verify_bundle(bundle: Path, provider: str = "auto", precision: str | None = None) -> list[Outcome]:
    """Run every graph of a bundle, or that of one precision, on what PyTorch was run on, within the bundle's budgets.

    Raises `BundleError` on a bundle that is damaged or whose report is of another, `OptionError` where the provider can
    run none of the graphs, and `MissingExtraError`.
    """
    read = Bundle.read(bundle)
    read.check()
    check_report(read)
    graphs = read.manifest.graphs if precision is None else (read.graph(precision),)
    references, choice = expectations.read(read)
    outcomes = [_outcome(read, graph, provider, references, choice) for graph in graphs]
    if all(each.verdict is None and not each.fault for each in outcomes):
        raise OptionError(outcomes[0].reason)
    return outcomes


def check_report(bundle: Bundle) -> None:
    """Raise `BundleError` where the bundle's report or its page is missing, damaged, or of another bundle."""
    path = locate(bundle.path, REPORT)
    try:
        report = read_document(path)
    except DocumentError as error:
        raise BundleError(f"{path} is damaged: it is not a report, {error}; export the bundle again") from error
    if not isinstance(report, dict) or report.get("sha256") != digest(report):
        raise BundleError(f"{path} is damaged: its content does not match its sha256; export the bundle again")
    if report.get("manifest") != bundle.manifest.certified:
        raise BundleError(f"{path} is the report of another bundle; take the one that was exported with {bundle.path}")
    try:
        page = build(FileEntry, report.get("page"))
    except TypeMismatch as error:
        raise BundleError(f"{path} does not say what its page {PAGE} is: {error}; export the bundle again") from error
    check_file(bundle.path, PAGE, page, REPORT)


def table(outcomes: list[Outcome]) -> str:
    """The outcomes beside the certificate's figures."""
    rows = [HEADER, *(each.row() for each in outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip() for row in rows)


def _outcome(bundle: Bundle, graph: Graph, provider: str, references: list[Reference], choice: str | None) -> Outcome:
    certified = bundle.manifest.verification[graph.precision]
    used = provider
    try:
        session = CheckedSession(open_bundle(bundle, graph, provider), bundle.interface)
        used = session.provider
        verdict = verify(session, references, certified.budget, choice)
    except OptionError as error:
        return Outcome(graph.precision, used, certified, reason=str(error))
    except (BundleError, InferenceError) as error:
        return Outcome(graph.precision, used, certified, reason=str(error), fault=True)
    return Outcome(graph.precision, used, certified, verdict)


def _share(share: float | None) -> str:
    return "-" if share is None else percent_text(percent(share))
