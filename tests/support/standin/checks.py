"""Checks of engine sessions on a stand-in for the GPU and for TensorRT.

tests/runtime/sessions/test_engine_sessions.py runs them in a process of their own, for which the stand-in's
``libcuda.so.1`` is the driver.
"""

from __future__ import annotations

import ctypes
import dataclasses
import gc
import json
import os
import platform
import shutil
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import standin_tensorrt
import standin_tensorrt_rtx

from w2vc_runtime import BundleError, InferenceError, Model, OptionError, load
from w2vc_runtime.bundle import FILE_NAME, Bundle, Engine, file_entry
from w2vc_runtime.cli import main as cli
from w2vc_runtime.engines import BACKENDS
from w2vc_runtime.engines.identity import this_platform
from w2vc_runtime.engines.profiles import OptimizationProfile
from w2vc_runtime.sessions.select import open_session
from w2vc_runtime.sessions.tensorrt import program
from w2vc_runtime.sessions.tensorrt.cuda import Device
from w2vc_runtime.sessions.tensorrt.lanes import GRAPHS, LANES, Lane
from w2vc_runtime.sessions.tensorrt.session import EngineSession, open_engine
from w2vc_runtime.system import cache

driver = ctypes.CDLL("libcuda.so.1")
driver.standin_limit.argtypes = driver.standin_host_limit.argtypes = [ctypes.c_long]
SPECS = ("seconds=0.5:1:2,batch=1:1:2", "seconds=2:3:5,batch=2:2:3")
MODULES = {"tensorrt": "standin_tensorrt", "tensorrt-rtx": "standin_tensorrt_rtx"}
EXACT = {"rtol": 1e-4, "atol": 1e-4}  # other batches and lengths are summed in another order


@pytest.fixture(autouse=True)
def backends(monkeypatch, tmp_path):
    for name, module in MODULES.items():
        monkeypatch.setitem(BACKENDS, name, dataclasses.replace(BACKENDS[name], module=module))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    program._runtime.cache_clear()
    gpu()
    standin_tensorrt.launches.clear()
    standin_tensorrt.executions.clear()


def gpu(count: int = 1, major: int = 8, minor: int = 9) -> None:
    driver.standin_gpu(count, major, minor)
    Device.open.__func__.cache_clear()


@pytest.fixture
def bundle(tmp_path) -> Path:
    """A bundle of the digits with an engine of each backend."""
    path = Path(shutil.copytree(os.environ["STANDIN_BUNDLE"], tmp_path / "bundle"))
    (path / "engines").mkdir()
    manifest = Bundle.read(path).manifest
    profiles = tuple(OptimizationProfile.parse(spec).entry(manifest.interface) for spec in SPECS)
    shapes = [profile.shapes for profile in profiles]
    engines = []
    for backend in MODULES:
        file = f"engines/{backend}.plan"
        # Engines that ONNX Runtime may run, too, have a mask; all others lengths.
        plan = {"graph": str(path / "model.onnx"), "profiles": shapes, "lengths": backend == "tensorrt-rtx"}
        (path / file).write_text(json.dumps(plan))
        entry = file_entry(path / file)
        engines.append(
            Engine(
                file=file, sha256=entry.sha256, size=entry.size, backend=backend, version="1.0",
                platform=this_platform(), targets=("sm89",), gpu=None, flags=(), precision="fp32",
                graph={"model.onnx": manifest.files["model.onnx"].sha256}, profiles=profiles,
            )
        )  # fmt: skip
    rewrite(path, *engines)
    return path


def rewrite(bundle: Path, *engines: Engine) -> None:
    manifest = dataclasses.replace(Bundle.read(bundle).manifest, engines=engines)
    (bundle / FILE_NAME).write_text(manifest.to_json())


def open_(bundle: Path, backend: str):
    return open_engine(Bundle.read(bundle), "fp32", backend)


