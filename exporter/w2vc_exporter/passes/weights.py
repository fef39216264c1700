"""What the passes share in reading weights."""

from __future__ import annotations

import onnx_ir as ir


def unmap(tensor: ir.TensorProtocol) -> None:
    """Let go of the pages of a weight that lies in a file: read in turn, they need not all be in memory."""
    if isinstance(tensor, ir.ExternalTensor):
        tensor.release()
