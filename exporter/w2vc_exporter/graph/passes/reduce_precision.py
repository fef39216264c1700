"""Rewrite a float32 graph to fp16 or bf16, keeping in fp32 what those cannot hold.

1. An operator that normalises or accumulates stays in fp32 (`KEPT`). So does an element-wise operator that only feeds
   a statistic, directly or through data moves (the angles of sine and cosine), and one that continues a statistic (the
   arithmetic of a masked norm, up to the next convolution, product or activation). What feeds a softmax does not:
   scores, position bias and mask are added in half precision, since a bias of [heads, frames, frames] in fp32 would be
   the largest tensor of the graph.
   With ``inside``, layer norms and softmax take and give half precision, for a backend whose kernels keep fp32 inside:
   casts around them are kernels of their own there.
2. An operator with a constant beyond the half range stays in fp32, and so does one that the caller names.
3. An operator that only moves data takes the precision of what it moves.
4. Everything else computes in half precision. Casts are put where the two meet, one for each value; weights are stored
   once, in the precision that uses them; graph inputs and outputs stay float32.

    x -> LayerNormalization -> MatMul(W) -> y
    ->  x -> LayerNormalization -> Cast(half) -> MatMul(half W) -> Cast(float) -> y
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

import numpy as np
import onnx_ir as ir

from .weights import unmap

# Normalisations and softmax, and what sums over many values or leaves the range of half precision.
NORMS = frozenset({"LayerNormalization", "InstanceNormalization", "GroupNormalization"})
SOFTMAX = frozenset({"Softmax", "LogSoftmax"})
# Whose inputs are made in half precision.
FED_HALF = NORMS | SOFTMAX
STATISTICS = frozenset({
    "ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2", "ReduceSumSquare", "Sqrt", "Reciprocal", "Pow", "Exp", "Log",
    "Sin", "Cos", "Div",
})  # fmt: skip
KEPT = NORMS | SOFTMAX | STATISTICS
INSIDE = SOFTMAX | {"LayerNormalization"}
ELEMENTWISE = frozenset({"Add", "Sub", "Mul", "Where", "Neg", "Cast", "Max", "Min", "Clip", "Abs"})
MOVES = frozenset({
    "Reshape", "Transpose", "Slice", "Concat", "Split", "Squeeze", "Unsqueeze", "Expand", "Gather", "Identity", "Pad",
    "Flatten",
})  # fmt: skip
FLOAT = ir.DataType.FLOAT


class ReducePrecision(ir.passes.InPlacePass):
    """The rewrite above. keep: names of nodes that stay. inside: see there.

    After a call, ``kept`` counts what computes in fp32, and ``names`` are the nodes that do.
    """

    def __init__(
        self, dtype: ir.DataType = ir.DataType.FLOAT16, keep: Collection[str] = (), inside: bool = False
    ) -> None:
        super().__init__()
        self.dtype = dtype
        self.operators = KEPT - INSIDE if inside else KEPT
        self.keep = frozenset(keep)
        self.kept: Counter[str] = Counter()
        self.names: frozenset[str] = frozenset()

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        nodes = [node for node in graph if _is_float(node)]
        largest = float(np.finfo(np.float16 if self.dtype == ir.DataType.FLOAT16 else np.float32).max)
        full = _full_precision(nodes, largest, self.keep, self.operators)
        rewrite = _Rewrite(graph, self.dtype)
        for node in nodes:
            rewrite.node(node, full=node in full)
        rewrite.outputs()
        rewrite.drop_unused()
        self.names = frozenset(node.name for node in full if node.name)
        self.kept = Counter(node.op_type for node in nodes if node in full and node.op_type not in MOVES)
        return ir.passes.PassResult(model, modified=rewrite.modified)


def _is_float(node: ir.Node) -> bool:
    return any(value is not None and value.dtype == FLOAT for value in (*node.inputs, *node.outputs))


def _full_precision(
    nodes: list[ir.Node], largest: float, keep: Collection[str], operators: Collection[str]
) -> set[ir.Node]:
    """The nodes that stay in fp32. operators: those that do wherever they are."""
    full = {node for node in nodes if node.op_type in operators or node.name in keep or _overflows(node, largest)}
    statistic = {node for node in nodes if node.op_type in STATISTICS}
    for node in nodes:  # in topological order: forwards along statistics
        if node.op_type in ELEMENTWISE | MOVES and any(producer in statistic for producer in _producers(node)):
            statistic.add(node)
            full.add(node)
    wanted = set(full)
    for node in reversed(nodes):  # backwards from what stays, through what moves data on the way there
        if node.op_type in ELEMENTWISE | MOVES:
            users = [user for output in node.outputs for user, _ in output.uses()]
            if users and all(user in wanted and user.op_type not in FED_HALF for user in users):
                wanted.add(node)
    full |= {node for node in wanted if node.op_type not in MOVES}
    for node in nodes:  # data moves follow what they move
        if node.op_type in MOVES and node not in full:
            producers = list(_producers(node))
            if producers and all(
                producer in full and producer.op_type not in NORMS | SOFTMAX for producer in producers
            ):
                full.add(node)
    return full


def _producers(node: ir.Node) -> Iterator[ir.Node]:
    for value in node.inputs:
        if value is not None and value.dtype == FLOAT and (producer := value.producer()) is not None:
            yield producer


def _overflows(node: ir.Node, largest: float) -> bool:
    return any(
        _magnitude(value.const_value) > largest for value in node.inputs if value is not None and _is_weight(value)
    )


def _is_weight(value: ir.Value) -> bool:
    return value.dtype == FLOAT and value.const_value is not None


def _magnitude(tensor: ir.TensorProtocol | None) -> float:
    assert tensor is not None
    largest = float(np.abs(tensor.numpy()).max(initial=0.0))
    unmap(tensor)
    return largest


class _Rewrite:
    """Puts casts and reduced constants into a graph."""

    def __init__(self, graph: ir.Graph, dtype: ir.DataType) -> None:
        self.graph = graph
        self.dtype = dtype
        self.casts: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}
        self.reduced: dict[ir.Value, ir.Value] = {}
        self.actual: dict[ir.Value, ir.DataType] = {}
        self.modified = False

    def node(self, node: ir.Node, full: bool) -> None:
        wanted = FLOAT if full else self.dtype
        for index, value in enumerate(node.inputs):
            if (value is not None and value.dtype == FLOAT) or value in self.actual:
                node.replace_input_with(index, self.value(value, wanted))
        for output in node.outputs:
            if output.dtype == FLOAT:
                self.actual[output] = wanted
                if not full:
                    output.dtype = self.dtype
                    self.modified = True
        if node.op_type == "Cast" and not full and node.attributes["to"].as_int() == FLOAT:
            node.attributes["to"] = ir.AttrInt64("to", int(self.dtype))

    def value(self, value: ir.Value, wanted: ir.DataType) -> ir.Value:
        """``value`` in the wanted precision: itself, a reduced constant, or one cast for all its users."""
        if self.actual.get(value, FLOAT) == wanted:
            return value
        if value.const_value is not None:
            return self.constant(value)
        if (value, wanted) not in self.casts:
            cast = ir.node("Cast", [value], {"to": int(wanted)})
            cast.outputs[0].name = f"{value.name}_{wanted.name.lower()}"
            cast.outputs[0].dtype = wanted
            cast.outputs[0].shape = value.shape
            producer = value.producer()
            if producer is not None:
                self.graph.insert_after(producer, cast)
            else:
                self.graph.insert_before(self.graph[0], cast)
            self.casts[value, wanted] = cast.outputs[0]
            self.modified = True
        return self.casts[value, wanted]

    def constant(self, value: ir.Value) -> ir.Value:
        if value not in self.reduced:
            assert value.const_value is not None
            array = value.const_value.numpy().astype(self.dtype.numpy())
            unmap(value.const_value)
            name = f"{value.name}_{self.dtype.name.lower()}"
            tensor = ir.Tensor(array, name=name)
            reduced = ir.Value(name=name, type=ir.TensorType(self.dtype), shape=value.shape, const_value=tensor)
            self.graph.register_initializer(reduced)
            self.reduced[value] = reduced
            self.modified = True
        return self.reduced[value]

    def outputs(self) -> None:
        """Give graph outputs back their name and type."""
        for index, output in enumerate(self.graph.outputs):
            if self.actual.get(output, FLOAT) != FLOAT:
                name = output.name
                output.name = f"{name}_{self.dtype.name.lower()}"
                restored = self.value(output, FLOAT)
                restored.name = name
                self.graph.outputs[index] = restored

    def drop_unused(self) -> None:
        for name, value in list(self.graph.initializers.items()):
            if not value.uses() and not value.is_graph_output():
                del self.graph.initializers[name]
                value.const_value = None  # whoever still knows the value need not hold its weights
                self.modified = True