def batch(rows: int, samples: int, seed: int = 0) -> dict[str, np.ndarray]:
    values = np.random.default_rng(seed).standard_normal((rows, samples)).astype(np.float32)
    mask = np.ones((rows, samples), dtype=np.int64)
    mask[-1, samples - samples // 4 :] = 0
    return {"input_values": np.where(mask, values, np.float32(0)), "attention_mask": mask}


@pytest.fixture
def truth(bundle):
    return open_session(bundle / "model.onnx", "cpu").run


def expect_same(session, truth, inputs) -> None:
    """The answer is that of the graph, and then frames of padding."""
    expected = truth(inputs)["logits"]
    np.testing.assert_allclose(session.run(inputs)["logits"][:, : expected.shape[1]], expected, **EXACT)


@pytest.mark.parametrize("backend", MODULES)
def test_answers_are_those_of_the_graph(backend, bundle, truth):
    session = open_(bundle, backend)
    assert session.provider == backend
    for rows, samples in ((1, 16000), (2, 32000), (1, 16000), (2, 40000), (3, 80000), (1, 8000)):
        expect_same(session, truth, batch(rows, samples, seed=samples))


@pytest.mark.parametrize("backend", MODULES)
def test_recordings_have_the_same_text(backend, bundle):
    audio = Path(os.environ["STANDIN_AUDIO"])
    rows = (audio / "metadata.csv").read_text().splitlines()
    transcripts = dict(row.split(",") for row in rows[1:])
    model = Model(Bundle.read(bundle).manifest, open_(bundle, backend))
    assert [answer.text for answer in model.batch([audio / name for name in transcripts])] == [*transcripts.values()]


def test_a_wrong_type_is_refused(bundle):
    inputs = batch(1, 16000)
    values = inputs["input_values"]
    fault = "takes input_values of float32, attention_mask of int64, and not input_values of float"
    for changed in ({**inputs, "input_values": values.astype(np.float64)}, {"input_values": values}):
        with pytest.raises(InferenceError, match=fault):
            open_(bundle, "tensorrt").run(changed)


def test_lengths_are_sent_where_the_engine_takes_them(bundle):
    for backend, sent, other in (
        ("tensorrt-rtx", "lengths", "attention_mask"),
        ("tensorrt", "attention_mask", "lengths"),
    ):
        session = open_(bundle, backend)
        session.run(batch(2, 16000))
        (lane,) = session._lanes._free
        assert sent in lane._buffers
        assert other not in lane._buffers


@pytest.mark.parametrize("row", [[0, 1, 1], [1, 0, 1], [2, 0, 0]])
def test_a_mask_that_is_no_length_is_refused(row, bundle):
    inputs = batch(1, 15999)
    inputs["attention_mask"] = np.repeat(np.array([row], np.int64), 5333, axis=1)
    with pytest.raises(InferenceError, match=r"^engines take clips that are padded at their end; attention_mask has 1"):
        open_(bundle, "tensorrt-rtx").run(inputs)


def samples_of(frames: int) -> int:
    """The most samples of which the convolutions make so many frames."""
    return 320 * frames + 399


def test_what_fits_no_profile(bundle, truth):
    session = open_(bundle, "tensorrt-rtx")
    for rows, samples, runs in (
        (5, 16000, [(0, (2, samples_of(52))), (0, (2, samples_of(52))), (0, (1, samples_of(52)))]),  # in parts
        (4, 64000, [(1, (3, samples_of(208))), (1, (2, samples_of(208)))]),  # the last part filled up
        (1, 64000, [(1, (2, samples_of(208)))]),
        (2, 5000, [(0, (2, samples_of(24)))]),  # to the least of a profile, and on to the next length
        (3, 32000, [(1, (3, samples_of(104)))]),  # one run of the larger profile, and not two of the smaller
    ):
        standin_tensorrt.executions.clear()
        inputs = batch(rows, samples)
        answer, expected = session.run(inputs)["logits"], truth(inputs)["logits"]
        assert standin_tensorrt.executions == runs
        assert answer.shape[0] == rows
        np.testing.assert_allclose(answer[:, : expected.shape[1]][:-1], expected[:-1], **EXACT)
    with pytest.raises(
        InferenceError, match=r"takes clips of 0\.5 to 2 s, 2 to 5 s, and not input_values of shape \[1, 80"
    ):
        session.run(batch(1, 80001))


def test_padding_is_left_alone_where_it_would_change_answers(bundle):
    manifest = dataclasses.replace(Bundle.read(bundle).manifest, padding="hf-exact")
    session = open_engine(Bundle(bundle, manifest), manifest.graphs[0].precision, "tensorrt")
    session.run(batch(1, 8000))
    with pytest.raises(InferenceError, match="compile it for them with --profile"):
        session.run(batch(1, 7999))


@pytest.mark.parametrize("backend", MODULES)
def test_threads_share_a_session(backend, bundle, truth):
    session = open_(bundle, backend)
    jobs = [batch(1 + seed % 2, 16000 + 800 * (seed % 5), seed) for seed in range(40)]
    with ThreadPoolExecutor(8) as threads:
        for inputs, answer in zip(jobs, threads.map(session.run, jobs)):
            expected = truth(inputs)["logits"]
            np.testing.assert_allclose(answer["logits"][:, : expected.shape[1]], expected, **EXACT)
    assert len(session._lanes._free) <= LANES


def test_repeated_shapes_replay_a_graph(bundle, truth):
    session = open_(bundle, "tensorrt")

    def check(*shape, seed):
        expect_same(session, truth, batch(*shape, seed=seed))

    for seed in range(5):
        check(1, 16000, seed=seed)
    assert len(standin_tensorrt.launches) == 3  # run, run and recorded, replayed
    check(1, 12000, seed=5)
    check(1, 16000, seed=6)
    assert len(standin_tensorrt.launches) == 4
    check(2, 32000, seed=7)  # the tensors grow, and what was recorded knew their addresses
    check(1, 16000, seed=8)
    assert len(standin_tensorrt.launches) == 4
    for index in range(GRAPHS + 1):
        for seed in range(2):
            check(1, 8192 + 1024 * index, seed=seed)
    (lane,) = session._lanes._free
    assert len(lane._recorded) == GRAPHS


def test_lengths_come_again(bundle, truth):
    """Under ``padding-invariant`` lengths are padded to a few, and what was recorded for one is of use for others."""
    session = open_(bundle, "tensorrt")
    for samples in (16384, 15900, 16700, 16001):
        expect_same(session, truth, batch(1, samples, seed=samples))
    assert len(standin_tensorrt.launches) == 2
    assert {shape for _, shape in standin_tensorrt.executions} == {(1, samples_of(52))}


def test_graphs_of_several_shapes_take_turns(bundle, truth):
    """What was recorded of a shape meets no other one; the stand-in refuses to replay what did."""
    session = open_(bundle, "tensorrt")
    for seed in range(3):
        for rows, samples in ((1, 16384), (2, 16384), (1, 32768), (2, 65536), (3, 65536)):
            expect_same(session, truth, batch(rows, samples, seed=seed))
    assert len(standin_tensorrt.launches) >= 3


def test_warming_up_runs_every_length_twice(bundle):
    session = open_(bundle, "tensorrt")
    session.warm_up()
    lengths = {shape[1] for _, shape in standin_tensorrt.executions}
    frames = (*range(24, 33, 2), *range(36, 65, 4), *range(72, 129, 8), *range(144, 241, 16))
    assert lengths == {*map(samples_of, frames), 32000, 80000}
    before = len(standin_tensorrt.executions)
    session.run(batch(1, 12345))
    assert len(standin_tensorrt.executions) == before + (1 if len(lengths) > GRAPHS else 0)
    load(bundle, "tensorrt-rtx", warm_up=True)
    assert len(standin_tensorrt.executions) >= before + 2 * len(lengths)


@pytest.mark.parametrize("backend", MODULES)
def test_the_context_of_the_caller_comes_back(backend, bundle):
    """Another library of the same thread may be at work on another GPU."""
    driver.standin_current.restype = ctypes.c_void_p
    driver.standin_set_current(ctypes.c_void_p(4711))
    try:
        with open_(bundle, backend) as session:
            session.run(batch(1, 16000))
            with pytest.raises(InferenceError):
                session.run(batch(1, 160000))
            assert driver.standin_current() == 4711
        assert driver.standin_current() == 4711
    finally:
        driver.standin_set_current(None)


def test_lanes_have_one_scratch_memory_for_all_profiles(bundle):
    session = open_(bundle, "tensorrt")
    session.run(batch(1, 16000))
    (lane,) = session._lanes._free
    assert lane._scratch.capacity == standin_tensorrt.SCRATCH
    session.run(batch(2, 64000))
    session.run(batch(1, 16000))
    assert lane._scratch.capacity == 2 * standin_tensorrt.SCRATCH


def test_a_plan_that_tensorrt_says_is_for_something_else(bundle, monkeypatch):
    monkeypatch.setattr(standin_tensorrt, "validity", [standin_tensorrt.EngineValidity.INVALID, 3])
    fault = r"tensorrt does not run .*\.plan here: it is of another version, it is for other GPUs; compile the bundle"
    with pytest.raises(BundleError, match=fault):
        open_(bundle, "tensorrt")


def test_shapes_that_tensorrt_cannot_infer_are_one_line(bundle, monkeypatch):
    def fails(self):
        raise RuntimeError("no shapes")

    monkeypatch.setattr(standin_tensorrt.IExecutionContext, "infer_shapes", fails)
    with pytest.raises(
        InferenceError, match=r"^provider 'tensorrt' failed on an input of shape \[1, 17039\]: no shapes"
    ):
        open_(bundle, "tensorrt").run(batch(1, 16000))


@pytest.mark.parametrize("runtime", [lambda logger: None, lambda logger: int(None)])
def test_a_runtime_that_cannot_start_is_one_line(runtime, bundle, monkeypatch):
    program._runtime.cache_clear()
    monkeypatch.setattr(standin_tensorrt, "Runtime", runtime)
    with pytest.raises(OptionError, match=r"^tensorrt 1\.0 cannot start here: it does not say why"):
        open_(bundle, "tensorrt")


@pytest.mark.parametrize("kept", [None, ValueError])
def test_kernels_that_cannot_be_kept_cost_no_answer(kept, bundle, truth, monkeypatch, tmp_path):
    def serialize(self):
        if kept is None:
            return None
        raise kept

    monkeypatch.setattr(standin_tensorrt_rtx.IRuntimeCache, "serialize", serialize)
    expect_same(open_(bundle, "tensorrt-rtx"), truth, batch(1, 16000))
    assert not (tmp_path / "cache").exists()


def test_kernels_are_specialised_where_lengths_come_again(bundle):
    kinds = standin_tensorrt_rtx.DynamicShapesKernelSpecializationStrategy
    exact = dataclasses.replace(Bundle.read(bundle).manifest, padding="hf-exact")
    for manifest, kind in ((Bundle.read(bundle).manifest, kinds.LAZY), (exact, kinds.NONE)):
        open_engine(Bundle(bundle, manifest), "fp32", "tensorrt-rtx").run(batch(1, 16000))
        assert standin_tensorrt_rtx.strategies[-1][1] is kind


def test_the_cache_of_kernels_has_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "MOST_BYTES", 10)
    monkeypatch.setattr(cache, "MOST_FOLDER_BYTES", 25)
    for number in range(4):
        cache.keep(tmp_path / f"{number}", b"x" * 10)
        os.utime(tmp_path / f"{number}", (number, number))
    cache.keep(tmp_path / "large", b"x" * 11)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "3"]
    assert cache.read_cached(tmp_path / "2") == b"x" * 10


