"""What the runtime keeps of memory, what it expects to take, and what it refuses for want of it."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from support.paths import DEMO_AUDIO
from w2vc_exporter import ExportOptions, export
from w2vc_model.attention import POSITION_KINDS
from w2vc_runtime import AudioError, InferenceError, load
from w2vc_runtime.batching.buckets import buckets
from w2vc_runtime.bundle import Bundle
from w2vc_runtime.cli import main as run_cli
from w2vc_runtime.sessions.footprint import PAIRS, Footprint
from w2vc_runtime.system import memory

PROVIDERS = ("cpu", "openvino")
SPEECH = DEMO_AUDIO / "seven-two-nine.flac"
# In a process of its own: what a test before it took is not in the way.
START = """
import resource, sys
import numpy as np
from w2vc_runtime import load
model = load({bundle!r}, {provider!r})
noise = (0.1 * np.random.default_rng(0).standard_normal(16000 * 60)).astype(np.float32)
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 1e6
def peak():
    (line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6
def clip(seconds):
    return noise[: int(16000 * seconds)]
"""


def measured(bundle, provider, code) -> list[float]:
    """What some code prints in a process of its own, as numbers."""
    whole = START.format(bundle=str(bundle), provider=provider) + code
    result = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return [float(value) for value in result.stdout.split()]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return export(ExportOptions("digits-bert", head="ctc", output=tmp_path_factory.mktemp("bert") / "bundle")).bundle


@pytest.mark.parametrize("provider", PROVIDERS)
def test_memory_does_not_grow_with_every_new_length(provider, digits):
    """OpenVINO, left to itself, takes megabytes for each."""
    code = """
for index in range(300):
    model.infer([noise[: 8000 + 40 * (index * 7 % 300)]])
    if index in (99, 299):
        print(resident())
"""
    early, late = measured(digits["fp32"], provider, code)
    assert late < early + 60


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_a_long_clip_took_is_given_back(provider, digits):
    before, highest, after = measured(
        digits["fp32"], provider, "print(resident()); model.infer([clip(60)]); print(peak(), resident())"
    )
    assert highest > before + 600
    assert after < before + 0.2 * (highest - before)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", ["digits", "bert"])
def test_the_estimate_is_above_the_truth_and_near_it(name, provider, digits, bert):
    bundle = {"digits": digits["fp32"], "bert": bert}[name]
    code = "model.infer([clip(1)]); print(peak()); model.infer([clip({})] * {}); print(peak())"
    for batch, seconds, within in ((1, 60, 1.8), (4, 25, 1.8)):
        before, highest = measured(bundle, provider, code.format(seconds, batch))
        estimate = Footprint.of(Bundle.read(bundle), provider).needed(batch, 16000 * seconds) / 1e6
        assert highest - before < estimate < within * (highest - before)


def test_every_position_kind_has_an_estimate():
    kinds = {"convolutional", *(kind or "none" for kind in POSITION_KINDS)}
    for pairs in PAIRS.values():
        assert set(pairs) == kinds


def test_nothing_is_known_of_gpus_or_without_a_configuration(digits, tmp_path):
    manifest = Bundle.read(digits["fp32"]).manifest
    assert Footprint.of(Bundle(digits["fp32"], manifest), "cuda") is None
    assert Footprint.of(Bundle(tmp_path, manifest), "cpu") is None
    for broken in ("[]", "{}", "[" * 100_000, '{"num_attention_heads": 0}', '{"num_attention_heads": "many"}'):
        (tmp_path / "config.json").write_text(broken)
        assert Footprint.of(Bundle(tmp_path, manifest), "cpu") is None


def test_the_longest_clip_takes_what_there_is(digits):
    footprint = Footprint.of(Bundle.read(digits["fp32"]), "cpu")
    for available in (1e8, 1e9, 1e11):
        assert footprint.needed(1, footprint.longest(available)) == pytest.approx(available, rel=1e-3)
    assert footprint.longest(0) == 0


def test_a_clip_that_does_not_fit_is_refused_before_it_runs_and_alone(digits, monkeypatch, tmp_path, capsys):
    import soundfile

    long, bundle = tmp_path / "long.wav", str(digits["fp32"])
    soundfile.write(long, np.zeros(16000 * 40), 16000)
    monkeypatch.setattr(memory, "available_bytes", lambda: 300_000_000)
    monkeypatch.setattr("w2vc_runtime.sessions.footprint.available_bytes", lambda: 300_000_000)
    assert run_cli.main(["run", bundle, str(long), str(SPEECH), "--provider", "cpu", "--batch-size", "2"]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{long}: \n{SPEECH}: seven two nine\n"
    assert re.fullmatch(
        rf"w2vc: {long} does not fit here as a whole: it was answered in chunks of [\d.]+ s, [\d.]+ s of them context "
        rf"on each side\nw2vc: {long} is silent: every sample is zero\n",
        shown.err,
    )
    model = load(bundle, "cpu")
    with pytest.raises(AudioError) as refused:
        model.read(str(long))
    match = re.fullmatch(
        rf"{long} is too long: 40 s take about \d+ MB of memory, and 300 MB are free here, enough for a clip of "
        r"([\d.]+) s; cut it into shorter recordings",
        str(refused.value),
    )
    fits = float(match[1])
    assert model.read((np.ones(int(16000 * fits), np.float32), 16000)).size
    with pytest.raises(AudioError, match="too long"):
        model.read((np.ones(int(16000 * 1.1 * fits), np.float32), 16000))
    with pytest.raises(InferenceError, match="too much for the memory here: 40 s take about"):
        model.infer([np.ones(16000 * 40, np.float32)])


def test_memory_is_not_asked_for_where_little_is_needed(digits, monkeypatch):
    """The system may take milliseconds to say, which is as long as a short clip takes."""
    model = load(digits["fp32"], "cpu")
    asked = []
    monkeypatch.setattr(memory, "available_bytes", lambda: asked.append(1))
    assert model(SPEECH).text == "seven two nine"
    assert not asked


def test_no_line_but_ours_where_memory_ends(digits, tmp_path):
    """Without an estimate; ONNX Runtime's own lines and the refusal were both there."""
    code = f"""
import resource, sys
from w2vc_runtime.cli import main as cli, run
from w2vc_runtime.sessions import footprint
footprint.Footprint.of = lambda *arguments: None
model_load = run.load
def load(*arguments, **more):
    model = model_load(*arguments, **more)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 700_000_000,) * 2)
    return model
run.load = load
sys.exit(cli.main(["run", {str(digits["fp32"])!r}, {str(tmp_path / "long.wav")!r}, "--provider", "cpu"]))
"""
    import soundfile

    noise = 0.1 * np.random.default_rng(0).standard_normal(16000 * 90)
    soundfile.write(tmp_path / "long.wav", noise, 16000)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith(f"w2vc: {tmp_path / 'long.wav'}: provider 'cpu' failed on an input of shape")
    assert result.stderr.count("\n") == 1


def test_limits_of_the_process_and_of_its_group_count(monkeypatch, tmp_path):
    free = memory.available_bytes()
    assert free is not None
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), hard))
    try:
        assert memory.available_bytes() <= 1 << 30
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    for limit, usage in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
        (tmp_path / limit).write_text("5000000\n")
        (tmp_path / usage).write_text("4000000\n")
        (tmp_path / "memory.stat").write_text("anon 3000000\ninactive_file 500000\nactive_file 250000\n")
        groups = [(tmp_path, limit, usage), (tmp_path / "none", limit, usage)]
        monkeypatch.setattr(memory, "_groups", lambda groups=groups: iter(groups))
        assert memory.available_bytes() == 1_750_000
        (tmp_path / limit).write_text("max\n")
        assert memory.available_bytes() > 1_750_000


