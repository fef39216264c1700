"""The Dockerfile and the systemd unit, as far as a machine without Docker and systemd shows: their steps are done here.

What it does not show: the base image, the user, and what systemd's sandbox forbids.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.paths import DEMO_AUDIO, ROOT
from support.service import free_port

EXAMPLES = ROOT / "examples" / "serving"
SPEECH = DEMO_AUDIO / "seven-two-nine.flac"


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, in order."""
    lines = [line for line in (EXAMPLES / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(" ", 1)) for line in lines]


@pytest.mark.full
def test_the_image_has_a_service_that_answers(digits, tmp_path):
    """COPY, RUN, ENV, ENTRYPOINT and HEALTHCHECK, in a virtual environment of its own in place of the image."""
    places = {"/src": tmp_path / "src", "/bundles": tmp_path / "bundles"}
    venv, environment, entry, health = tmp_path / "venv", {}, [], []
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    path = {"PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def here(text: str) -> str:
        for place, own in places.items():
            text = re.sub(rf"(?<![\w/]){place}\b", str(own), text)
        return text

    shutil.copytree(digits["fp32"], places["/bundles"] / "digits")
    for name, rest in instructions():
        if name == "COPY":
            *sources, target = here(rest).split()
            for source in sources:
                if (ROOT / source).is_dir():
                    ignored = shutil.ignore_patterns("__pycache__", "build", "*.so")
                    shutil.copytree(ROOT / source, target, ignore=ignored)
                else:
                    Path(target).mkdir(exist_ok=True)
                    shutil.copy(ROOT / source, target)
        elif name == "RUN" and not rest.startswith("useradd "):
            subprocess.run(here(rest), shell=True, check=True, env={**os.environ, **path}, cwd=tmp_path)
        elif name == "ENV":
            environment |= dict(each.split("=", 1) for each in shlex.split(here(rest)))
        elif name == "ENTRYPOINT":
            entry = json.loads(rest)
        elif name == "HEALTHCHECK":
            health = json.loads(rest.split(" CMD ", 1)[1])
    assert not places["/src"].exists(), "the image keeps no sources"
    port = str(free_port())
    environment |= {**path, "W2VC_SERVE_PORT": port, "W2VC_SERVE_HOST": "127.0.0.1", "HOME": str(tmp_path)}
    with subprocess.Popen([str(venv / "bin" / entry[0]), *entry[1:]], env=environment, cwd=tmp_path) as service:
        try:
            python = [str(venv / "bin" / health[0]), *(part.replace(":8000/", f":{port}/") for part in health[1:])]
            for _ in range(120):
                if subprocess.run(python, env=environment, stderr=subprocess.DEVNULL).returncode == 0:
                    break
                assert service.poll() is None
                time.sleep(0.5)
            else:
                raise AssertionError("it never was healthy")
            form = ["-F", "model=digits", "-F", f"file=@{SPEECH}"]
            if shutil.which("curl"):
                url = f"http://127.0.0.1:{port}/v1/audio/transcriptions"
                answer = subprocess.run(["curl", "-sf", "--noproxy", "*", url, *form], capture_output=True, check=True)
                assert json.loads(answer.stdout) == {"text": "seven two nine"}
        finally:
            service.send_signal(signal.SIGTERM)  # STOPSIGNAL
        assert service.wait(60) == 128 + signal.SIGTERM
    assert subprocess.run(python, env=environment, stderr=subprocess.DEVNULL).returncode != 0, "nobody is healthy now"


def test_the_unit_is_one_that_systemd_reads(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed here: apt-get install systemd")
    unit = (EXAMPLES / "w2vc-serve.service").read_text()
    program = Path(sys.executable).parent / "w2vc"

    def verified(text: str) -> tuple[int, str]:
        (tmp_path / "w2vc-serve.service").write_text(text.replace("/opt/w2vc/bin/w2vc", str(program)))
        command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "w2vc-serve.service")]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return result.returncode, result.stderr

    code, said = verified(unit)
    assert (code, said) == (0, "")
    _, said = verified(unit.replace("ProtectHome=", "ProtectHomes="))
    assert "'ProtectHomes'" in said, "what does not exist is said"