def test_graphs_can_be_left_out(bundle):
    manifest = Bundle.read(bundle).manifest
    for engine in manifest.engines:
        for graphs in (True, False):
            session = EngineSession(Bundle(bundle, manifest), engine, cuda_graphs=graphs)
            for seed in range(3):
                session.run(batch(1, 16000, seed))
    assert len(standin_tensorrt.launches) == 1
    kinds = standin_tensorrt_rtx.CudaGraphStrategy
    assert [graphs for graphs, _ in standin_tensorrt_rtx.strategies[-2:]] == [kinds.WHOLE_GRAPH_CAPTURE, kinds.DISABLED]


def test_what_cannot_be_recorded_is_run(bundle, truth):
    driver.standin_break_capture(1)
    try:
        session = open_(bundle, "tensorrt")
        for seed in range(4):
            expect_same(session, truth, batch(1, 16000, seed))
    finally:
        driver.standin_break_capture(0)
    assert not standin_tensorrt.launches
    assert len(standin_tensorrt.executions) == 4


def test_kernels_compiled_here_are_kept(bundle, tmp_path):
    open_(bundle, "tensorrt-rtx").run(batch(1, 16000))
    (kept,) = (tmp_path / "cache" / "w2vc" / "tensorrt-rtx").iterdir()
    assert "-1.0-sm89-" in kept.name  # and then which model and driver
    assert kept.read_bytes() == b"none+"
    open_(bundle, "tensorrt-rtx")
    assert standin_tensorrt_rtx.caches[-1].kept == b"none+"


