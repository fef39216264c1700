"""Whatever ends an export, what is there afterwards is a whole bundle or none."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import complaints
from support.oracle import tiny
from support.paths import ROOT
from w2vc_exporter import cli, staging
from w2vc_runtime import BundleError, load

KILLS = ROOT / "tests" / "support" / "kills.py"
REPORTS = ("report.json", "report.html")


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    return tiny("bert-none", "log-mel", brief=True)[1]


def kill(checkpoint: Path, folder: Path, times: int, *more: str) -> list[dict]:
    command = [sys.executable, str(KILLS), str(checkpoint), str(folder), str(times), *more]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def is_whole(path: Path) -> bool:
    """A bundle that loads in every precision, and holds no other file."""
    try:
        models = [load(path, "cpu", precision) for precision in ("fp32", "fp16", "int8")]
    except BundleError:
        return False
    return {each.name for each in path.iterdir()} == {*models[0].manifest.files, "manifest.json", *REPORTS}


@pytest.mark.full
def test_a_kill_at_any_moment_leaves_a_whole_bundle_or_none(checkpoint, tmp_path):
    outcomes = kill(checkpoint, tmp_path, 50)
    left = [outcome["left"] for outcome in outcomes]
    assert sum(outcome["killed"] for outcome in outcomes) > 10
    assert any(left)
    assert max(map(len, left)) == 1  # the next export removes it
    visible = {path.name for path in tmp_path.iterdir()}
    published = {f"published-{number}" for number, outcome in enumerate(outcomes) if outcome["published"]}
    assert visible == {"older", "bundle", *published}
    assert all(is_whole(tmp_path / name) for name in visible)


@pytest.mark.full
def test_a_kill_of_an_export_that_replaces_leaves_a_whole_bundle(checkpoint, tmp_path):
    outcomes = kill(checkpoint, tmp_path, 12, "--force")
    assert all(outcome["published"] for outcome in outcomes)  # at no moment is nothing there
    assert any(outcome["left"] for outcome in outcomes)
    assert max(len(outcome["left"]) for outcome in outcomes) == 1
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"older", "bundle", *(f"published-{number}" for number in range(12))}
    assert all(is_whole(tmp_path / name) for name in names)


def test_an_export_that_writes_in_place_is_caught(checkpoint, tmp_path):
    outcomes = kill(checkpoint, tmp_path, 6, "--in-place")
    published = [tmp_path / f"published-{n}" for n, outcome in enumerate(outcomes) if outcome["published"]]
    assert not all(map(is_whole, published))


def test_only_what_an_export_abandoned_is_removed(tmp_path):
    target = tmp_path / "b"
    others = [tmp_path / name for name in (".b.w2vc-backup", ".b.20261121", ".bb.w2vc-00000000", ".c.w2vc-00000000")]
    abandoned = tmp_path / ".b.w2vc-00000000"
    for directory in (*others, abandoned):
        directory.mkdir()
        (directory / "file").touch()
    with staging.staging(target) as one:
        assert not abandoned.exists()
        with staging.staging(target) as two:  # both at work
            assert [one.is_dir(), two.is_dir()] == [True, True]
    assert sorted(tmp_path.iterdir()) == sorted(others)
    assert all((directory / "file").exists() for directory in others)


@pytest.fixture
def full_disk(request, checkpoint):
    """No file may grow past the parameter's number of bytes, as where a disk is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (request.param, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def refused(checkpoint: Path, target: Path, capsys) -> str:
    """The one line with which an export ends that cannot write."""
    assert cli.main([str(checkpoint), "--head", "ctc", "--precision", "fp32,int8", "-o", str(target)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = complaints(captured.err)
    return line


@pytest.mark.parametrize(
    ("full_disk", "reason"),
    [(20_000, "File too large"), (165_000, "File too large")],
    indirect=["full_disk"],
    ids=["traced weights", "bundle"],
)
def test_a_full_disk(full_disk, reason, checkpoint, tmp_path, capsys):
    line = refused(checkpoint, tmp_path / "b", capsys)
    assert re.fullmatch(f"w2vc-export: cannot write {re.escape(str(tmp_path / 'b'))}: {reason}", line)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_directory(checkpoint, tmp_path, capsys):
    tmp_path.chmod(0o500)
    assert refused(checkpoint, tmp_path / "b", capsys) == f"w2vc-export: cannot write in {tmp_path}: Permission denied"


def test_a_file_system_that_takes_no_directories(checkpoint, capsys):
    assert refused(checkpoint, Path("/proc/b"), capsys).startswith("w2vc-export: cannot write in /proc: ")
    assert not Path("/proc/b").exists()
