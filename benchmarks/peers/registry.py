"""The engines that `compare.py` runs: one file a peer, and its variants."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Variant:
    """One way to run a peer.

    precision: what its output is judged as. model: the name of what is made of the checkpoint for it, which variants
    may share; empty where it runs the checkpoint itself. settings: what its file wants to know. only: ``one`` or
    ``several`` clips; empty for both.
    """

    precision: str
    model: str = ""
    settings: tuple[tuple[str, Any], ...] = ()
    only: str = ""


@dataclass(frozen=True)
class Peer:
    """A tool that runs these models.

    file: makes its models and runs them, see `worker`. environment: the one that it runs in, made of ``NAME.txt``; None
    is the one that runs this.
    """

    file: str
    environment: str | None
    variants: dict[str, Variant]


PEERS: dict[str, Peer] = {
    "transformers": Peer(
        "run_transformers.py",
        "transformers",
        {
            "eager": Variant("fp32"),
            "eager, padded": Variant("fp32", settings=(("padded", True),), only="several"),
            "eager bf16": Variant("bf16", settings=(("type", "bfloat16"),)),
            "torch.compile": Variant("fp32", settings=(("compiled", True),), only="one"),
        },
    ),
    "onnxruntime": Peer(
        "run_onnxruntime.py",
        "onnxruntime",
        {
            "plain, one length": Variant("fp32", "one-length", only="one"),
            "plain": Variant("fp32", "dynamic"),
            "int8, one length": Variant("int8", "one-length", (("file", "int8"),), only="one"),
            "int8": Variant("int8", "dynamic", (("file", "int8"),)),
        },
    ),
    "optimum": Peer(
        "run_optimum.py",
        "optimum",
        {"onnxruntime": Variant("fp32", "export"), "onnxruntime int8": Variant("int8", "export", (("file", "int8"),))},
    ),
    "openvino": Peer(
        "run_openvino.py",
        "openvino",
        {
            "f32, one length": Variant("fp32", "float", (("static", True),), only="one"),
            "bf16, one length": Variant("bf16", "float", (("static", True), ("type", "bf16")), only="one"),
            "nncf int8, one length": Variant("int8", "nncf", (("static", True), ("type", "bf16")), only="one"),
            "f32": Variant("fp32", "float"),
            "bf16": Variant("bf16", "float", (("type", "bf16"),)),
            "nncf int8": Variant("int8", "nncf", (("type", "bf16"),)),
        },
    ),
    "ctranslate2": Peer(
        "run_ctranslate2.py",
        "ctranslate2",
        {
            "fp32": Variant("fp32", "export", (("type", "float32"),)),
            "bf16": Variant("bf16", "export", (("type", "bfloat16"),)),
            "int8": Variant("int8", "export", (("type", "int8_float32"),)),
        },
    ),
    "sherpa-onnx": Peer("run_sherpa_onnx.py", "sherpa-onnx", {"omnilingual": Variant("fp32", "export")}),
    "onnx-asr": Peer("run_onnx_asr.py", "onnx-asr", {"wav2vec2": Variant("fp32", "export")}),
    "ours": Peer(
        "run_ours.py",
        None,
        {
            "cpu fp32": Variant("fp32", "cpu", (("provider", "cpu"),)),
            "cpu int8": Variant("int8", "cpu", (("provider", "cpu"),)),
            "openvino fp32": Variant("fp32", "openvino", (("provider", "openvino"),)),
            "openvino bf16": Variant("bf16", "openvino", (("provider", "openvino"),)),
            "openvino int8": Variant("int8", "openvino", (("provider", "openvino"),)),
            "cpu fp32, one at a time": Variant("fp32", "cpu", (("provider", "cpu"), ("alone", True)), "several"),
            "cpu int8, one at a time": Variant("int8", "cpu", (("provider", "cpu"), ("alone", True)), "several"),
            "openvino int8, one at a time": Variant(
                "int8", "openvino", (("provider", "openvino"), ("alone", True)), "several"
            ),
        },
    ),
}
OURS = "ours"
# Models that are made of another peer's: the export that a tool without an exporter of its own is given.
GIVEN = {"sherpa-onnx": ("onnxruntime", "dynamic"), "onnx-asr": ("onnxruntime", "dynamic")}
# Largest difference from PyTorch, relative to its largest value, with which a run counts.
LIMITS = {"fp32": 1e-3, "bf16": 1e-1, "int8": 3e-1}


def chosen(names: list[str]) -> list[tuple[str, str]]:
    """Peer and variant of ``PEER`` (all its variants) or ``PEER/VARIANT``; raise `ValueError` for what is unknown."""
    result = []
    for name in names:
        peer, _, variant = name.partition("/")
        if peer not in PEERS:
            raise ValueError(f"unknown peer {peer!r}; known: {', '.join(PEERS)}")
        known = PEERS[peer].variants
        if variant and variant not in known:
            raise ValueError(f"unknown variant {variant!r} of {peer}; known: {', '.join(known)}")
        result += [(peer, each) for each in ([variant] if variant else known)]
    return list(dict.fromkeys(result))