def test_kernels_are_of_a_gpu_model_and_a_driver(bundle, tmp_path, monkeypatch):
    """A home may be shared by machines with others."""
    device = Device.open()
    for multiprocessors, version in ((58, 13000), (58, 13010), (66, 13010)):
        other = dataclasses.replace(device, gpu=dataclasses.replace(device.gpu, multiprocessors=multiprocessors))
        monkeypatch.setattr(Device, "open", lambda other=other: other)
        monkeypatch.setattr(program, "driver_version", lambda version=version: version)
        open_(bundle, "tensorrt-rtx").run(batch(1, 16000))
    assert len(list((tmp_path / "cache" / "w2vc" / "tensorrt-rtx").iterdir())) == 3


@pytest.mark.parametrize("backend", MODULES)
def test_the_end_of_the_process_lets_go_first(backend, bundle):
    """TensorRT's threads call Python's logger, which is gone after the process's own end."""
    code = """
import atexit, ctypes, dataclasses, sys
atexit.register(lambda: print(ctypes.CDLL("libcuda.so.1").standin_live()))  # runs last
from pathlib import Path
import checks
checks.BACKENDS.update({n: dataclasses.replace(checks.BACKENDS[n], module=m) for n, m in checks.MODULES.items()})
session = checks.open_(Path(sys.argv[1]), sys.argv[2])
session.run(checks.batch(1, 16000))
print(ctypes.CDLL("libcuda.so.1").standin_live() > 0)
"""
    folder = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundle), backend], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "0"]


