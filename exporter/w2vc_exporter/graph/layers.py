"""Which layer of the encoder each node of a graph belongs to: written into the node when it is traced.

The metadata entry ``layer`` of a node is ``front`` (it leads to the layers), the number of its layer, from 1, or
``head`` (what follows the layers). It stays with the node whatever passes call it.
"""

from __future__ import annotations

import re

import onnx_ir as ir

LAYER = "layer"
FRONT, HEAD = "front", "head"
IN_LAYER = re.compile(r"encoder\.layers\.(\d+)\.")


def label(graph: ir.Graph) -> None:
    """Write its layer into every node of a graph whose nodes are named after the modules of the model.

    Of the others, what leads to a layer is ``front``.
    """
    leading: set[ir.Node] = set()
    for node in reversed(list(graph)):  # in topological order
        found = IN_LAYER.match(node.name or "")
        if found or any(user in leading for value in node.outputs for user, _ in value.uses()):
            leading.add(node)
        node.metadata_props[LAYER] = str(int(found[1]) + 1) if found else FRONT if node in leading else HEAD


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
