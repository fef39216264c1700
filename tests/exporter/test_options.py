"""What an export is asked for: the head that a checkpoint names, and what may be replaced."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import content, refused
from support.oracle import ARCHITECTURES, CLASSES, model_class, tiny
from w2vc_exporter import ExportOptions, cli, staging
from w2vc_exporter.errors import ExportError
from w2vc_runtime.bundle import Bundle

FAMILIES = {configuration: name for name, (configuration, _) in ARCHITECTURES.items()}.values()
NAMED = [
    (model_class(family, head).__name__, head)
    for family in FAMILIES
    for head in CLASSES
    if not (family.startswith("bert") and head == "pretraining")
]
HEADS = "base, ctc, sequence-classification, frame-classification, xvector, pretraining"


@pytest.mark.parametrize(("name", "head"), NAMED, ids=[name for name, _ in NAMED])
def test_hugging_faces_classes_name_their_heads(name, head):
    assert ExportOptions("model").with_head((name,)).task == head
    assert ExportOptions("model", head="base").with_head((name,)).task == "base"  # what is asked for comes first


@pytest.mark.parametrize(
    "names",
    [None, (), ("Wav2Vec2ForCTC", "Wav2Vec2ForXVector"), ("Wav2Vec2ForTTS",), ("HubertForCTC",), "Wav2Vec2", (7,)],
)
def test_a_head_that_is_not_clear_is_asked_for(names):
    with pytest.raises(ExportError, match=f"do not name one head .*; say --head, one of {HEADS}$"):
        ExportOptions("model").with_head(names)


def test_options_of_another_head_are_refused_once_it_is_known():
    with pytest.raises(ExportError, match="hidden states are given by head 'base', not by 'ctc'"):
        ExportOptions("model", hidden_states=(1,)).with_head(["Wav2Vec2ForCTC"])
    with pytest.raises(ExportError, match="a target language belongs to head 'ctc', not to 'base'"):
        ExportOptions("model", target_lang="fra").with_head(["Wav2Vec2Model"])


def test_a_checkpoint_without_architectures_is_one_line(tmp_path, capsys):
    copy = Path(shutil.copytree(tiny()[1], tmp_path / "copy"))
    config = json.loads((copy / "config.json").read_text())
    del config["architectures"]
    (copy / "config.json").write_text(json.dumps(config))
    line = refused(capsys, cli.main, copy, "-o", tmp_path / "out")
    assert line == (
        f"w2vc-export: {copy}: the architectures in config.json do not name one head (none); say --head, one of {HEADS}"
    )


def test_the_head_that_was_taken_is_said_and_force_replaces(tmp_path, capsys):
    checkpoint, target = tiny("bert-none", "log-mel", "base", brief=True)[1], tmp_path / "b"
    arguments = [str(checkpoint), "-o", str(target)]
    assert cli.main(arguments) == 0
    captured = capsys.readouterr()
    assert ["head", "base, which config.json names; --head takes another"] in [
        line.split(maxsplit=1) for line in captured.out.splitlines()
    ]
    steps = [line.split(": ")[0] for line in captured.err.splitlines()]
    assert [step[:5] for step in steps] == [f"[{number}/5]" for number in range(1, 6)]
    before = content(target)
    line = refused(capsys, cli.main, *arguments)
    assert line == f"w2vc-export: {target} exists; replace it with --force, or name another directory with -o"
    assert content(target) == before
    assert cli.main([*arguments, "--head", "base", "--fp16", "--force"]) == 0
    assert "which config.json names" not in capsys.readouterr().out
    assert [graph.precision for graph in Bundle.read(target).manifest.graphs] == ["fp16"]
    assert not (target / "model.onnx").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def write(folder: Path, *names: str, manifest: str = '{"schema": 5}') -> Path:
    """A directory that looks like a bundle."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            manifest if name == "manifest.json" else '{"precisions": {}}' if name == "report.json" else name
        )
    return folder


WHOLE = ("manifest.json", "model.onnx", "report.json", "report.html", "config.json", "engines/a-sm89-fp16.plan")


def export(target: Path, text: str = "new", force: bool = True) -> None:
    """All that an export does to a directory."""
    with staging.staging(target, force) as directory:
        write(directory, "manifest.json", manifest=f'{{"schema": 5, "text": "{text}"}}')
        staging.publish(directory, target, force)


@pytest.fixture(params=["exchange", "renames"])
def swap(request, monkeypatch):
    """Both ways of replacing: with the system's own, and where there is none."""
    if request.param == "renames":
        monkeypatch.setattr(staging, "_exchange", lambda directory, target: False)
    return request.param


@pytest.mark.parametrize("names", [WHOLE, ("manifest.json",), ()])
def test_bundles_and_empty_directories_are_replaced(names, swap, tmp_path):
    target = write(tmp_path / "b", *names)
    target.mkdir(exist_ok=True)
    with pytest.raises(ExportError, match="exists; replace it with --force"):
        export(target, force=False)
    export(target)
    assert content(tmp_path) == {"b/manifest.json": b'{"schema": 5, "text": "new"}'}