@pytest.mark.parametrize("backend", MODULES)
def test_memory_is_given_back(backend, bundle):
    gc.collect()
    before = driver.standin_live()
    session = open_(bundle, backend)
    for seed in range(3):
        session.run(batch(2, 16000, seed))
    assert driver.standin_live() > before
    del session
    gc.collect()
    assert driver.standin_live() == before


CLOSED = "^the session of provider 'tensorrt(-rtx)?' is closed; open another one$"


@pytest.mark.parametrize("backend", MODULES)
def test_closing_gives_memory_back_at_once(backend, bundle):
    gc.collect()
    before = driver.standin_live()
    with open_(bundle, backend) as session:
        session.run(batch(2, 16000))
        plan = weakref.ref(session._lanes._make.args[0])
        assert driver.standin_live() > before
    assert driver.standin_live() == before
    assert plan() is None
    session.close()
    for samples in (16000, 64000):  # of a profile that was used, and of one that was not
        with pytest.raises(InferenceError, match=CLOSED):
            session.run(batch(1, samples))
    assert driver.standin_live() == before


def test_what_runs_when_a_session_is_closed_ends_as_it_would(bundle, truth, monkeypatch):
    gc.collect()
    before = driver.standin_live()
    session = open_(bundle, "tensorrt")
    run = Lane.run

    def close_and_run(self, *arguments):
        session.close()
        return run(self, *arguments)

    monkeypatch.setattr(Lane, "run", close_and_run)
    expect_same(session, truth, batch(5, 16000))  # in three parts
    assert driver.standin_live() == before


