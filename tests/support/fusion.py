"""What TensorRT-RTX fused, as its plans tell: they hold the source of their kernels."""

from __future__ import annotations

import re

KERNEL = re.compile(rb"__global__[^;{]{0,200}?_gemm_mha_v2")


def fused_attention(plan: bytes) -> int:
    """Kernels that are a whole attention: scores, softmax and values. One a layer and profile where all is fused."""
    return len(KERNEL.findall(plan))
