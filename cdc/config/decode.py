"""From parsed TOML to the objects of `settings`, with the exact place in every error.

msgspec checks each single value. The walk through the sections is ours, because msgspec's own
errors do not say below which name of `[sources.tables.NAME]` a value stands.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from cdc.config.keys import Key, keys_of
from cdc.config.toml import toml_value
from cdc.errors import ConfigError
from cdc.redact import redact

SectionT = TypeVar("SectionT", bound=msgspec.Struct)

LONGEST_SHOWN = 80
"""Characters of a wrong value that a message repeats."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the configuration something stands: `file` as the operator named it, `section` as
    its header is written ("" for the top level), `path` the dotted key of that header."""

    file: str
    section: str = ""
    path: str = ""

    def error(self, problem: str, *, hint: str = "") -> ConfigError:
        where = f"{self.file}: {self.section} " if self.section else f"{self.file}: "
        return ConfigError(where + problem, hint=hint)

    def below(self, name: str) -> "Place":
        """The section `name` in this one."""
        path = self._path_of(name)
        return Place(self.file, f"{self._entry}[{path}]", path)

    def entry(self, name: str, number: int, raw: object) -> "Place":
        """Entry `number` (from 1) of the list of sections `name`."""
        label = raw.get("name") if isinstance(raw, dict) else None
        called = f" ({_shown(label)})" if isinstance(label, str) else ""
        path = self._path_of(name)
        return Place(self.file, f"{self._entry}[[{path}]] number {number}{called}", path)

    @property
    def _entry(self) -> str:
        # Below an entry of [[sources]] the header alone does not tell which entry it belongs to.
        return self.section.partition(", ")[0] + ", " if self.section.startswith("[[") else ""

    def _path_of(self, name: str) -> str:
        return f"{self.path}.{_bare_or_quoted(name)}".removeprefix(".")


def decode(raw: object, section: type[SectionT], place: Place) -> SectionT:
    """`raw`, a parsed TOML table, as a `section`. Raises ConfigError."""
    if not isinstance(raw, dict):
        raise place.error(f"must be a table, not {_shown(raw)}.")
    keys = {key.name: key for key in keys_of(section)}
    for name in raw:
        if name not in keys:
            raise _unknown(name, list(keys), place)
    for key in keys.values():
        if key.required and key.name not in raw:
            raise place.error(f'lacks the key "{key.name}": {key.allowed}.')
    values = {keys[n].attribute: _decode_key(value, keys[n], place) for n, value in raw.items()}
    try:
        return section(**values)
    except ValueError as exc:  # keys that do not go together
        raise place.error(f"{exc}.") from exc


def decode_value(value: object, key: Key, place: Place) -> Any:
    """A plain value as `key` wants it. Raises ConfigError."""
    if key.choices and value not in key.choices:
        raise _not_allowed(value, key, place, hint=_guess(value, key))
    if key.max_bytes and isinstance(value, str) and len(value.encode()) > key.max_bytes:
        raise _not_allowed(value, key, place)
    try:
        converted = msgspec.convert(value, key.annotation, dec_hook=_decode_path)
        if key.check is not None and converted is not None:
            key.check(converted)
    except ValueError:  # msgspec's own is one, too
        raise _not_allowed(value, key, place, hint=_guess(value, key)) from None
    return converted


def _decode_key(value: object, key: Key, place: Place) -> Any:
    if key.section is None:
        return decode_value(value, key, place)
    match key.shape:
        case "sections":
            return _decode_list(value, key, key.section, place)
        case "named sections":
            return _decode_names(value, key.section, place.below(key.name))
        case _:
            return decode(value, key.section, place.below(key.name))


def _decode_list(value: object, key: Key, section: type[SectionT], place: Place) -> Any:
    if not isinstance(value, list):
        header = place.entry(key.name, 1, None).path
        hint = f"Write [[{header}]], in double brackets, above each entry."
        raise place.error(f'"{key.name}" must be a list of tables.', hint=hint)
    if not value and key.required:
        raise place.error(f"{key.name} = []: must be {key.allowed}.")
    entries = ((item, place.entry(key.name, n, item)) for n, item in enumerate(value, start=1))
    return tuple(decode(item, section, where) for item, where in entries)


def _decode_names(value: object, section: type[SectionT], place: Place) -> dict[str, SectionT]:
    if not isinstance(value, dict):
        raise place.error(f"must be a table, not {_shown(value)}.")
    return {name: decode(item, section, place.below(name)) for name, item in value.items()}


def _decode_path(wanted: type, value: object) -> object:
    if wanted is Path and isinstance(value, str) and value and "\0" not in value:
        return Path(value)
    raise msgspec.ValidationError(f"not a {wanted}")


def _unknown(name: str, allowed: list[str], place: Place) -> ConfigError:
    near = get_close_matches(name.lower(), allowed, n=1, cutoff=0.5)
    guess = f' Did you mean "{near[0]}"?' if near else ""
    return place.error(f"knows no key {_shown(name)}.{guess} Allowed are: {', '.join(allowed)}.")


def _not_allowed(value: object, key: Key, place: Place, *, hint: str = "") -> ConfigError:
    # Whatever stands where a connection string should be may hold a password in any form.
    shown = "(not shown here)" if key.secret else _shown(value)
    return place.error(f"{key.name} = {shown}: must be {key.allowed}.", hint=hint)


def _guess(value: object, key: Key) -> str:
    near = get_close_matches(str(value), key.words, n=1)
    return f"Did you mean {toml_value(near[0])}?" if near else ""


def _shown(value: object) -> str:
    text = redact(toml_value(value))
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"


def _bare_or_quoted(name: str) -> str:
    bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if bare else toml_value(name)