def test_who_waits_for_a_session_is_told_that_it_is_closed(bundle):
    gc.collect()
    before = driver.standin_live()
    session = open_(bundle, "tensorrt")
    with session._device.current():
        taken = [session._lanes.take() for _ in range(LANES)]
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(session.run, batch(1, 16000)) for _ in range(2)]
        session.close()
        for each in waiting:
            with pytest.raises(InferenceError, match=CLOSED):
                each.result(timeout=60)
    with session._device.current():
        session._lanes.give(taken[0])
        session._lanes.drop(taken[1])
    assert driver.standin_live() == before


def test_a_full_gpu_is_one_line_and_not_the_end(bundle, truth):
    session = open_(bundle, "tensorrt")
    driver.standin_limit(1000)
    try:
        with pytest.raises(InferenceError, match=r"CUDA: cuMemAlloc failed with CUDA_ERROR_OUT_OF_MEMORY"):
            session.run(batch(1, 16000))
    finally:
        driver.standin_limit(1 << 34)
    for _ in range(LANES + 1):
        expect_same(session, truth, batch(1, 16000))


def test_memory_that_is_half_had_is_given_back(bundle):
    before = driver.standin_live()
    session = open_(bundle, "tensorrt")
    driver.standin_host_limit(1000)
    try:
        with pytest.raises(InferenceError, match="CUDA: cuMemHostAlloc failed with CUDA_ERROR_OUT_OF_MEMORY"):
            session.run(batch(1, 16000))
    finally:
        driver.standin_host_limit(1 << 34)
    assert driver.standin_live() == before


def test_commands_take_the_engine(bundle, capsys):
    recording = Path(os.environ["STANDIN_AUDIO"]) / "seven-two-nine.flac"
    for provider in ("auto", *MODULES):
        standin_tensorrt.executions.clear()
        assert cli.main(["run", str(bundle), str(recording), "--provider", provider]) == 0
        assert capsys.readouterr().out == "seven two nine\n"
        assert standin_tensorrt.executions
    assert cli.main(["info", str(bundle)]) == 0
    shown = capsys.readouterr().out
    assert "auto provider  tensorrt-rtx\n" in shown
    assert "not tensorrt   it would work; tensorrt-rtx comes first\n" in shown
    assert "MB a call beside it" not in shown
    rewrite(
        bundle, *(dataclasses.replace(each, activation_bytes=10**8) for each in Bundle.read(bundle).manifest.engines)
    )
    assert cli.main(["info", str(bundle)]) == 0
    assert "100 MB a call beside it" in capsys.readouterr().out
    gpu(1, 7, 5)
    assert cli.main(["run", str(bundle), str(recording), "--provider", "tensorrt-rtx"]) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert "was compiled for sm89, and Stand-in GPU (sm75) is here; compile it again with: w2vc compile " in line
    assert captured.out == ""
    assert load(bundle).provider in ("openvino", "cpu")


