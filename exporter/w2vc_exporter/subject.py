"""What is exported: a checkpoint, read with all that the manifest says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import w2vc_model
from w2vc_model import SpeechConfig, SpeechModel
from w2vc_model.checkpoint import adapter_file
from w2vc_model.masks import Convolution, fewest_inputs, receptive_field
from w2vc_model.weights import weight_files
from w2vc_runtime.bundle import Ctc, Frames, Interface, Labels, Source, Tensor
from w2vc_runtime.bundle.interface import Arrays
from w2vc_runtime.decoding import GreedyDecoder
from w2vc_runtime.verify.cases import feed
from w2vc_runtime.verify.parity import Decode

from .certificate.report import Facts
from .checkpoint.hub import find_checkpoint
from .checkpoint.recipes import read_features
from .checkpoint.tokenizers import read_ctc
from .errors import ExportError
from .gate.corpus import Corpus, read_corpus
from .options import ExportOptions
from .staging import source_hash


@dataclass(frozen=True)
class Subject:
    """A checkpoint with a head.

    options: with a head. model: in PyTorch. interface: how its
    graph will be fed and read. files: its configuration, then its weights.
    """

    options: ExportOptions
    checkpoint: Path
    model: SpeechModel
    interface: Interface
    ctc: Ctc | None
    labels: Labels | None
    files: tuple[Path, ...]

    @property
    def facts(self) -> Facts:
        """What the report says of the model beside its manifest."""
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        return Facts(self.model.config.num_hidden_layers, self.model.config.hidden_size, parameters)

    @property
    def source(self) -> Source:
        """The checkpoint as the manifest has it."""
        return Source(self.options.source.resolve().name, source_hash(self.files))

    @property
    def weight_bytes(self) -> int:
        """The size of the files with weights."""
        return sum(path.stat().st_size for path in self.files[1:])

    @property
    def decode(self) -> Decode | None:
        """From logits to text, as the runtime has it; None where the head gives no text."""
        if self.ctc is None:
            return None
        decoder = GreedyDecoder(self.ctc)
        return lambda logits: decoder.decode(logits).text

    def recordings(self, rated: bool) -> Corpus | None:
        """The recordings to judge on. rated: whether the budget names the word error rate."""
        audio, head = self.options.audio, self.options.task
        corpus = None if audio is None else read_corpus(audio, self.interface.sampling_rate, self.interface.shortest)
        transcribed = corpus is not None and corpus.transcribed
        if transcribed and head != "ctc":
            raise ExportError(
                f"{audio} has transcripts, and head {head!r} gives no text; "
                "take head 'ctc', or a directory without transcripts"
            )
        if rated and not transcribed:
            fault = "there is no --audio DIR" if audio is None else f"{audio} has none"
            raise ExportError(
                f"a budget for wer needs recordings with transcripts, and {fault}; give them or leave wer out"
            )
        return corpus

    def calibration(self) -> list[Arrays]:
        """What the graph takes of each recording to calibrate on; empty where none are given."""
        if self.options.calibrate is None:
            return []
        rate, shortest = self.interface.sampling_rate, self.interface.shortest
        clips = read_corpus(self.options.calibrate, rate, shortest, transcripts=False).clips
        return [feed(self.interface, [clip.samples]) for clip in clips]


def find_subject(options: ExportOptions) -> tuple[Path, SpeechConfig, ExportOptions]:
    """The checkpoint that the options name, its configuration, and the options with a head: its own by default."""
    checkpoint = find_checkpoint(options.source, options.target_lang)
    config = w2vc_model.read_config(checkpoint)
    return checkpoint, config, options.with_head(config.architectures)


def read_subject(checkpoint: Path, config: SpeechConfig, options: ExportOptions) -> Subject:
    """Read a checkpoint; raise `ExportError` or `ModelError` where it cannot be exported as the options say."""
    states = options.hidden_states_of(config.num_hidden_layers)
    model = w2vc_model.load(checkpoint, options.task, options.padding, options.target_lang, states)
    files = [checkpoint / "config.json", *weight_files(checkpoint)]
    if options.target_lang is not None:
        files.append(adapter_file(checkpoint, options.target_lang))
    ctc = None
    if options.task == "ctc":
        ctc = read_ctc(checkpoint, int(model.outputs["logits"][-1]), options.target_lang)
    labels = None if model.problem_type is None else Labels(model.config.labels, model.problem_type)
    return Subject(options, checkpoint, model, _interface(checkpoint, model, options), ctc, labels, tuple(files))


def _interface(checkpoint: Path, model: SpeechModel, options: ExportOptions) -> Interface:
    features = read_features(checkpoint, model.backbone.input_name)
    inputs = tuple(Tensor(name, dtype, shape) for name, (dtype, shape) in model.inputs.items())
    outputs = tuple(Tensor(name, "float32", shape) for name, shape in model.outputs.items())
    if features.shape != inputs[0].shape:
        raise ExportError(
            f"{checkpoint}: the preprocessor gives {features.input} {list(features.shape)}, "
            f"and the model takes {list(inputs[0].shape)}; they belong to different checkpoints"
        )
    front = tuple(Convolution(*each) for each in features.convolutions)
    frames = _frames(model, front, (*inputs, *outputs))
    return Interface(features, options.padding, inputs, outputs, frames, fewest_inputs(front, model.shortest))


def _frames(model: SpeechModel, front: tuple[Convolution, ...], tensors: Sequence[Tensor]) -> dict[str, Frames]:
    """Of each time axis that the shapes name."""
    named = {axis for tensor in tensors for axis in tensor.shape}
    return {axis: Frames(*receptive_field(front + chain)) for axis, chain in model.axes.items() if axis in named}
