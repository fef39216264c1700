"""The errors of this package.

ModelError(ValueError)      what the caller gave is not a model we can build
  CheckpointError           a file of the checkpoint is missing, damaged or of the wrong shape
  ConfigError               config.json asks for something that is not supported
  HeadError                 the checkpoint does not carry the requested head
"""

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


def listed(names: Sequence[str]) -> str:
    """Names for a message: the first ten, and how many more there are."""
    shown = ", ".join(names[:NAMED_AT_MOST])
    more = len(names) - NAMED_AT_MOST
    return f"{shown} and {more} more" if more > 0 else shown
