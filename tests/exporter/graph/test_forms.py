"""Other ways to write a model down are other graphs of the same numbers."""

from __future__ import annotations

from contextlib import nullcontext

import onnx_ir as ir
import pytest

from support.forms import FORMS
from support.graphs import run
from support.oracle import clips, difference, fronts, tiny
from w2vc_exporter import ExportOptions
from w2vc_exporter.graph.passes.convolutions_to_products import ConvolutionsToProducts
from w2vc_exporter.graph.passes.reduce_precision import ReducePrecision
from w2vc_exporter.graph.trace import trace
from w2vc_exporter.precision import forms
from w2vc_exporter.subject import Subject, find_subject, read_subject

KINDS = ("wav2vec2", "conformer-relative", "bert-relative_key")
CASES = [(name, next(kind for kind in KINDS if form.changes(kind))) for name, form in FORMS.items()]


def subject(architecture: str) -> Subject:
    checkpoint = tiny(architecture, fronts(architecture)[-1], brief=True)[1]
    return read_subject(*find_subject(ExportOptions(checkpoint, "ctc", output=checkpoint / "unused")))


def written(read: Subject, form: str | None, half: bool = False) -> ir.Model:
    with nullcontext() if form is None else FORMS[form].context():
        graph = trace(read.model)
        if forms.FORMS[None].products:
            ConvolutionsToProducts()(graph)
        if half:
            ReducePrecision(inside=forms.FORMS[None].inside)(graph)
        return graph


@pytest.mark.parametrize(("form", "architecture"), CASES, ids=[name for name, _ in CASES])
def test_a_form_is_another_graph_of_the_same_numbers(form, architecture):
    read = subject(architecture)
    inputs = read.interface.feed(clips(16000, 9000))
    half = form in ("scores in fp32", "softmax in half", "norms in half", "for cuda")  # which are no change to fp32
    ours, other = written(read, None, half), written(read, form, half)
    kinds = [[(node.op_type, node.outputs[0].dtype) for node in each.graph] for each in (ours, other)]
    assert kinds[0] != kinds[1]
    assert difference(run(other, **inputs), run(ours, **inputs)) < (2e-2 if half else 1e-5)


def test_forms_leave_nothing_behind():
    read = subject("conformer-relative")
    before = [node.op_type for node in written(read, None, half=True).graph]
    for form in FORMS.values():
        with form.context():
            pass
    assert [node.op_type for node in written(read, None, half=True).graph] == before
