"""Lengths that come again on a GPU, and what is recorded of them: on the CPU provider, which replays nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from support.gpu_providers import StandIn, stand_in
from support.oracle import clips, difference
from w2vc_exporter import ExportOptions, export
from w2vc_runtime import OptionError, load
from w2vc_runtime.bundle import Bundle, Frames
from w2vc_runtime.sessions import onnx_runtime_cuda
from w2vc_runtime.sessions.base import GraphFile
from w2vc_runtime.sessions.lengths import Lengths, bucket
from w2vc_runtime.sessions.onnx_runtime import CPU
from w2vc_runtime.sessions.onnx_runtime_cuda import CudaSession, Recorded
from w2vc_runtime.sessions.select import open_session

SAME = 1e-4


class OnCpu(CudaSession):
    device = "cpu"


@pytest.fixture(scope="module", params=["digits", "digits-bert"])
def bundle(request, digits, tmp_path_factory) -> Bundle:
    """Of samples, and of spectrograms."""
    if request.param == "digits":
        return Bundle.read(digits["fp32"])
    folder = tmp_path_factory.mktemp("bert") / "bundle"
    return Bundle.read(export(ExportOptions(request.param, output=folder)).bundle)


@pytest.fixture
def session(bundle, monkeypatch) -> OnCpu:
    run = Recorded.run  # whose outputs are copies where they come from a GPU
    monkeypatch.setattr(Recorded, "run", lambda *each: {name: value.copy() for name, value in run(*each).items()})
    return OnCpu(GraphFile.of(bundle, bundle.graph("fp32")), bundle.interface, True, CPU)


@pytest.fixture
def runs(session, monkeypatch) -> list[tuple[str, tuple[int, ...]]]:
    """What the session was asked for: ``plain`` or ``bound``, and the shape."""
    asked = []
    real = session._session

    class Watched:
        def run(self, outputs, inputs, options):
            asked.append(("plain", next(iter(inputs.values())).shape))
            return real.run(outputs, inputs, options)

        def run_with_iobinding(self, binding, options):
            asked.append(("bound", options.get_run_config_entry("gpu_graph_id")))
            return real.run_with_iobinding(binding, options)

        def io_binding(self):
            return real.io_binding()

    monkeypatch.setattr(session, "_session", Watched())
    return asked


def batch(bundle: Bundle, *seconds: float, seed: int = 0) -> dict[str, np.ndarray]:
    return bundle.interface.feed(clips(*(round(16000 * each) for each in seconds), seed=seed))


def test_lengths_are_few_and_add_an_eighth_at_most():
    few = {bucket(frames) for frames in range(1, 4097)}
    assert len(few) <= 8 * 12 + 1
    assert all(each % 8 == 0 for each in few if each > 64)
    for frames in range(1, 4097):
        assert frames <= bucket(frames) <= max(frames, 1.125 * frames)
        assert bucket(bucket(frames)) == bucket(frames)


def test_lengths_of_the_inputs_make_those_frames(bundle):
    """As many samples as make them, or as many steps of a spectrogram."""
    lengths, interface = Lengths(bundle.interface), bundle.interface
    spectrogram = interface.inputs[0].name == "input_features"
    for samples in (720, 16000, 79999, 80000, 123456):
        steps = interface.feed([np.zeros(samples, np.float32)])[interface.inputs[0].name].shape[1]
        assert lengths.steps(samples) <= steps  # of which the last may be padding
        padded = lengths.next(steps)
        frames = Frames(1, 1) if spectrogram else interface.frames["frames"]
        assert padded >= steps
        assert frames.count(padded) == bucket(frames.count(steps))
        assert lengths.next(padded) == padded


def test_every_call_answers_as_a_plain_session_does(bundle, session, runs):
    """Plain, recorded and replayed, with other shapes between them and other sound in every one."""
    plain = open_session(bundle.file(bundle.graph("fp32")), "cpu")
    for turn in range(4):
        for seconds in ((1.0,), (2.5, 1.0), (1.02,), (4.0,)):
            inputs = batch(bundle, *seconds, seed=turn)
            actual, expected = session.run(inputs)["logits"], plain.run(inputs)["logits"]
            for row, clip in enumerate(seconds):
                valid = bundle.interface.frames["frames"].count(round(16000 * clip))
                assert difference(actual[row, :valid], expected[row, :valid]) < SAME, (turn, seconds)
    # Three shapes, of which that of 1 s comes twice a turn: each plain at first, and then bound to a graph of its own.
    kinds = [kind for kind, _ in runs]
    assert kinds.count("plain") == 3
    assert {graph for kind, graph in runs if kind == "bound"} == {"1", "2", "3"}


def test_without_graphs_lengths_are_padded_all_the_same(bundle, monkeypatch):
    session = OnCpu(GraphFile.of(bundle, bundle.graph("fp32")), bundle.interface, False, CPU)
    plain = open_session(bundle.file(bundle.graph("fp32")), "cpu")
    inputs = batch(bundle, 2.1, 1.0)
    steps = inputs[bundle.interface.inputs[0].name].shape[1]
    asked = []
    real = session._session.run
    monkeypatch.setattr(
        session, "_session",
        SimpleNamespace(run=lambda names, given, options: asked.append(given) or real(names, given, options)),
    )  # fmt: skip
    for _ in range(3):
        actual, expected = session.run(inputs)["logits"], plain.run(inputs)["logits"]
        assert difference(actual[:, : expected.shape[1]], expected) < SAME
    assert {value.shape[1] for given in asked for value in given.values()} == {Lengths(bundle.interface).next(steps)}
    assert not session._seen


def test_a_large_batch_is_not_recorded(bundle, session, runs):
    for _ in range(3):
        session.run(batch(bundle, *[2.0] * 11))
    assert [kind for kind, _ in runs] == ["plain"] * 3


def test_what_is_recorded_has_an_end(bundle, session, runs, monkeypatch):
    monkeypatch.setattr(onnx_runtime_cuda, "MOST_GRAPHS", 1)
    for _ in range(3):
        for seconds in (1.0, 2.0):
            session.run(batch(bundle, seconds))
    assert [kind for kind, _ in runs] == ["plain", "plain", "bound", "plain", "bound", "plain"]


def test_warming_up_records_every_length(bundle, session, runs, monkeypatch):
    monkeypatch.setattr(session, "_most", Lengths(bundle.interface).steps(16000))
    session.warm_up()
    assert len(runs) >= 2 * 8
    runs.clear()
    session.run(batch(bundle, 0.77))
    assert [kind for kind, _ in runs] == ["bound"]


def test_threads_get_their_own_answers(bundle, session):
    batches = [batch(bundle, seconds, seed=seed) for seed, seconds in enumerate([1.0, 2.0, 1.0, 2.0] * 6)]
    expected = [session.run(each)["logits"] for each in batches]
    with ThreadPoolExecutor(4) as pool:
        for actual, wanted in zip(pool.map(lambda each: session.run(each)["logits"], batches), expected):
            assert difference(actual, wanted) < SAME


def test_a_closed_session_lets_go(bundle, session):
    for _ in range(2):
        session.run(batch(bundle, 1.0))
    session.close()
    assert not session._recorded


@pytest.fixture
def gpus(monkeypatch):
    return stand_in(monkeypatch)


def test_what_padding_would_change_is_neither_padded_nor_recorded(gpus, digits):
    bundle = Bundle.read(digits["fp32"])
    exact = replace(bundle, manifest=replace(bundle.manifest, padding="hf-exact"))
    assert isinstance(onnx_runtime_cuda.open_graph(GraphFile.of(bundle, bundle.graph("fp32"))), CudaSession)
    graph = GraphFile.of(exact, bundle.graph("fp32"))
    assert not isinstance(onnx_runtime_cuda.open_graph(graph), CudaSession)
    with pytest.raises(OptionError, match=r"^CUDA graphs are for lengths that come again"):
        onnx_runtime_cuda.open_graph(replace(graph, cuda_graphs=True))


def test_graphs_are_recorded_where_they_are_asked_for(gpus, digits):
    for asked in (False, True):
        StandIn.made.clear()
        load(digits["fp32"], "cuda", cuda_graphs=asked)
        (made,) = StandIn.made
        assert ("enable_cuda_graph" in made.given[onnx_runtime_cuda.CUDA]) == asked
    with pytest.raises(OptionError, match=r"^cuda_graphs is for provider 'cuda', and not for 'auto'$"):
        load(digits["fp32"], "auto", cuda_graphs=True)


def test_bf16_is_refused(gpus, digits, monkeypatch):
    """Seen: ONNX's convolutions take no bf16 before opset 22, and ONNX Runtime does not load the graph."""
    graph = GraphFile.of(Bundle.read(digits["fp32"]), Bundle.read(digits["fp32"]).graph("fp32"))
    with pytest.raises(OptionError, match=r"^provider 'cuda' has no convolutions in bf16; take 'fp16'"):
        onnx_runtime_cuda.check(replace(graph, precision="bf16"))