def test_an_engine_for_something_else_is_refused(bundle):
    rtx = next(engine for engine in Bundle.read(bundle).manifest.engines if engine.backend == "tensorrt-rtx")
    command = f"compile it again with: w2vc compile {bundle} --backend tensorrt-rtx --precision fp32 --target sm89"
    for changes, fault in (
        ({"targets": ("sm86", "sm120")}, "was compiled for sm86 or sm120, and Stand-in GPU (sm89) is here"),
        ({"version": "0.9"}, "was compiled by tensorrt-rtx 0.9, and 1.0 is here"),
        ({"platform": "linux-aarch64"}, f"was compiled for linux-aarch64, and this is {this_platform()}"),
        ({"gpu": "Other"}, "was compiled for Other (sm89), and Stand-in GPU (sm89) is here"),
    ):
        rewrite(bundle, dataclasses.replace(rtx, **changes))
        with pytest.raises(OptionError) as caught:
            open_(bundle, "tensorrt-rtx")
        assert str(caught.value) == f"{bundle / rtx.file} {fault}; {command}"
    rewrite(
        bundle, dataclasses.replace(rtx, platform=f"windows-{'amd64' if platform.machine() == 'x86_64' else 'arm64'}")
    )
    assert open_(bundle, "tensorrt-rtx").provider == "tensorrt-rtx"  # its plans go from one system to another
    rewrite(bundle, dataclasses.replace(rtx, targets=()))
    assert open_(bundle, "tensorrt-rtx").provider == "tensorrt-rtx"
    gpu(1, 12, 0)
    assert open_(bundle, "tensorrt-rtx").provider == "tensorrt-rtx"
    for major, minor, name in ((9, 0, "sm90"), (8, 7, "sm87"), (10, 0, "sm100")):
        gpu(1, major, minor)
        fault = rf"runs on sm75, .*sm121, and Stand-in GPU \({name}\) is here; take provider 'tensorrt' or 'cuda'$"
        with pytest.raises(OptionError, match=fault):
            open_(bundle, "tensorrt-rtx")
    gpu(1, 7, 5)
    with pytest.raises(OptionError, match=r"for sm80 and later, and Stand-in GPU \(sm75\) is here.*precision fp32$"):
        open_(bundle, "tensorrt-rtx")  # which the stand-in compiles nothing for


def test_the_engine_for_the_gpu_at_hand_is_taken(bundle):
    rtx = next(engine for engine in Bundle.read(bundle).manifest.engines if engine.backend == "tensorrt-rtx")
    general, other = dataclasses.replace(rtx, targets=()), dataclasses.replace(rtx, targets=("sm86",))
    rewrite(bundle, general, other, rtx)
    assert open_(bundle, "tensorrt-rtx")._engine.targets == ("sm89",)
    rewrite(bundle, other, general)
    assert open_(bundle, "tensorrt-rtx")._engine.targets == ()


def test_no_engine_and_no_gpu(bundle):
    gpu(0)
    with pytest.raises(OptionError, match=r"NVIDIA's driver finds no GPU here \(CUDA error 100\); check nvidia-smi"):
        open_(bundle, "tensorrt")
    rewrite(bundle)
    with pytest.raises(OptionError, match=r"no tensorrt engine in fp32; compile one with: w2vc compile .* --backend"):
        open_(bundle, "tensorrt")


def test_a_plan_that_does_not_load(bundle):
    plan = bundle / "engines" / "tensorrt.plan"
    content = plan.read_bytes()
    plan.write_bytes(content[:-1])
    with pytest.raises(BundleError, match=r"tensorrt 1\.0 cannot load .*tensorrt\.plan: bad magic"):
        open_(bundle, "tensorrt")
    plan.write_bytes(content)
    manifest = dataclasses.replace(Bundle.read(bundle).manifest, outputs=())
    with pytest.raises(BundleError, match="has other tensors than its manifest says"):
        open_engine(Bundle(bundle, manifest), manifest.graphs[0].precision, "tensorrt")
