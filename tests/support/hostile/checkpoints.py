"""Checkpoints as a damaged disk or somebody hostile has them, the same ones every time, made of tiny ones.

Each is read as an export reads it before it traces, and asked for one answer where that succeeds. As a program this
tries all and prints how many came to what.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import shutil
import signal
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

import w2vc_model
from support.hostile.harness import Attempt, attempt, tally
from support.hostile.weights import DEEP, DIGITS, Case, Runs, pickles, weights
from support.oracle import tiny
from w2vc_exporter import ExportError
from w2vc_exporter.checkpoint.hub import find_checkpoint
from w2vc_exporter.checkpoint.recipes import read_features
from w2vc_exporter.checkpoint.tokenizers import notes, read_ctc
from w2vc_runtime.cli.program import DONE, guarded

SECONDS = 20
MEGABYTES = 1000
LONGEST_LINE = 2000


def read(arguments: list[str]) -> int:
    """All that ``w2vc-export CHECKPOINT HEAD`` does before it traces, and one answer of what it would trace."""

    def command() -> int:
        signal.signal(signal.SIGALRM, _late)
        signal.alarm(SECONDS)
        try:
            _read(Path(arguments[0]), arguments[1])
        except w2vc_model.ModelError as error:
            raise ExportError(str(error)) from error
        finally:
            signal.alarm(0)
        return DONE

    return guarded("w2vc-export", command)


def _read(source: Path, head: str) -> None:
    checkpoint = find_checkpoint(source)
    w2vc_model.read_config(checkpoint)
    model = w2vc_model.load(checkpoint, head)
    read_features(checkpoint, model.backbone.input_name)
    if head == "ctc":
        notes(checkpoint, read_ctc(checkpoint, int(model.outputs["logits"][-1])))
    with torch.no_grad():
        model(*model.example())


def _late(number: int, frame: object) -> None:
    raise TimeoutError(f"not done in {SECONDS} s")


def results(cases: list[Case], work: Path) -> Iterator[tuple[str, list[Attempt], str | None]]:
    """Make and read each of them; of each the name, how it ended, and what is wrong beside that."""
    baits = work / "baits"
    baits.mkdir()
    bait = tiny(*KINDS["ctc"], brief=True)[1] / "model.safetensors"
    for name in ("model.safetensors", "model.bin", "config.json"):
        shutil.copyfile(bait, baits / name)
    for case in cases:
        folder = Path(shutil.copytree(tiny(*KINDS[case.kind], brief=True)[1], work / "model"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            source = case.change(folder) or folder
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with warnings.catch_warnings():
            warnings.simplefilter("always")  # a warning of torch's is a line that is not ours
            ended = attempt(read, [source, KINDS[case.kind][2]], [folder], baits)
        megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        wrong = None
        if megabytes > MEGABYTES:
            wrong = f"took {megabytes:.0f} MB"
        elif len(ended.errors) > LONGEST_LINE or len(ended.errors.splitlines()) > 1:
            wrong = f"wrote {len(ended.errors)} characters, {ended.errors[:200]!r}"
        yield case.name, [ended], wrong
        shutil.rmtree(folder)


# Kind: architecture, norm of the front end, head.
KINDS = {
    "ctc": ("wav2vec2-stable", "group", "ctc"),
    "rotary": ("conformer-rotary", "layer", "ctc"),
    "bert": ("bert-relative_key", "log-mel", "ctc"),
    "words": ("wav2vec2", "group", "sequence-classification"),
    "speakers": ("conformer-relative", "layer", "xvector"),
}
RAW: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"model_type: wav2vec2",
    "cut": b'{"model_type": "wav2vec2", "hid',
    "a list": b"[1, 2]",
    "null": b"null",
    "deep lists": f'{{"vocab_size": {DEEP}}}'.encode(),
    "deep objects": ('{"a":' * 100_000 + "1" + "}" * 100_000).encode(),
    "40 deep": ('{"vocab_size":' + "[" * 40 + "]" * 40 + "}").encode(),
    "digits": f'{{"hidden_size": {DIGITS}, "sampling_rate": {DIGITS}}}'.encode(),
    "Latin-1": '{"é": 1}'.encode("latin-1"),
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "half a character": b'{"model_type": "\\ud800", "<pad>": 0, "\\udfff": 1}',
    "NUL": b'{"a": 1}\0',
    "17 MB": b'{"a": "' + b"x" * (17 << 20) + b'"}',
}
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 10**9, 10**99, float("nan"), float("inf"), 1e-300, "text", "x" * 100_000, "a\nb\x1b[31m",
    [], [[1]], {}, {"a": [1]}, [10**9] * 7, [1] * 5_000, 10**6, 999,
)  # fmt: skip
FIELDS = {
    "config.json": (
        "ctc", "model_type vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act "
        "layer_norm_eps add_adapter adapter_kernel_size adapter_stride num_adapter_layers output_hidden_size tdnn_dim "
        "transformers_version feat_extract_norm feat_extract_activation conv_dim conv_stride conv_kernel conv_bias "
        "num_conv_pos_embeddings num_conv_pos_embedding_groups adapter_attn_dim do_stable_layer_norm tokenizer_class",
    ),
    "config.json, rotary": ("rotary", "position_embeddings_type rotary_embedding_base conv_depthwise_kernel_size"),
    "config.json, bert": (
        "bert", "left_max_position_embeddings right_max_position_embeddings feature_projection_input_dim adapter_act "
        "use_intermediate_ffn_before_adapter hidden_size",
    ),
    "config.json, words": ("words", "id2label num_labels problem_type use_weighted_layer_sum classifier_proj_size"),
    "config.json, speakers": ("speakers", "tdnn_kernel tdnn_dilation xvector_output_dim"),
    "preprocessor_config.json": (
        "ctc", "feature_extractor_type sampling_rate feature_size padding_side padding_value do_normalize "
        "return_attention_mask processor_class",
    ),
    "preprocessor_config.json, bert": ("bert", "sampling_rate num_mel_bins stride padding_value"),
    "tokenizer_config.json": (
        "ctc", "tokenizer_class target_lang pad_token unk_token word_delimiter_token replace_word_delimiter_char "
        "do_lower_case extra_special_tokens added_tokens_decoder",
    ),
    "vocab.json": ("ctc", "<pad> | a"),
}  # fmt: skip
EACH = 3  # odd values for each field; all of them in turn


def edit(file: str, **values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps((json.loads(path.read_text()) if path.is_file() else {}) | values))

    return change


def with_processor(folder: Path) -> None:
    """As transformers 5 may write it: one file for both parts."""
    values = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"feature_extractor": values}))


def put(file: str, data: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        if file == "processor_config.json":
            (folder / "preprocessor_config.json").unlink()
        if file in ("special_tokens_map.json", "added_tokens.json"):
            (folder / "tokenizer_config.json").unlink()
        if file == "model.safetensors.index.json":
            (folder / "model.safetensors").rename(folder / "a.safetensors")
        (folder / file).write_bytes(data)

    return change


def documents() -> Iterator[Case]:
    """Every document, damaged as a whole and field by field."""
    for file in (
        "config.json", "preprocessor_config.json", "processor_config.json", "tokenizer_config.json", "vocab.json",
        "special_tokens_map.json", "added_tokens.json", "model.safetensors.index.json",
    ):  # fmt: skip
        for name, data in RAW.items():
            yield Case(f"{file}: {name}", "ctc", put(file, data))
    turn = 0
    for file, (kind, names) in FIELDS.items():
        for name in names.split():
            for _ in range(EACH):
                value = ODD[turn % len(ODD)]
                turn += 1
                yield Case(f"{file}: {name} {str(value)[:20]!r}", kind, edit(file.partition(",")[0], **{name: value}))
    for rate in (0, 1, 10**9, 10**308):
        yield Case(f"sampling rate {rate}", "bert", edit("preprocessor_config.json", sampling_rate=rate))
    for name in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_conv_pos_embeddings", "vocab_size"):
        for size in (10**6, 10**9, 10**18):
            yield Case(f"{name} {size}", "ctc", edit("config.json", **{name: size}))
    for layers in (2, 999):
        yield Case(f"{layers} layers", "ctc", edit("config.json", num_hidden_layers=layers))
    yield Case("strides that take years", "ctc", edit("config.json", conv_stride=[10**6] * 2, conv_kernel=[1, 1]))
    yield Case("vocabulary cut", "ctc", edit("vocab.json", **dict.fromkeys("abcdefghijkl", 0)))
    yield Case("processor_config.json as it should be", "ctc", with_processor)
    for file in ("config.json", "preprocessor_config.json", "vocab.json", "model.safetensors"):
        yield Case(f"no {file}", "ctc", lambda folder, file=file: (folder / file).unlink())
        yield Case(f"{file} is a directory", "ctc", lambda folder, file=file: to_directory(folder / file))


def to_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


# ----- names and other things in place of a checkpoint


def index(names: Any, file: str = "model.safetensors") -> Callable[[Path], None]:
    """An index whose tensors are all where ``names`` says."""

    def apply(folder: Path) -> None:
        held = list(load_file(folder / "model.safetensors"))
        (folder / "model.safetensors").rename(folder / "shard.safetensors")
        values = dict(zip(held, names * len(held))) if isinstance(names, list) else names
        (folder / f"{file}.index.json").write_text(json.dumps({"weight_map": values}))

    return apply


def out(name: str) -> Callable[[Path], None]:
    """An index that names a bait by its whole path."""
    return lambda folder: index([str(folder.parent / "baits" / name)])(folder)


def indices() -> Iterator[Case]:
    """Indices of shards, and where they lead."""
    for name in (
        "shard.safetensors", "./shard.safetensors", "../baits/model.safetensors", "../baits/model.bin", "/etc/passwd",
        "../../etc/passwd", "a/../../baits/model.safetensors", "../model/shard.safetensors", "..", ".", "", "/",
        "config.json", "model.safetensors.index.json", "x" * 5_000, "a/" * 2_000, "a\0b", "a\nb", "\ud800", "gone.bin",
        "shard.safetensors/", "//etc/passwd", "~/.bashrc", "file:///etc/passwd", 5, None, True, ["a"], {"a": 1},
    ):  # fmt: skip
        yield Case(f"shard {str(name)[:30]!r}", "ctc", index([name]))
    for name in ("model.safetensors", "model.bin", "config.json"):
        yield Case(f"shard is the bait {name}", "ctc", out(name))
    for values in (None, 5, "text", {}, {"a": {}}, {str(i): f"{i}.safetensors" for i in range(10_000)}):
        yield Case(f"index {str(values)[:20]}", "ctc", index(values))
    yield Case("index of pickles", "ctc", index(["../baits/model.bin"], "pytorch_model.bin"))


def alone(name: str, make: Callable[[Path], Any]) -> Case:
    """A file in place of the directory."""

    def apply(folder: Path) -> Path:
        make(folder / name)
        return folder / name

    return Case(f"CHECKPOINT is {name[:40]!r}", "ctc", apply)


def saved(value: Any, zipped: bool = True) -> Callable[[Path], None]:
    return lambda path: torch.save(value, path, _use_new_zipfile_serialization=zipped)


def files() -> Iterator[Case]:
    """What is given in place of a checkpoint's directory."""
    fairseq = {"args": None, "cfg": {"task": "audio"}, "model": {"w2v_encoder.w2v_model.mask_emb": torch.zeros(4)}}
    yield alone("fairseq.pt", saved(fairseq))
    yield alone("fairseq-old.pt", saved(fairseq, zipped=False))
    yield alone("lightning.ckpt", saved({"state_dict": {}, "pytorch-lightning_version": "2.0"}))
    yield alone("runs.pt", saved(Runs()))
    yield alone("pickle.pkl", lambda path: path.write_bytes(pickle.dumps(Runs())))
    yield alone("model.safetensors", lambda path: None)
    yield alone("broken.safetensors", lambda path: path.write_bytes(b"x"))
    yield alone("empty.pt", lambda path: path.touch())
    yield alone("notes.txt", lambda path: path.write_text("hello"))
    yield alone("archive.zip", lambda path: zipfile.ZipFile(path, "w").close())
    yield alone("archive.pt", lambda path: path.write_bytes(zip_bomb()))
    yield alone("pipe", os.mkfifo)
    yield alone("gone", lambda path: None)
    yield alone("x" * 5_000, lambda path: None)
    yield alone("a\nb", lambda path: path.write_text("hello"))
    yield Case("CHECKPOINT is /dev/zero", "ctc", lambda folder: Path("/dev/zero"))
    yield Case("CHECKPOINT is empty", "ctc", lambda folder: (shutil.rmtree(folder), folder.mkdir())[1])


def zip_bomb() -> bytes:
    """A hundred megabytes of a pickle that are a tenth of one in the archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"(" * 100_000_000)
    return buffer.getvalue()


def everything() -> list[Case]:
    """All of them."""
    return [*documents(), *weights(), *pickles(), *indices(), *files()]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as work:
        sys.exit(tally("checkpoints", results(everything(), Path(work))))
