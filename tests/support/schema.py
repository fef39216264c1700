"""docs/manifest.schema.json: what the manifest's types say, as JSON Schema, for readers in other languages.

``python -m support.schema`` writes it anew.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, get_args, get_origin

from support.paths import ROOT
from w2vc_runtime.bundle import SCHEMA, Manifest
from w2vc_runtime.documents.reader import MOST_CHARACTERS
from w2vc_runtime.documents.typed import (
    AtLeast,
    OneOf,
    Pattern,
    Range,
    Rule,
    alternatives,
    omitted,
    parted,
    tag,
    types_of,
)

PATH = ROOT / "docs" / "manifest.schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCALARS: dict[Any, dict[str, Any]] = {
    str: {"type": "string", "maxLength": MOST_CHARACTERS},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
}


def schema() -> dict[str, Any]:
    """The schema of a manifest."""
    definitions: dict[str, Any] = {}
    whole = _fields(Manifest, definitions)
    whole["properties"]["sha256"] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
    whole["required"].append("sha256")
    title = f"manifest.json of a bundle of w2vc, schema {SCHEMA}"
    return {"$schema": DIALECT, "title": title, **whole, "$defs": dict(sorted(definitions.items()))}


def text() -> str:
    """The content of the file."""
    return json.dumps(schema(), indent=1) + "\n"


def _of(wanted: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    members = [_member(each, definitions) for each in alternatives(wanted)]
    return members[0] if len(members) == 1 else {"anyOf": members}


def _member(wanted: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    base, rules = parted(wanted)
    found = _base(base, definitions)
    for rule in rules:
        found = {**found, **_rule(rule, found["type"])}
    return found


def _base(base: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if dataclasses.is_dataclass(base):
        if base.__name__ not in definitions:
            definitions[base.__name__] = {}  # what it holds may hold it
            definitions[base.__name__] = _fields(base, definitions)
        return {"$ref": f"#/$defs/{base.__name__}"}
    arguments = get_args(base)
    if get_origin(base) is dict:
        names, values = (_of(each, definitions) for each in arguments)
        return {"type": "object", "propertyNames": names, "additionalProperties": values}
    if get_origin(base) is not tuple:
        return dict(SCALARS[base])
    if arguments[-1] is Ellipsis:
        return {"type": "array", "items": _of(arguments[0], definitions)}
    items = [_of(each, definitions) for each in arguments]
    return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}


def _fields(wanted: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    own = {} if tag(wanted) is None else {"kind": {"const": tag(wanted)}}
    properties = {**own, **{name: _of(each, definitions) for name, each in types_of(wanted).items()}}
    required = [name for name in properties if name not in omitted(wanted)]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _rule(rule: Rule, kind: str) -> dict[str, Any]:
    if isinstance(rule, Range):
        return {"minimum": rule.low, "maximum": rule.high}
    if isinstance(rule, OneOf):
        return {"enum": list(rule.values)}
    if isinstance(rule, Pattern):
        return {"pattern": f"^({rule.expression})$", "maxLength": rule.longest}
    assert isinstance(rule, AtLeast)
    return {{"array": "minItems", "object": "minProperties"}[kind]: rule.entries}


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
