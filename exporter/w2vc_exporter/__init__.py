"""Export Wav2Vec2-family checkpoints to verified ONNX bundles.

from w2vc_exporter import ExportOptions, export
result = export(ExportOptions("my-checkpoint", head="ctc", precision="fp16"))
"""

from .api import export
from .errors import ExportError, RecipeError, RejectedError
from .options import ExportOptions

__all__ = ["ExportError", "ExportOptions", "RecipeError", "RejectedError", "export"]
