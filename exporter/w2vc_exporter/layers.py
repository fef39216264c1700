"""Which layer of the encoder each node of a graph belongs to: written into the node when it is traced.

The metadata entry ``layer`` of a node is ``front`` (it leads to the layers), the number of its layer, from 1, or
``head`` (what follows the layers). Names of nodes and weights say nothing reliable: onnxscript's optimiser merges
weights that are equal, as those of untrained norms are.
"""

from __future__ import annotations

import re

import onnx_ir as ir

LAYER = "layer"
FRONT, HEAD = "front", "head"
# Where torch.onnx says which module a node was traced in, and how a module in a layer is called there.
SCOPES = "pkg.torch.onnx.name_scopes"
IN_LAYER = re.compile(r"\bbackbone\.encoder\.layers\.(\d+)\b")


def labels(graph: ir.Graph) -> dict[ir.Node, str]:
    """The layer of every node of a graph as torch.onnx traced it.

    Some nodes have no module, since the optimiser made them. They belong to the layer whose values they read and pass
    on; what reads no layer's values is ``front``, and what no layer reads is ``head``.
    """
    own: dict[ir.Node, int] = {}
    deepest: dict[ir.Node, int] = {}  # the last layer that a node depends on, its own among them; 0 for none
    nodes = list(graph)  # in topological order
    for node in nodes:
        if found := IN_LAYER.search(node.metadata_props.get(SCOPES, "")):
            own[node] = int(found[1]) + 1
        made = (value.producer() for value in node.inputs if value is not None)
        deepest[node] = own.get(node) or max((deepest[each] for each in made if each is not None), default=0)
    leading = set(own)  # to a layer
    for node in reversed(nodes):
        if any(user in leading for value in node.outputs for user, _ in value.uses()):
            leading.add(node)
    return {node: str(deepest[node] or FRONT) if node in leading else HEAD for node in nodes}


def inherit(graph: ir.Graph) -> None:
    """Give every node that a pass made the layer of who reads it; at the end of the graph, of what it reads."""
    for node in reversed(list(graph)):
        if LAYER not in node.metadata_props:
            readers = [user for value in node.outputs for user, _ in value.uses()]
            made = [value.producer() for value in node.inputs if value is not None]
            found = (each.metadata_props.get(LAYER) for each in (*readers, *made) if each is not None)
            node.metadata_props[LAYER] = next(filter(None, found), HEAD)


def parts(graph: ir.Graph) -> dict[str, list[str]]:
    """Names of the nodes of each layer, and of what is in front of them and behind them; in that order."""
    found: dict[str, list[str]] = {}
    for node in graph:
        if node.name:
            found.setdefault(node.metadata_props[LAYER], []).append(node.name)
    return {label: found[label] for label in sorted(found, key=_place)}


def ends(graph: ir.Graph) -> list[str]:
    """Name of the value that each layer ends in: the last one that something outside of the layer takes."""
    last: dict[str, str] = {}
    for node in graph:
        label = node.metadata_props[LAYER]
        for value in node.outputs:
            outside = any(user.metadata_props[LAYER] != label for user, _ in value.uses())
            if label.isdigit() and (outside or value.is_graph_output()):
                last[label] = str(value.name)
    return [last[label] for label in sorted(last, key=_place)]


def said(labels: list[str]) -> str:
    """Parts of a graph in words."""
    numbers = [label for label in labels if label.isdigit()]
    words = ["the part before the layers"] if FRONT in labels else []
    if numbers:
        words.append(f"layer {numbers[0]}" if len(numbers) == 1 else f"layers {', '.join(numbers)}")
    if HEAD in labels:
        words.append("the part after the layers")
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _place(label: str) -> float:
    return float(label) if label.isdigit() else {FRONT: 0.0, HEAD: float("inf")}[label]
