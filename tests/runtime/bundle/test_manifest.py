"""The manifest is read as a whole: by its types, within limits, and with nothing named outside the bundle."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
from pathlib import Path

import jsonschema
import onnx
import pytest
from onnx import TensorProto, helper

from support import schema
from support.commands import refused
from support.hostile import harness, manifests
from w2vc_exporter import ExportOptions, export
from w2vc_runtime import load
from w2vc_runtime.bundle import HEADS, Bundle, FileEntry, Manifest, digest, file_entry
from w2vc_runtime.bundle.onnx_file import OnnxFileError, references
from w2vc_runtime.cli import main as run_cli
from w2vc_runtime.documents import reader as documents
from w2vc_runtime.documents.reader import DocumentError, parse
from w2vc_runtime.documents.typed import TypeMismatch, build, plain
from w2vc_runtime.engines import compiler
from w2vc_runtime.engines.ep_context import write_ep_context
from w2vc_runtime.errors import BundleError
from w2vc_runtime.features import RECIPES
from w2vc_runtime.results import ANSWERS


@pytest.fixture
def bundle(digits, tmp_path) -> Path:
    """A copy that a test may edit."""
    return Path(shutil.copytree(digits["fp32"], tmp_path / "bundle"))


@pytest.fixture(scope="module")
def keywords(tmp_path_factory) -> Path:
    options = ExportOptions(head="sequence-classification", output=tmp_path_factory.mktemp("keywords") / "b")
    return export(options).bundle


def document(bundle: Path) -> dict:
    values = json.loads((bundle / "manifest.json").read_text())
    del values["sha256"]
    return values


def refusal(bundle: Path, values: dict) -> str:
    """What is said of a manifest whose hash is right."""
    (bundle / "manifest.json").write_text(json.dumps({**values, "sha256": digest(values)}))
    with pytest.raises(BundleError) as caught:
        load(bundle, "cpu")
    return str(caught.value)


def test_a_manifest_is_written_as_it_was_read(digits, keywords):
    for path in (digits["fp16"], keywords):
        assert Bundle.read(path).manifest.to_json() == (path / "manifest.json").read_text()


def test_registries_are_those_of_the_types():
    assert list(HEADS) == list(ANSWERS)
    kinds = [definition["properties"]["kind"] for definition in schema.schema()["$defs"].values()
             if "const" in definition["properties"].get("kind", {})]  # fmt: skip
    assert sorted(kind["const"] for kind in kinds) == sorted(RECIPES)


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("ctc.blank", "a", "ctc.blank is 'a', and must be a whole number from 0 to"),
        ("ctc.blank", True, "ctc.blank is true, and must be a whole number"),
        ("ctc.blank", 32, "ctc.blank is 32, and ctc.vocabulary has 32 tokens"),
        ("ctc.vocabulary", [], "ctc.vocabulary is a list of 0, and must be of 1 or more entries"),
        ("ctc.vocabulary", ["a"], "ctc.vocabulary has 1 tokens, and there are [32] logits"),
        ("ctc", None, "ctc must be given for head ctc"),
        ("ctc.kind", "syllables", "ctc.kind is 'syllables', and must be one of characters, phonemes"),
        ("features.kind", ["waveform"], "features.kind is a list of 1, and must be waveform or log-mel"),
        ("features.sampling_rate", 0, "features.sampling_rate is 0, and must be from 1 to 192,000"),
        ("features.sampling_rate", None, "features.sampling_rate is null, and must be a whole number"),
        ("features.more", 1, "features has 'more', which nobody knows"),
        ("head", "asr", "head is 'asr', and must be one of base, ctc"),
        ("padding", "none", "padding is 'none', and must be one of padding-invariant, hf-exact"),
        ("shortest", 100, "shortest is 100, and the first of frames.frames is made of 400 samples"),
        ("outputs.0.shape.1", "steps", "output logits is float32 ['batch', 'steps', 32]"),
        ("outputs.0.name", "scores", "outputs of head ctc must be logits"),
        ("inputs.0.dtype", "int64", "inputs must be input_values float32"),
        ("graphs", [], "graphs is a list of 0, and must be of 1 or more entries"),
        ("graphs.0.files.0", "../evil.onnx", "graphs[0].files[0] is '../evil.onnx', and must be a plain path inside"),
        ("graphs.0.files.0", "/evil.onnx", "and must be a plain path inside the bundle"),
        ("graphs.0.files.0", "a//b.onnx", "and must be a plain path inside the bundle"),
        ("graphs.0.files.0", ".hidden.onnx", "and must be a plain path inside the bundle"),
        ("graphs.0.files.0", "model.ort", "is model.ort, and must be an .onnx file"),
        ("graphs.0.files.0", "other.onnx", "files lacks other.onnx, which the graph in fp32 is made of"),
        ("files.../a", {"sha256": "0" * 64, "size": 1}, "a name in files is '../a', and must be a plain path inside"),
        ("verification.fp32.passed", False, "verification.fp32 did not pass"),
        ("verification.fp32.cases.0.difference", None, "verification.fp32 did not pass"),
        ("engines", [{}], "engines[0] lacks backend"),
    ],
)  # fmt: skip
def test_what_a_manifest_may_not_say(path, value, line, bundle):
    values = document(bundle)
    steps = [int(step) if step.isdigit() else step for step in path.split(".")]
    steps = ["files", "../a"] if path.startswith("files..") else steps
    assert line in refusal(bundle, manifests.replaced(values, steps, value))


def test_a_graph_outside_the_bundle_is_not_run(bundle, capsys, tone):
    """Its own hash is right, and so is that of what it leads to."""
    shutil.copyfile(bundle / "model.onnx", bundle.parent / "evil.onnx")
    values = document(bundle)
    (bundle / "model.onnx").unlink()
    (bundle / "model.onnx").symlink_to("../evil.onnx")
    line = refused(capsys, run_cli.main, "run", bundle, tone)
    leaves = f"w2vc: {bundle / 'model.onnx'} is a link that leaves the bundle; copy the file that it leads to in its"
    assert line.startswith(leaves)
    values["graphs"][0]["files"] = ["../evil.onnx"]
    assert "a plain path inside" in refusal(bundle, values)
    values["graphs"][0]["files"] = ["model.onnx"]
    (bundle / "model.onnx").unlink()
    assert "has no model.onnx" in refusal(bundle, values)


def test_links_within_a_bundle_are_followed(bundle):
    (bundle / "model.onnx").rename(bundle / "weights.onnx")
    (bundle / "model.onnx").symlink_to("weights.onnx")
    assert load(bundle, "cpu").provider == "cpu"


def with_data(bundle: Path, location: str) -> None:
    """Have a tensor of the graph in another file, and make the hashes fit."""
    graph = onnx.load(bundle / "model.onnx")
    tensor = next(each for each in graph.graph.initializer if each.data_type == TensorProto.FLOAT)
    content = onnx.numpy_helper.to_array(tensor).tobytes()
    (bundle / "more.data").write_bytes(content)
    shutil.copyfile(bundle / "more.data", bundle.parent / "evil.data")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (bundle / "model.onnx").write_bytes(graph.SerializeToString())
    harness.sign(bundle)


def test_weights_outside_what_a_graph_has_are_refused(bundle, tone):
    with_data(bundle, "more.data")
    with pytest.raises(BundleError, match=r"would open 'more\.data', which its manifest does not name"):
        load(bundle, "cpu")
    manifest = Bundle.read(bundle).manifest
    graph = dataclasses.replace(manifest.graphs[0], files=("model.onnx", "more.data"))
    files = manifest.files | {"more.data": file_entry(bundle / "more.data")}
    manifest = dataclasses.replace(manifest, graphs=(graph,), files=files)
    (bundle / "manifest.json").write_text(manifest.to_json())
    assert load(bundle, "cpu")(tone).duration == 1.0
    graph = onnx.load(bundle / "model.onnx", load_external_data=False)
    (outside,) = (each for each in graph.graph.initializer if each.external_data)
    outside.external_data[0].value = "../evil.data"
    (bundle / "model.onnx").write_bytes(graph.SerializeToString())
    harness.sign(bundle)
    with pytest.raises(BundleError, match=r"would open '\.\./evil\.data'"):
        load(bundle, "cpu")


def test_all_that_an_onnx_file_names_is_found(tmp_path):
    def tensor(name: str) -> TensorProto:
        made = TensorProto(name=name, data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
        made.external_data.add(key="location", value=name)
        return made

    def nested(depth: int) -> onnx.GraphProto:
        inner = [] if not depth else [helper.make_node("If", ["c"], [], then_branch=nested(depth - 1))]
        return helper.make_graph(
            [helper.make_node("Constant", [], ["c"], value=tensor(f"attribute{depth}")), *inner],
            "g", [], [], [tensor(f"initializer{depth}")],
            sparse_initializer=[onnx.SparseTensorProto(values=tensor(f"sparse{depth}"), dims=[1])],
        )  # fmt: skip

    context = helper.make_node("EPContext", [], [], domain="com.microsoft", ep_cache_context="a.plan")
    function = helper.make_function("d", "f", [], [], [context, *nested(0).node], [helper.make_opsetid("", 20)])
    model = helper.make_model(nested(2), functions=[function])
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    found = {f"{kind}{depth}" for kind in ("attribute", "initializer", "sparse") for depth in range(3)}
    assert references(tmp_path / "a.onnx") == (found, {"a.plan"})
    for broken in (b"", b"<?xml?>", model.SerializeToString()[:-3], b"\x08\x0a\x3b"):
        (tmp_path / "a.onnx").write_bytes(broken)
        with pytest.raises(OnnxFileError):
            references(tmp_path / "a.onnx")


def test_an_engine_wraps_its_own_plan(bundle):
    (bundle / "engines").mkdir()
    (bundle / "engines" / "a.plan").write_bytes(b"plan")
    values = document(bundle)
    entry = manifests.engine(values, **harness.entry(bundle / "engines" / "a.plan"))
    manifest = build(Manifest, {**values, "engines": [entry]})
    (engine,) = manifest.engines
    context = bundle / "engines" / "a.onnx"
    write_ep_context(context, manifest, engine, 20)
    own = context.read_bytes()
    assert references(context) == (set(), {"a.plan"})

    def wrapped(content: bytes) -> Manifest:
        context.write_bytes(content)
        return dataclasses.replace(manifest, engines=(dataclasses.replace(engine, ep_context=file_entry(context)),))

    Bundle(bundle, wrapped(own)).check()
    with pytest.raises(BundleError, match="would open '/plan2'"):
        Bundle(bundle, wrapped(own.replace(b"a.plan", b"/plan2"))).check()


def test_engines_are_not_put_outside_the_bundle(bundle):
    outside = bundle.parent / "outside"
    outside.mkdir()
    (outside / "mine.onnx").write_bytes(b"a")
    (bundle / "engines").symlink_to(outside)
    with pytest.raises(BundleError, match="engines is a link"), compiler._folder(bundle):
        pass
    assert (outside / "mine.onnx").read_bytes() == b"a"


LIMITS = {
    b"[" * 100_000 + b"]" * 100_000: "nested more than 32 deep",
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000: "nested more than 32 deep",
    b"[" * 33 + b"]" * 33: "nested more than 32 deep",
    b"[" + b"9" * 5_000 + b"]": "a whole number of 5,000 digits; 18 are the most",
    b'"' + b"a" * 10_001 + b'"': "a text of 10,001 characters",
    b'{"a": 1, "a": 2}': "an object in which a key comes twice",
    b"NaN": "the number NaN, which is not finite",
    b"1e999": "the number 1e999, which is not finite",
    b'"\\ud800"': "half of a surrogate pair",
    b'{"\\udc00": 1}': "half of a surrogate pair",
    b"[" + b"1," * 1_000_000 + b"1]": "more than 1,000,000 values",
    b"{": "it is not JSON",
    b"\xff": "it is not JSON",
    b"": "it is not JSON",
}


@pytest.mark.parametrize(("content", "line"), LIMITS.items(), ids=LIMITS.values())
def test_documents_have_limits(content, line):
    with pytest.raises(DocumentError, match=line):
        parse(content)


def test_documents_within_the_limits(tmp_path, monkeypatch):
    text = '{"a": [1, -2.5, true, null, "\\ud83d\\ude00", ' + "[" * 30 + "]" * 30 + "]}"
    assert parse(text.encode()) == json.loads(text)
    (tmp_path / "a").write_text(text)
    assert documents.read_document(tmp_path / "a") == json.loads(text)
    monkeypatch.setattr(documents, "MOST_BYTES", 10)
    for content, line in (("[" + " " * 10 + "]", "more than 10 bytes"),):
        with pytest.raises(DocumentError, match=line):
            parse(content.encode())
    with pytest.raises(DocumentError, match="more than 5 bytes"):
        documents.read_bytes(tmp_path / "a", 5)
    with pytest.raises(DocumentError, match="it is not a file"):
        documents.read_bytes(tmp_path)


def test_what_a_terminal_would_obey_is_escaped(bundle, capsys):
    values = document(bundle)
    values["created"] = "now\x1b[2J\u202e é"
    (bundle / "manifest.json").write_text(json.dumps({**values, "sha256": digest(values)}))
    assert run_cli.main(["info", str(bundle)]) == 0
    shown = capsys.readouterr().out
    assert "now\\x1b[2J\\u202e é" in shown


def test_the_schema_is_current():
    assert schema.PATH.read_text(encoding="utf-8") == schema.text(), "run: python -m support.schema"


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    whole = json.loads(schema.PATH.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(whole)
    return jsonschema.Draft202012Validator(whole)


def test_real_manifests_follow_the_schema(digits, keywords, validator):
    for path in (*digits.values(), keywords):
        validator.validate(json.loads((path / "manifest.json").read_text()))


def test_the_schema_refuses_what_the_reader_refuses(digits, keywords, validator):
    """Each takes an edited manifest by its types, or both refuse it: the schema is for readers in other languages."""
    taken = []
    for path in (digits["fp32"], keywords):
        values = document(path)
        values["engines"] = [manifests.engine(values)]
        edited = [each for each in manifests.edits(values) if "'@" not in each[0]]
        for title, edit in random.Random(0).sample(edited, 400):
            try:
                build(Manifest, parse(json.dumps(edit).encode()))
            except (TypeMismatch, DocumentError):
                ours = False
            else:
                ours = True
            assert validator.is_valid({**edit, "sha256": "0" * 64}) == ours, title
            taken.append(ours)
    assert {True, False} == set(taken)


def test_plain_data_of_a_part():
    assert plain(FileEntry("0" * 64, 1)) == {"sha256": "0" * 64, "size": 1}
