"""What needs an NVIDIA GPU; without one, every test here is skipped.

python -m pytest -m gpu tests/runtime/sessions/test_gpu.py
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from support.oracle import Cell, clips, difference, tiny
from support.paths import DEMO_AUDIO, TRANSCRIPTS
from w2vc_exporter import ExportOptions, export
from w2vc_runtime import W2vcError, load
from w2vc_runtime.bundle import Bundle
from w2vc_runtime.engines import BACKENDS, EngineOptions, compile_bundle
from w2vc_runtime.sessions.base import Session
from w2vc_runtime.sessions.select import open_bundle, open_session
from w2vc_runtime.system.gpu import find_gpu
from w2vc_runtime.verify.again import verify_bundle

# Where a GPU is, packages are of versions that warn of other things.
pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]

PRECISIONS = ("fp32", "fp16", "bf16")
PROVIDERS = ("cuda", *BACKENDS)
# What verification needs, and a gap above it.
PROFILES = ("seconds={least!r}:2:5,batch=1:2:4", "seconds=5:10:13,batch=1:1:2")
LONGEST, CLIPS = 13, 4
SAME = 1e-4
# Another length is another order of adding.
RECORDED = {"fp32": 1e-4, "fp16": 2e-2}
FAMILIES = (
    Cell("wav2vec2-stable", "layer", "ctc"),
    Cell("conformer-relative", "layer", "ctc"),
    Cell("bert-relative_key", "log-mel", "ctc"),
)


def compiled(checkpoint: Path | None, folder: Path) -> Path:
    """A bundle in every precision, with engines of every backend that is installed, compiled here."""
    result = export(ExportOptions(checkpoint, precision=",".join(PRECISIONS), output=folder / "bundle"))
    least = result.manifest.shortest / result.manifest.features.sampling_rate
    profiles = tuple(profile.format(least=least) for profile in PROFILES)
    for backend in BACKENDS:
        for precision in PRECISIONS if find_spec(BACKENDS[backend].module) else ():
            compile_bundle(result.bundle, EngineOptions((), profiles, backend), precision)
    return result.bundle


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory) -> Iterator[None]:
    """What TensorRT-RTX compiles here is not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """Of the digits."""
    return compiled(None, tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda cell: cell.architecture)
def family(request, tmp_path_factory) -> Path:
    """Of a tiny model of each family."""
    return compiled(tiny(*request.param, brief=True)[1], tmp_path_factory.mktemp("family"))


@pytest.fixture(params=list(BACKENDS))
def backend(request) -> str:
    pytest.importorskip(BACKENDS[request.param].module)
    return request.param


def opened(bundle: Path, backend: str, precision: str = "fp32") -> Session:
    from w2vc_runtime.sessions.tensorrt.session import open_engine

    manifest = Bundle.read(bundle).manifest
    return open_engine(Bundle(bundle, manifest), precision, backend)


def inputs(bundle: Path, *seconds: float, seed: int = 0) -> dict[str, np.ndarray]:
    manifest = Bundle.read(bundle).manifest
    return manifest.features(clips(*(round(16000 * s) for s in seconds), seed=seed), manifest.padding)


