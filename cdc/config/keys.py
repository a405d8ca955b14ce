"""What a section may hold, read off the types in `settings`: for checks, messages and `render`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_type_hints

import msgspec
from msgspec import inspect

from cdc.config.toml import toml_value

REQUIRED = msgspec.NODEFAULT

Shape = Literal["value", "section", "sections", "named sections"]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a section.

    `attribute` is what the class calls it, where Python keeps the name for itself.
    `shape` says what stands under it: a plain value, a section (`[key]`), a list of them
    (`[[key]]`), or sections by a name that the operator chooses (`[key.NAME]`); `section` is the
    class of those. `check` raises ValueError for a text that is not allowed, and one of `words` may
    have been meant. `allowed` completes "must be …". `default` is REQUIRED where there is none.
    """

    name: str
    attribute: str
    annotation: Any
    shape: Shape
    section: type[msgspec.Struct] | None
    default: Any
    description: str
    allowed: str
    choices: tuple[str, ...]
    max_bytes: int | None
    check: Callable[[str], object] | None
    words: tuple[str, ...]
    secret: bool

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


@cache
def keys_of(section: type[msgspec.Struct]) -> tuple[Key, ...]:
    """The keys of a section, in the order in which they are declared."""
    info = inspect.type_info(section)
    assert isinstance(info, inspect.StructType)
    annotations = get_type_hints(section, include_extras=True)
    return tuple(_key(field, annotations[field.name]) for field in info.fields)


def _key(field: inspect.Field, annotation: Any) -> Key:
    kind, schema, extra = _bare(field.type)
    shape, section = _shape(kind)
    choices = extra.get("choices", ())
    return Key(
        name=field.encode_name,
        attribute=field.name,
        annotation=annotation,
        shape=shape,
        section=section,
        default=_default(field),
        description=schema.get("description", ""),
        allowed=extra.get("allowed") or _allowed(kind, choices),
        choices=choices,
        max_bytes=extra.get("max_bytes"),
        check=extra.get("check"),
        words=extra.get("words", choices),
        secret=extra.get("secret", False),
    )


def _bare(kind: inspect.Type) -> tuple[inspect.Type, dict[str, Any], dict[str, Any]]:
    """The type without its metadata and without `| None`, and both kinds of metadata merged.

    Where metadata is nested, the outer one wins: it belongs to the field, the inner to the type.
    """
    match kind:
        case inspect.Metadata():
            bare, schema, extra = _bare(kind.type)
            return bare, schema | (kind.extra_json_schema or {}), extra | (kind.extra or {})
        case inspect.UnionType():
            (only,) = (t for t in kind.types if not isinstance(t, inspect.NoneType))
            return _bare(only)
        case _:
            return kind, {}, {}


def _shape(kind: inspect.Type) -> tuple[Shape, type[msgspec.Struct] | None]:
    match kind:
        case inspect.StructType(cls=cls):
            return "section", cls
        case inspect.VarTupleType(item_type=inspect.StructType(cls=cls)):
            return "sections", cls
        case inspect.DictType(value_type=inspect.StructType(cls=cls)):
            return "named sections", cls
        case _:
            return "value", None


def _default(field: inspect.Field) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _allowed(kind: inspect.Type, choices: tuple[str, ...]) -> str:
    if choices:
        return "one of " + ", ".join(toml_value(choice) for choice in choices)
    match kind:
        case inspect.IntType() | inspect.FloatType():
            number = "whole number" if isinstance(kind, inspect.IntType) else "number"
            return f"a {number} from {kind.ge} to {kind.le}"
        case inspect.BoolType():
            return "true or false"
        case inspect.CustomType():
            return "a path, in quotes"
        case inspect.StructType() | inspect.DictType():
            return "a table"
        case _:
            return "a text, in quotes"
