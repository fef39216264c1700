"""Language models as users have them: a file, or the directory of Hugging Face's ``Wav2Vec2ProcessorWithLM``."""

from __future__ import annotations

import importlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2vc_runtime.documents.reader import DocumentError, read_bytes, read_document
from w2vc_runtime.errors import MissingExtraError, OptionError

from .native import extension

# Where a bundle has its language model, if it has one.
LANGUAGE_MODEL = "lm"
ALPHABET, DIRECTORY = "alphabet.json", "language_model"
ATTRIBUTES, UNIGRAMS = "attrs.json", "unigrams.txt"
COMPILED = "model.lm"
MOST_UNIGRAM_BYTES = 1 << 30
KENLM_MAGIC = b"mmap lm http://kheafield.com/code"


@dataclass(frozen=True)
class LanguageModelFiles:
    """An n-gram model and what was stored with it. None: not stored.

    model: ARPA, plain or gzip, compiled (`pack`), or a binary file of KenLM. unigrams: the words to expect; by default
    those of the model. labels: what the tokens are called in its words. The others are pyctcdecode's.
    """

    model: Path
    unigrams: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    alpha: float | None = None
    beta: float | None = None
    unk_score_offset: float | None = None
    score_boundary: bool | None = None


@dataclass(frozen=True)
class LanguageModel:
    """A language model, loaded: any number of decoders share it. opened: of the extension."""

    files: LanguageModelFiles
    opened: Any


def load_language_model(source: str | os.PathLike[str] | LanguageModelFiles | LanguageModel) -> LanguageModel:
    """The model of a path as `find_language_model` reads it, or what was found or loaded already.

    Raises what `find_language_model` and `open_language_model` raise.
    """
    if isinstance(source, LanguageModel):
        return source
    files = source if isinstance(source, LanguageModelFiles) else find_language_model(source)
    return LanguageModel(files, open_language_model(files))


def find_language_model(path: str | os.PathLike[str]) -> LanguageModelFiles:
    """The model that a path names; raise `OptionError`.

    path: a file; a directory with ``alphabet.json`` and ``language_model/``, as a processor of Hugging Face or a bundle
    has them; or such a ``language_model/`` itself.
    """
    found = Path(path)
    if found.is_file():
        return LanguageModelFiles(found)
    if not found.is_dir():
        raise OptionError(f"{path}: there is no language model; expected a file, or a directory with {DIRECTORY}/")
    try:
        labels = _labels(found / ALPHABET) if (found / ALPHABET).is_file() else None
        directory = found / DIRECTORY if (found / DIRECTORY).is_dir() else found
        return _read_directory(directory, labels)
    except DocumentError as error:
        raise OptionError(f"{path}: {error}") from error


def _read_directory(directory: Path, labels: tuple[str, ...] | None) -> LanguageModelFiles:
    hidden = (".", "__")
    models = sorted(
        file
        for file in directory.iterdir()
        if file.name not in (ALPHABET, ATTRIBUTES, UNIGRAMS) and not file.name.startswith(hidden) and file.is_file()
    )
    if len(models) != 1:
        names = ", ".join(file.name for file in models) or "none"
        raise DocumentError(f"{directory.name}/ has these models: {names}; expected one file")
    attributes = _attributes(directory / ATTRIBUTES) if (directory / ATTRIBUTES).is_file() else {}
    unigrams = None
    if (directory / UNIGRAMS).is_file():
        try:
            unigrams = tuple(read_bytes(directory / UNIGRAMS, MOST_UNIGRAM_BYTES).decode("utf-8").splitlines())
        except UnicodeDecodeError as error:
            raise DocumentError(f"{UNIGRAMS} is not UTF-8; expected a word a line") from error
    return LanguageModelFiles(models[0], unigrams, labels, **attributes)


def _labels(file: Path) -> tuple[str, ...]:
    content = read_document(file)
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise DocumentError(f"{ALPHABET} has no labels; expected what pyctcdecode writes")
    return tuple(labels)


def _attributes(file: Path) -> dict[str, Any]:
    content = read_document(file)
    kinds = {"alpha": float, "beta": float, "unk_score_offset": float, "score_boundary": bool}
    if not isinstance(content, dict) or set(content) != set(kinds):
        raise DocumentError(f"{ATTRIBUTES} is not what pyctcdecode writes; expected {', '.join(kinds)}")
    for name, kind in kinds.items():
        value = content[name]
        numeric = kind is float and isinstance(value, (int, float)) and not isinstance(value, bool)
        if not numeric and not (kind is bool and isinstance(value, bool)):
            raise DocumentError(f"{name} in {ATTRIBUTES} is {value!r}; expected {_kind_name(kind)}")
    return {name: kinds[name](content[name]) for name in kinds}


def _kind_name(kind: type) -> str:
    return "true or false" if kind is bool else "a number"


def open_language_model(files: LanguageModelFiles) -> Any:
    """The model of the extension; raise `OptionError` on a file that is none, `MissingExtraError` on one of KenLM."""
    native = extension("a language model")
    try:
        if _is_kenlm(files.model):
            return native.KenlmModel(_kenlm().Model(str(files.model)))
        return native.LanguageModel(str(files.model))
    except (native.DecodingError, OSError, RuntimeError) as error:
        raise OptionError(str(error).splitlines()[0]) from error


def _is_kenlm(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(len(KENLM_MAGIC)) == KENLM_MAGIC
    except OSError:
        return False  # which the extension will say


def _kenlm() -> Any:
    try:
        return importlib.import_module("kenlm")
    except ImportError as error:
        raise _KenlmMissing() from error


class _KenlmMissing(MissingExtraError):
    def __init__(self) -> None:
        ImportError.__init__(
            self, "a binary file of KenLM needs kenlm, which is not installed; pip install kenlm, or give the ARPA file"
        )


def pack(files: LanguageModelFiles, target: Path) -> None:
    """Write a model into a new directory as `find_language_model` reads it, compiled, so that it opens at once."""
    native = extension("a language model")
    if _is_kenlm(files.model):
        raise OptionError(f"{files.model} is a binary file of KenLM; expected the ARPA file that it was built from")
    directory = target / DIRECTORY
    directory.mkdir(parents=True)
    try:
        native.LanguageModel(str(files.model)).save(str(directory / COMPILED))
    except native.DecodingError as error:
        shutil.rmtree(target)
        raise OptionError(str(error)) from error
    attributes = {
        name: getattr(files, name)
        for name in ("alpha", "beta", "unk_score_offset", "score_boundary")
        if getattr(files, name) is not None
    }
    if attributes:
        (directory / ATTRIBUTES).write_text(json.dumps(attributes) + "\n", "utf-8")
    if files.unigrams is not None:
        (directory / UNIGRAMS).write_text("".join(f"{word}\n" for word in files.unigrams), "utf-8")
    if files.labels is not None:
        alphabet = {"labels": list(files.labels), "is_bpe": any(label.startswith("▁") for label in files.labels)}
        (target / ALPHABET).write_text(json.dumps(alphabet, ensure_ascii=False) + "\n", "utf-8")
