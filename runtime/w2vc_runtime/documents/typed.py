"""Plain data to dataclasses and back, by the types with which their fields are annotated.

A field is a dataclass, ``tuple[T, ...]``, ``tuple[T, U]``, ``dict[str, T]``, str, int, float, bool, a union of these,
or one of them ``Annotated`` with rules. Dataclasses in a union have a class attribute ``kind`` that tells them apart in
the data. No field may be missing but those that are ``OMITTED`` where they are as by default, and there are no others.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from w2vc_runtime.errors import W2vcError

T = TypeVar("T")
OMITTED = {"omitted": True}
"""Metadata of a field that is left out of the data where it has its default value."""

NAMES: dict[Any, str] = {
    str: "a text", int: "a whole number", float: "a number", bool: "true or false", NoneType: "null",
    tuple: "a list", dict: "an object",
}  # fmt: skip


class TypeMismatch(W2vcError, ValueError):
    """Plain data is not of the type that is wanted. The message says where in it, what is there, and what must be."""


@dataclass(frozen=True)
class Range:
    """A number from ``low`` to ``high``."""

    low: float
    high: float

    def allows(self, value: Any) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"from {self.low:,} to {self.high:,}"


@dataclass(frozen=True)
class OneOf:
    """One of some texts."""

    values: tuple[str, ...]

    def allows(self, value: Any) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return f"one of {', '.join(self.values)}"


@dataclass(frozen=True)
class Pattern:
    """A text that a regular expression matches as a whole. wanted: what that is, in words."""

    expression: str
    wanted: str
    longest: int = 255

    def allows(self, value: Any) -> bool:
        return len(value) <= self.longest and re.fullmatch(self.expression, value) is not None

    def __str__(self) -> str:
        return self.wanted


@dataclass(frozen=True)
class AtLeast:
    """A list or an object with so many entries."""

    entries: int

    def allows(self, value: Any) -> bool:
        return len(value) >= self.entries

    def __str__(self) -> str:
        return f"of {self.entries} or more entries"


Rule = Range | OneOf | Pattern | AtLeast


def build(wanted: type[T], data: Any) -> T:
    """An instance of a dataclass from plain data; raise `TypeMismatch` where they differ."""
    return _read(wanted, data, "")


def plain(value: Any) -> Any:
    """The plain data of a dataclass, or of what holds some."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = tag(type(value))
        fields = [each for each in dataclasses.fields(value) if not _is_omitted(value, each)]
        values = {each.name: plain(getattr(value, each.name)) for each in fields}
        return values if kind is None else {"kind": kind, **values}
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return value


def tag(wanted: type) -> str | None:
    """What ``kind`` is in the data of a dataclass that is told apart by it; None for another."""
    kind = wanted.__dict__.get("kind")
    return kind if isinstance(kind, str) and "kind" not in types_of(wanted) else None


@functools.cache
def types_of(wanted: Any) -> dict[str, Any]:
    """The annotations of a dataclass's fields."""
    hints = get_type_hints(wanted, include_extras=True)
    return {each.name: hints[each.name] for each in dataclasses.fields(wanted)}


def alternatives(wanted: Any) -> tuple[Any, ...]:
    """The members of a union; what is none is the only one."""
    return get_args(wanted) if get_origin(wanted) in (Union, UnionType) else (wanted,)


def parted(wanted: Any) -> tuple[Any, tuple[Rule, ...]]:
    """A type, and the rules that it is annotated with."""
    if get_origin(wanted) is not Annotated:
        return wanted, ()
    base, *rules = get_args(wanted)
    return base, tuple(rules)


def omitted(wanted: Any) -> set[str]:
    """Fields of a dataclass that its data may lack."""
    return {each.name for each in dataclasses.fields(wanted) if each.metadata.get("omitted")}


def _is_omitted(value: Any, field: dataclasses.Field[Any]) -> bool:
    return bool(field.metadata.get("omitted")) and getattr(value, field.name) == field.default


def _read(wanted: Any, data: Any, place: str) -> Any:
    fitting = [each for each in alternatives(wanted) if _takes(each, data)]
    if not fitting:
        kinds = [kind for each in alternatives(wanted) if (kind := _kind(each))]
        if kinds and isinstance(data, dict):
            raise _mismatch(_inside(place, "kind"), data.get("kind"), " or ".join(kinds))
        raise _mismatch(place, data, _named(wanted))
    base, rules = parted(fitting[0])
    value = _read_base(base, data, place)
    for rule in rules:
        if not rule.allows(value):
            raise _mismatch(place, data, str(rule))
    return value


def _read_base(base: Any, data: Any, place: str) -> Any:
    if dataclasses.is_dataclass(base):
        return _read_fields(base, data, place)
    arguments = get_args(base)
    if get_origin(base) is dict:
        keys, values = arguments
        return {
            _read(keys, key, f"a name in {place}"): _read(values, each, _inside(place, key))
            for key, each in data.items()
        }
    if get_origin(base) is tuple:
        if arguments[-1] is Ellipsis:
            arguments = (arguments[0],) * len(data)
        elif len(data) != len(arguments):
            raise _mismatch(place, data, f"a list of {len(arguments)}")
        return tuple(_read(each, item, f"{place}[{index}]") for index, (each, item) in enumerate(zip(arguments, data)))
    return data


def _read_fields(wanted: Any, data: dict[str, Any], place: str) -> Any:
    types = types_of(wanted)
    own = {} if tag(wanted) is None else {"kind": str}
    if missing := types.keys() - omitted(wanted) - data.keys():
        raise TypeMismatch(f"{place or 'it'} lacks {_listed(missing)}")
    if strange := data.keys() - types.keys() - own.keys():
        raise TypeMismatch(f"{place or 'it'} has {_listed(map(_shown, strange))}, which nobody knows")
    return wanted(**{name: _read(types[name], data[name], _inside(place, name)) for name in types if name in data})


def _takes(wanted: Any, data: Any) -> bool:
    """Whether data is of the sort that a type is made of, whatever is in it."""
    base = parted(wanted)[0]
    if dataclasses.is_dataclass(base):
        return isinstance(data, dict) and _kind(base) in (None, data.get("kind"))
    base = get_origin(base) or base
    if base is tuple:
        return isinstance(data, list)
    if base is float:
        return isinstance(data, (int, float)) and not isinstance(data, bool)
    return type(data) is base


def _named(wanted: Any) -> str:
    names = []
    for each in alternatives(wanted):
        base, rules = parted(each)
        name = "an object" if dataclasses.is_dataclass(base) else NAMES[get_origin(base) or base]
        names.append(" ".join([name, *(str(rule) for rule in rules if isinstance(rule, Range))]))
    return " or ".join(names)


def _kind(wanted: Any) -> str | None:
    return tag(wanted) if dataclasses.is_dataclass(wanted) and isinstance(wanted, type) else None


def _mismatch(place: str, data: Any, wanted: str) -> TypeMismatch:
    return TypeMismatch(f"{place or 'it'} is {_shown(data)}, and must be {wanted}")


def _inside(place: str, name: str) -> str:
    shown = name if name.isidentifier() else _shown(name)
    return f"{place}.{shown}" if place else shown


def _shown(data: Any) -> str:
    """A value in a few words: it may be of any size, and hold what moves a terminal."""
    if isinstance(data, (list, dict)):
        return f"{'a list' if isinstance(data, list) else 'an object'} of {len(data)}"
    text = ascii(data)
    text = {"None": "null", "True": "true", "False": "false"}.get(text, text)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _listed(names: Iterable[str]) -> str:
    names = sorted(names)
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