def other(kind: str, target: Path) -> str:
    """Make something that must not be replaced; return the objection."""
    if kind == "file":
        target.write_text("notes")
        return "is not a directory"
    if kind == "link":
        target.symlink_to(write(target.parent / "real", *WHOLE), target_is_directory=True)
        return "is not a directory"
    if kind == "checkpoint":
        write(target, "config.json", "model.onnx", "vocab.json", "report.json")
        return "is not a bundle"
    if kind == "web page":
        write(target, "manifest.json", manifest='{"name": "app"}')
        return "is not a bundle"
    if kind == "damaged":
        write(target, "manifest.json", manifest="[" * 100_000)
        return "is not a bundle"
    stranger = {"notes": "notes.txt", "hidden": ".git/HEAD", "notes in engines": "engines/notes.txt"}[kind]
    write(target, *WHOLE, stranger)
    return f"holds {stranger.removesuffix('/HEAD')}, which no export writes"


@pytest.mark.parametrize(
    "kind", ["file", "link", "checkpoint", "web page", "damaged", "notes", "hidden", "notes in engines"]
)
def test_nothing_else_is_replaced(kind, tmp_path):
    target = tmp_path / "b"
    fault = other(kind, target)
    before = content(tmp_path)
    with pytest.raises(ExportError, match=f"^{target} {fault}; --force replaces bundles only"):
        export(target)
    assert content(tmp_path) == before
    assert os.path.lexists(target)


@pytest.mark.parametrize("name", [".", "..", "/"])
def test_what_is_no_name_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExportError, match="is no name for a bundle"):
        export(Path(name))


def test_what_changed_during_the_export_is_looked_at_again(tmp_path):
    target = write(tmp_path / "b", *WHOLE)
    with staging.staging(target, True) as directory:
        write(target, "notes.txt")
        with pytest.raises(ExportError, match=r"holds notes\.txt, which no export writes"):
            staging.publish(directory, target, True)
    assert sorted(content(tmp_path)) == sorted(f"b/{name}" for name in (*WHOLE, "notes.txt"))


def test_a_bundle_that_is_being_compiled_is_not_replaced(tmp_path):
    target = write(tmp_path / "b", *WHOLE)
    with staging._locked(target), pytest.raises(ExportError, match="is being written by another process"):
        export(target)
    assert sorted(content(tmp_path)) == sorted(f"b/{name}" for name in WHOLE)


def test_what_is_rejected_replaces_an_earlier_one_and_nothing_else(tmp_path):
    target, rejected = tmp_path / "b", tmp_path / "b.rejected"
    write(rejected, "model.onnx", "report.json", "report.html")
    with staging.staging(target) as directory:
        write(directory, "report.json")
        assert staging.set_aside(directory, target) == rejected
    assert list(content(tmp_path)) == ["b.rejected/report.json"]
    write(rejected, "notes.txt")
    with pytest.raises(ExportError, match=r"b\.rejected holds notes\.txt, .*so move it away$"):
        export(target)
    assert sorted(content(tmp_path)) == ["b.rejected/notes.txt", "b.rejected/report.json"]


CRASH = """
import os, shutil
from pathlib import Path
from w2vc_exporter import staging
calls = 0
def dying(function):
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == {number}:
            os.kill(os.getpid(), 9)
        return function(*arguments, **options)
    return call
staging.os.rename, staging.shutil.rmtree = dying(os.rename), dying(shutil.rmtree)
staging._exchange = dying({exchange})
target = Path({target!r})
with staging.staging(target, True) as directory:
    (directory / "manifest.json").write_text("new")
    staging.publish(directory, target, True)
"""


@pytest.mark.parametrize("exchange", ["staging._exchange", "lambda one, other: False"])
def test_a_kill_before_any_step_leaves_the_old_one_or_the_new_one(exchange, tmp_path):
    """At the latest after the next export to that name, which here is refused, found either at its place."""
    target, ends = tmp_path / "b", []
    for number in range(1, 9):
        shutil.rmtree(target, ignore_errors=True)
        write(target, *WHOLE)
        script = CRASH.format(number=number, exchange=exchange, target=str(target))
        result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert result.returncode in (0, -signal.SIGKILL), result.stderr
        if exchange == "staging._exchange":
            assert target.is_dir()  # at every moment
        with pytest.raises(ExportError, match="exists; replace it with --force"):
            export(target, force=False)
        found = content(target)
        ends.append("new" if "model.onnx" not in found else "old")
        assert set(found) in ({*WHOLE}, {"manifest.json"})
        assert [path.name for path in tmp_path.iterdir()] == ["b"]
        if result.returncode == 0:
            break
    else:
        pytest.fail("no run was left alone")
    assert ends[0] == "old"
    assert ends[-1] == "new"
    assert len(ends) > 3
