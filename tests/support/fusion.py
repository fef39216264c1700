"""What TensorRT-RTX fused, as its plans tell: they hold the source of their kernels."""

from __future__ import annotations

import re
from collections import Counter

KERNEL = re.compile(rb"__global__[^;{]{0,200}?_gemm_mha_v2")
ANY = re.compile(rb"__global__ void (?:__launch_bounds__\([^)]*\) )?(\w+?)((?:_com)?(?:_vec)?)\(")


def fused_attention(plan: bytes) -> int:
    """Kernels that are a whole attention: scores, softmax and values. One a layer and profile where all is fused."""
    return len(KERNEL.findall(plan))


def kernels(plan: bytes) -> int:
    """Kernels whose source a plan holds: all but products and convolutions. What is there in variants counts once."""
    variants: dict[bytes, Counter[bytes]] = {}
    for name, variant in ANY.findall(plan):
        variants.setdefault(name, Counter())[variant] += 1
    return sum(max(each.values()) for each in variants.values())
