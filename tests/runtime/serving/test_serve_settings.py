"""What a service is told, and what it says where that cannot be."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT
from w2vc_runtime import OptionError
from w2vc_runtime.cli import main as run_cli
from w2vc_runtime.serving.models import Place
from w2vc_runtime.serving.settings import Settings, settings_from

EXAMPLES = ROOT / "examples" / "serving"


def test_the_last_of_file_environment_and_flags_holds(tmp_path):
    file = tmp_path / "service.json"
    file.write_text(json.dumps({"bundles": ["a", "b"], "port": 1, "delay": 1, "queue": 3, "origins": []}))
    environment = {"W2VC_SERVE_PORT": "2", "W2VC_SERVE_API_KEY": "sesame", "W2VC_SERVE_DELAY": "0.5", "HOME": "x"}
    settings = settings_from(file, environment, {"port": 3, "host": None})
    assert (settings.bundles, settings.port, settings.delay, settings.queue) == (("a", "b"), 3, 0.5, 3)
    assert (settings.api_key, settings.host) == ("sesame", "127.0.0.1")
    assert settings_from(None, {"W2VC_SERVE_BUNDLES": "a:b"}, {}).bundles == ("a", "b")
    given = {"W2VC_SERVE_LANGUAGE_MODELS": "a=/x:b=/y"}
    assert settings_from(None, given, {}).language_models == ("a=/x", "b=/y")
    assert settings_from(None, {"W2VC_SERVE_ORIGINS": "http://a,http://b"}, {}).origins == ("http://a", "http://b")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "must hold a JSON object"),
        ({"prot": 1}, "there is no setting 'prot'"),
        ({"port": "1"}, "port must be int, got '1'"),
        ({"port": True}, "port must be int, got True"),
        ({"port": 70000}, "port must be 0 to 65535"),
        ({"bundles": "a"}, "must be a list of strings"),
        ({"queue": 0}, "queue must be at least 1"),
        ({"delay": -1}, "delay must be at least 0"),
        ({"upload_time": 0}, "upload_time must be more than 0"),
        ({"chunk_seconds": -1}, "chunk seconds must be more than 0"),
        ({"api_key": ""}, "printable ASCII"),
        ({"host": None}, "host must be str, got None"),
    ],
)
def test_settings_that_cannot_be(values, message, tmp_path):
    file = tmp_path / "service.json"
    file.write_text(json.dumps(values))
    with pytest.raises(OptionError, match=re.escape(message)):
        settings_from(file, {}, {})


def test_an_environment_that_cannot_be():
    with pytest.raises(OptionError, match="W2VC_SERVE_PROT is none of this service's"):
        settings_from(None, {"W2VC_SERVE_PROT": "1"}, {})
    with pytest.raises(OptionError, match="W2VC_SERVE_PORT must be a number, got 'x'"):
        settings_from(None, {"W2VC_SERVE_PORT": "x"}, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a/digits", ("digits", "/a/digits", None)),
        ("/a/digits@int8", ("digits@int8", "/a/digits", "int8")),
        ("mine=/a/digits@int8", ("mine", "/a/digits", "int8")),
    ],
)
def test_a_bundle_has_a_name(text, expected):
    place = Place.of(text)
    assert (place.name, str(place.path), place.precision) == expected
    with pytest.raises(OptionError, match="is no name for a model"):
        Place.of("a/b=c")


def test_who_may_reach_it():
    assert not Settings().is_open
    assert Settings(host="0.0.0.0").is_open
    assert not Settings(host="0.0.0.0", api_key="sesame").is_open
    assert not Settings(host="localhost").is_open


def test_every_setting_is_described():
    described = (ROOT / "docs" / "serving.md").read_text()
    for field in dataclasses.fields(Settings):
        assert f"`{field.name}`" in described, field.name


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["/nowhere"], "w2vc: /nowhere is not a directory"),
        (["--config", "/nowhere"], "w2vc: /nowhere is not a configuration that can be read"),
        (["--port", "0", "--queue", "0"], "w2vc: queue must be at least 1, got 0"),
        (["--port", "0"], "w2vc: there is nothing to serve; name a bundle"),
        (["x", "--host", "203.0.113.7"], "w2vc: cannot listen at 203.0.113.7 port 8000"),
        (["a", "b/a"], "w2vc: two bundles have one name"),
    ],
)
def test_a_service_that_cannot_start_says_why_in_one_line(arguments, line):
    command = [sys.executable, "-m", "w2vc_runtime.cli.main", "serve", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 2, result.stderr
    lines = [each for each in result.stderr.splitlines() if not each.startswith("{")]
    assert len(lines) == 1
    assert lines[0].startswith(line)


def test_without_the_extra_it_is_said_what_to_install(monkeypatch, capsys):
    find = run_cli.__dict__.get("find_spec")
    assert find is None
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "uvicorn" else real(name))
    assert run_cli.main(["serve", "x"]) == 2
    assert capsys.readouterr().err == "w2vc: serving needs uvicorn, which is not installed; pip install 'w2vc[serve]'\n"


def test_the_examples_are_settings_flags_and_files_that_exist():
    settings = settings_from(EXAMPLES / "serve.json", {}, {})
    assert settings.bundles
    recipe = (EXAMPLES / "Dockerfile").read_text()
    copied = [part for line in re.findall(r"^COPY (.+)$", recipe, re.M) for part in line.split()[:-1]]
    assert len(copied) > 5
    assert all((ROOT / part).exists() for part in copied)
    environment = dict(re.findall(r"(W2VC_SERVE_\w+)=(\S+)", recipe))
    inside = settings_from(None, environment, {})
    assert (inside.host, inside.repository) == ("0.0.0.0", "/bundles")
    unit = (EXAMPLES / "w2vc-serve.service").read_text()
    seconds = int(re.search(r"TimeoutStopSec=(\d+)", unit)[1])
    assert seconds > Settings().drain_time
    command = re.search(r"ExecStart=\S+/w2vc (.+)", unit)[1].split()
    assert run_cli._parser().parse_args(command).config == Path("/etc/w2vc/serve.json")
