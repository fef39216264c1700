"""The errors of this package.

ModelError(ValueError)      what the caller gave is not a model we can build
  CheckpointError           a file of the checkpoint is missing, damaged or of the wrong shape
  ConfigError               config.json asks for something that is not supported
  HeadError                 the checkpoint does not carry the requested head
"""


class ModelError(ValueError):
    """Root of the errors of ``w2vc_model``. The message is one line that says what is wrong and what would be right."""


class CheckpointError(ModelError):
    """A file of the checkpoint is missing, damaged, or its tensors do not fit the configuration."""


class ConfigError(ModelError):
    """``config.json`` holds a value that is not supported."""


class HeadError(ModelError):
    """The checkpoint does not carry the weights of the requested head."""