def logits(session: Session, given: dict[str, np.ndarray]) -> np.ndarray:
    return session.run(given)["logits"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_plan_that_was_compiled_here_hears_the_digits(bundle, backend, precision):
    pytest.importorskip("soundfile")
    model = load(bundle, backend, precision)
    assert model.provider == backend
    for name, text in TRANSCRIPTS.items():
        assert model(DEMO_AUDIO / name).text == text


def expect_cuda() -> None:
    if "CUDAExecutionProvider" not in pytest.importorskip("onnxruntime").get_available_providers():
        pytest.skip("this onnxruntime has no CUDA; pip install onnxruntime-gpu")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_family_is_within_its_budget(family, provider, precision):
    if provider in BACKENDS:
        pytest.importorskip(BACKENDS[provider].module)
    else:
        expect_cuda()
    if (provider, precision) == ("cuda", "bf16"):
        pytest.skip("ONNX Runtime has no convolutions in bf16")
    (outcome,) = verify_bundle(family, provider, precision)
    assert outcome.verdict is not None, outcome.reason
    assert outcome.provider == provider
    assert not outcome.problems


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_what_cuda_records_is_what_it_computes(family, precision):
    """Graphs of ONNX Runtime: shapes take turns, with other sound each time, and what is not recorded in between."""
    expect_cuda()
    bundle = Bundle.read(family)
    graph = bundle.graph(precision)
    recording = open_bundle(bundle, graph, "cuda", cuda_graphs=True)
    plain = open_session(bundle.file(graph), "cuda", precision)
    for turn in range(5):
        for seconds in ((1,), (2, 1), (13,), (3, 2, 1), (9, 9, 9)):
            batch = inputs(family, *seconds, seed=turn)
            actual, expected = logits(recording, batch), logits(plain, batch)
            assert difference(actual[:, : expected.shape[1]], expected) < RECORDED[precision], (turn, seconds)
    assert len(recording._recorded) == 4


def test_threads_of_one_session_get_the_answers_of_one(bundle, backend):
    session = opened(bundle, backend)
    batches = [inputs(bundle, *each, seed=seed) for seed, each in enumerate([(1,), (2, 1), (3,), (6,), (1.5,)] * 4)]
    expected = [logits(session, batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        for actual, wanted in zip(pool.map(lambda batch: logits(session, batch), batches), expected):
            assert difference(actual, wanted) < SAME


def test_shapes_that_repeat_give_what_they_give_at_first(bundle, backend):
    """What replays a CUDA graph computes as what does not, also after the memory that it was recorded on has moved."""
    batches = [
        inputs(bundle, *seconds, seed=seed)
        for seconds in ((2,), (9,), (3, 2))
        for seed in range(4)
    ]  # fmt: skip
    session = opened(bundle, backend)
    for batch in [*batches, *batches]:
        assert difference(logits(session, batch), logits(opened(bundle, backend), batch)) < SAME


def test_graphs_of_interleaved_shapes_are_what_no_graphs_are(bundle, backend):
    """Shapes take turns, so that every replay comes after its neighbours' shapes (NVIDIA/TensorRT#3798)."""
    from w2vc_runtime.engines.identity import find_engine
    from w2vc_runtime.sessions.tensorrt.session import EngineSession

    read = Bundle.read(bundle)
    engine = find_engine(read, "fp32", backend)
    replaying, plain = (EngineSession(read, engine, cuda_graphs=graphs) for graphs in (True, False))
    for turn in range(5):
        for seconds in ((1,), (2, 1), (9,), (3, 2, 1), (13,)):
            batch = inputs(bundle, *seconds, seed=turn)
            assert difference(logits(replaying, batch), logits(plain, batch)) < SAME, (turn, seconds)


def test_a_mask_on_the_gpu_is_that_of_the_clips(bundle, backend):
    """Engines take lengths and make the mask of them: a clip in a batch is what it is alone."""
    session = opened(bundle, backend)
    together = inputs(bundle, 4, 1, 2.5)
    for row, seconds in enumerate((4, 1, 2.5)):
        cut = {name: value[row : row + 1, : round(16000 * seconds)] for name, value in together.items()}
        alone = logits(session, cut)
        assert difference(logits(session, together)[row : row + 1, : alone.shape[1]], alone) < SAME


def test_a_clip_beyond_every_profile_is_one_line(bundle, backend):
    session = opened(bundle, backend)
    with pytest.raises(W2vcError) as error:
        session.run(inputs(bundle, LONGEST + 1))
    assert "\n" not in str(error.value)
    assert f"{LONGEST} s" in str(error.value)
    logits(session, inputs(bundle, LONGEST))  # and it still answers


def test_more_clips_than_a_profile_takes_are_run_in_parts(bundle, backend):
    session = opened(bundle, backend)
    given = inputs(bundle, *np.linspace(1, 4, 2 * CLIPS + 1))
    together = logits(session, given)
    for row in range(2 * CLIPS + 1):
        alone = logits(session, {name: value[row : row + 1] for name, value in given.items()})
        assert difference(together[row : row + 1], alone) < SAME


def test_a_plan_for_another_gpu_is_refused(bundle):
    from w2vc_runtime.sessions.tensorrt.session import open_engine

    pytest.importorskip("tensorrt_rtx")
    gpu = find_gpu()
    other = "sm86" if gpu.capability != "sm86" else "sm89"
    done = compile_bundle(bundle, EngineOptions((other,), (PROFILES[1],)), "fp16")
    manifest = replace(Bundle.read(bundle).manifest, engines=(done.engine,))
    with pytest.raises(W2vcError) as error:
        open_engine(Bundle(bundle, manifest), "fp16", "tensorrt-rtx")
    assert "\n" not in str(error.value)
    assert other in str(error.value)
    assert gpu.capability in str(error.value)
