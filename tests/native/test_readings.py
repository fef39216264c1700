"""Readings, alignments and chunks through the C interface, beside those of the Python runtime with w2vc-native."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import numpy as np
import pytest
from native_build import ROOT

from w2vc_exporter import ExportOptions, export
from w2vc_runtime import BeamOptions, ChunkOptions, load
from w2vc_runtime.results.formats import json_object

native = pytest.importorskip("w2vc_native", reason="w2vc-native is not installed: pip install runtime/cpp/python")
RECORDING = ROOT / "examples" / "digits" / "audio" / "three-one-four-one-five.flac"
AS_STORED = -1e300
ARPA = """\\data\\
ngram 1=6
ngram 2=2

\\1-grams:
-2\t<unk>
-99\t<s>\t-0.5
-1\t</s>
-1.1\tthree\t-0.4
-0.7\tone\t-0.3
-3\tfour\t-0.2

\\2-grams:
-0.2\t<s> three
-0.3\tone four

\\end\\
"""


class Hotword(ctypes.Structure):
    """``w2vc_hotword``."""

    _fields_ = (("text", ctypes.c_char_p), ("weight", ctypes.c_double))


class Beam(ctypes.Structure):
    """``w2vc_beam_options``."""

    _fields_ = (
        ("size", ctypes.c_size_t), ("language_model", ctypes.c_char_p), ("alpha", ctypes.c_double),
        ("beta", ctypes.c_double), ("beam_width", ctypes.c_size_t), ("beam_prune_logp", ctypes.c_double),
        ("token_min_logp", ctypes.c_double), ("unk_score_offset", ctypes.c_double), ("nbest", ctypes.c_size_t),
        ("hotwords", ctypes.POINTER(Hotword)), ("hotword_count", ctypes.c_size_t),
    )  # fmt: skip


class Chunks(ctypes.Structure):
    """``w2vc_chunk_options``."""

    _fields_ = (
        ("size", ctypes.c_size_t), ("chunk_seconds", ctypes.c_double), ("context_seconds", ctypes.c_double),
        ("pooled", ctypes.c_int),
    )  # fmt: skip


class Native:
    """A model of the C interface. Handles are left to the end of the process."""

    def __init__(self, library: Path, bundle: Path) -> None:
        self.functions = ctypes.CDLL(os.fspath(library))
        self.model = self.made("w2vc_model_load", os.fsencode(bundle), None)

    def made(self, name: str, *arguments: object) -> ctypes.c_void_p:
        """What a function puts into its last output."""
        handle, error = ctypes.c_void_p(), ctypes.create_string_buffer(512)
        status = getattr(self.functions, name)(*arguments, ctypes.byref(handle), error)
        assert status == 0, error.raw[4:].split(b"\0")[0].decode()
        return handle

    def json(self, name: str, *arguments: object) -> str:
        """The result that a function makes, as a line."""
        result, shown = self.made(name, self.model, *arguments), ctypes.c_char_p()
        assert self.functions.w2vc_result_json(result, ctypes.byref(shown), None) == 0
        assert shown.value is not None
        return f"{shown.value.decode()}\n"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """The digits with a language model of their own."""
    folder = tmp_path_factory.mktemp("readings")
    (folder / "lm").mkdir()
    (folder / "lm" / "digits.arpa").write_text(ARPA)
    (folder / "lm" / "attrs.json").write_text(
        '{"alpha": 0.9, "beta": 0.75, "unk_score_offset": -4.0, "score_boundary": true}'
    )
    (folder / "lm" / "unigrams.txt").write_text("three\none\nfour\n")
    return export(ExportOptions(output=folder / "digits", lm=str(folder / "lm"))).bundle


@pytest.fixture(scope="module")
def of_c(installed, bundle, onnxruntime_library) -> Native:
    os.environ["W2VC_ONNXRUNTIME"] = str(onnxruntime_library)
    library = next(path for path in installed.rglob("libw2vc.so.*") if not path.is_symlink())
    return Native(library, bundle)


def samples_of(bundle: Path) -> np.ndarray:
    with load(bundle, "cpu") as model:
        return model.read(RECORDING)


@pytest.mark.parametrize("hotwords", [{}, {"five": 4.0, "nine": -3.0}])
def test_readings_are_those_of_python(of_c, bundle, hotwords):
    samples = samples_of(bundle)
    clip = (samples.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(len(samples)))
    words = (Hotword * 2)(*(Hotword(text.encode(), weight) for text, weight in hotwords.items()))
    options = Beam(ctypes.sizeof(Beam), None, AS_STORED, AS_STORED, 50, -12, -6, AS_STORED, 4, words, len(hotwords))
    decoder = of_c.made("w2vc_decoder_beam", of_c.model, ctypes.byref(options))
    beam = BeamOptions(beam_width=50, beam_prune_logp=-12, token_min_logp=-6, nbest=4, hotwords=hotwords)
    with load(bundle, "cpu", decoder="beam", beam=beam) as model:
        said = of_c.json("w2vc_run", decoder, *clip)
        assert said == json_object(model((samples, 16000)))
        assert "alternatives" in said
        cut = Chunks(ctypes.sizeof(Chunks), 1.5, -1.0, 0)
        said = of_c.json("w2vc_run_chunked", decoder, ctypes.byref(cut), *clip)
        assert said == json_object(model.chunked((samples, 16000), ChunkOptions(1.5)))


def test_alignments_are_those_of_python(of_c, bundle):
    samples = samples_of(bundle)
    clip = (samples.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(len(samples)))
    with load(bundle, "cpu") as model:
        for text in ("three one four one five", "* four [nine] one five"):
            said = of_c.json("w2vc_align", *clip, text.encode())
            assert said == json_object(model.align((samples, 16000), text))
