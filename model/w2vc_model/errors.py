"""The errors of this package.

ModelError(ValueError)      what the caller gave is not a model we can build
  CheckpointError           a file of the checkpoint is missing, damaged or of the wrong shape
  ConfigError               config.json asks for something that is not supported
  HeadError                 the checkpoint does not carry the requested head
"""

import reprlib
from collections.abc import Sequence


class ModelError(ValueError):
    """Root of the errors of ``w2vc_model``. The message is one line that says what is wrong and what would be right."""


class CheckpointError(ModelError):
    """A file of the checkpoint is missing, damaged, or its tensors do not fit the configuration."""


class ConfigError(ModelError):
    """``config.json`` holds a value that is not supported."""


class HeadError(ModelError):
    """The checkpoint does not carry the weights of the requested head."""


NAMED_AT_MOST = 10
LONGEST_TEXT = 100
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = LONGEST_TEXT


def listed(names: Sequence[str]) -> str:
    """Names for a message: the first ten, and how many more there are."""
    told = ", ".join(map(name_of, names[:NAMED_AT_MOST]))
    more = len(names) - NAMED_AT_MOST
    return f"{told} and {more} more" if more > 0 else told


def name_of(text: str) -> str:
    """A name out of a file as a message can have it: as it is, or quoted where it is long or would not show."""
    return text if text and text.isprintable() and len(text) <= LONGEST_TEXT else shown(text)


def shown(value: object) -> str:
    """A value out of a file as a message can have it: as Python writes it, cut where it is long."""
    return _SHORT.repr(value)