def test_a_batch_is_padded_within_bounds(digits):
    model = load(digits["fp32"], "cpu")
    samples = [int(16000 * seconds) for seconds in (1, 60, 1.1, 1, 50, 3, 1, 1, 1, 1)]
    batches = list(buckets(samples, 8, model.shares))
    assert sorted(index for batch in batches for index in batch) == list(range(10))
    assert batches[:3] == [[1], [4], [5]]
    assert len(batches) == 4
    assert [len(batch) for batch in buckets([16000] * 5, 2, model.shares)] == [2, 2, 1]


def test_a_batch_of_what_fits_alone_is_split(digits, monkeypatch):
    model = load(digits["fp32"], "cpu")
    alone = Footprint.of(Bundle(digits["fp32"], model.manifest), "cpu").needed(1, 16000 * 40)
    monkeypatch.setattr(memory, "available_bytes", lambda: int(2.5 * alone))

    def shares(lengths):
        return model.fits(len(lengths), max(lengths))

    assert [len(batch) for batch in buckets([16000 * 40] * 4, 8, shares)] == [2, 2]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_long_clip_among_short_ones_costs_little_more_than_alone(provider, digits):
    code = "model.batch([(clip(60), 16000)] + [(clip(1.5), 16000)] * {}); print(peak())"
    (alone,), (together,) = (measured(digits["fp32"], provider, code.format(count)) for count in (0, 7))
    assert together < 1.3 * alone


def test_a_failed_batch_is_tried_again_clip_by_clip(digits):
    model = load(digits["fp32"], "cpu")
    real, ran = model._session, []

    def run(inputs):
        rows = inputs["input_values"]
        ran.append(len(rows))
        if len(rows) > 1:
            raise InferenceError("no luck")
        if np.abs(rows).max() > 60:
            raise MemoryError
        return real.run(inputs)

    model._session = SimpleNamespace(provider="cpu", run=run)
    spike = np.zeros(16000, np.float32)
    spike[100], spike[5000] = 1, -1
    samples = load(digits["fp32"], "cpu").read(SPEECH)[:16000]
    good, bad, other = model.try_batch([(samples, 16000), (spike, 16000), (samples, 16000)])
    assert ran == [3, 1, 1, 1]
    assert good.text == other.text != ""
    assert isinstance(bad, InferenceError)
    assert str(bad) == "audio: it takes more memory than there is"
