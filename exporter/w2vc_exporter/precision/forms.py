"""What a graph is written for: the form that each provider computes fastest, measured by ``benchmarks/compare.py``."""

from __future__ import annotations

from dataclasses import dataclass, replace

from w2vc_runtime.bundle import Budget
from w2vc_runtime.verify.verdict import BUDGETS


@dataclass(frozen=True)
class Form:
    """How a graph is written.

    products: whether the convolutions of the front end become products, channels last (`ConvolutionsToProducts`).
    OpenVINO transposes around convolutions wherever lengths vary; ONNX Runtime is as fast with either, and GPUs have
    convolutions of their own.
    static: whether int8 has scales measured beforehand (`QuantizeStatic`), or finds them in what comes by
    (`QuantizeMatMul`), for which ONNX Runtime's CPU provider has kernels and no other has. The latter always comes with
    ``products``: half of the arithmetic of a short clip is in the front end.
    inside: whether norms and softmax take and give half precision and keep fp32 inside, as kernels of CUDA do
    (`ReducePrecision`).
    steady: whether int8 comes with `SteadySums`: CPUs add in another order for another length, and bytes make it count.
    session: the provider that the graph is judged on besides ONNX Runtime's on the CPU; None for no other.
    """

    products: bool = False
    static: bool = False
    inside: bool = False
    steady: bool = True
    session: str | None = None

    def budget(self, precision: str) -> Budget:
        """What a precision may cost; where sums are not steady, a batch may change int8 as much as it may bf16."""
        budget = BUDGETS[precision]
        if precision != "int8" or self.steady:
            return budget
        return replace(budget, alone=BUDGETS["bf16"].alone, same_alone=BUDGETS["bf16"].same_alone)


# None: no provider in particular.
FORMS: dict[str | None, Form] = {
    None: Form(),
    "cpu": Form(),
    "cuda": Form(static=True, inside=True, steady=False),
    "tensorrt": Form(static=True, steady=False),
    "openvino": Form(products=True, static=True, session="openvino"),
}
