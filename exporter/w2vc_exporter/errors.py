"""The errors of this package, on top of those of ``w2vc_runtime``.

W2vcError
  ExportError(ValueError)       the export was asked for something that cannot be done
    RecipeError                 a preprocessor or tokenizer file is missing or not supported
  RejectedError(RuntimeError)   the graph failed its verification; nothing was published
"""

from w2vc_runtime.errors import W2vcError


class ExportError(W2vcError, ValueError):
    """The export was asked for something that cannot be done."""


class RecipeError(ExportError):
    """A preprocessor or tokenizer file is missing, damaged or not supported."""


class RejectedError(W2vcError, RuntimeError):
    """The graph does not compute what PyTorch computes; nothing was published."""
