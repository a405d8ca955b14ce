"""The target types of a column, and the exact form in which each carries a SQLite value.

Each of them loses nothing: a value either has one faithful form or is refused, unless the
configuration names what to store instead.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Final

from cdc.mapping import moments, numbers, words
from cdc.mapping.codec import PLAIN, Codec, Encoder, Many, Options, Unfitting, require_same
from cdc.mapping.literals import literal, of_literal
from cdc.schema import Affinity, Value

NAMES: Final = (
    "bigint", "integer", "smallint", "boolean", "double precision", "real", "numeric",
    "numeric(p,s)", "text", "varchar(n)", "bytea", "date", "time", "timestamp", "timestamptz",
    "json", "jsonb", "uuid", "literal",
)  # fmt: skip
"""The types as the configuration names them."""

LONGEST_VARCHAR: Final = 10_485_760

_SPEC: Final = re.compile(r"([a-z ]+?) *(?:\( *(\d{1,9}) *(?:, *(\d{1,9}) *)?\))?", re.ASCII)
_ALIASES: Final = {
    "decimal": "numeric",
    "character varying": "varchar",
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
}


@dataclass(frozen=True, slots=True)
class TargetType:
    """A PostgreSQL type as a home for the values of one SQLite column.

    `name` is the word for it in the configuration, `sql` what stands in the DDL, `wire` the type
    that binary COPY and parameters use. `affinity` is the column's, by which values come back;
    `in_key` says that the type takes only values that come back bit for bit.

    `encode` makes the binary form of a value, or None where NULL is to be stored instead; it raises
    Unfitting. Where it is None itself, values go as they are, and where `as_is` is not None, those
    do for which it is true, none of them NULL. `many` makes the binary forms of many values.
    `ordered`: PostgreSQL orders the values as SQLite does.
    """

    name: str
    affinity: Affinity
    options: Options
    in_key: bool
    _codec: Codec = field(compare=False, repr=False)
    encode: Encoder | None = field(compare=False, repr=False)
    many: Many | None = field(compare=False, repr=False)
    as_is: Callable[[Sequence[Any]], bool] | None = field(compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """For a pickle, which cannot hold what a type is made of: the words that name it."""
        make = partial(target_type, in_key=self.in_key)
        return make, (self.name, self.affinity, self.options)

    @property
    def sql(self) -> str:
        return self._codec.sql

    @property
    def wire(self) -> str:
        return self._codec.wire

    @property
    def ordered(self) -> bool:
        return self._codec.ordered

    def refusal(self, value: Value) -> str | None:
        """Why the type does not take a value (never None); None where it does."""
        try:
            if self.encode is None:
                self._codec.forward(value)
            else:
                self.encode(value)
        except Unfitting as exc:
            return str(exc)
        return None

    def accepts(self, value: Value) -> bool:
        """Whether the type takes a value (never None), as it is or with what is stored instead."""
        return self.refusal(value) is None

    def accepts_all(self, values: Iterable[Value]) -> bool:
        """Whether the type takes every one of these values (none of them None)."""
        take = self._codec.forward if self.encode is None else self.encode
        try:
            deque(map(take, values), maxlen=0)
        except Unfitting:
            return False
        return True

    def alters(self, value: Value) -> bool:
        """Whether what is stored for an accepted value (never None) stands for another one."""
        quick = None if self.in_key else self._codec.quick
        if quick is not None and quick(value) is not None:
            return False
        try:
            _stored(self._codec, value, in_key=self.in_key)
        except Unfitting:
            return True
        return False

    @property
    def settles(self) -> bool:
        """Whether there are values of which the options say which stored value they are."""
        return self._codec.settled is not None

    def is_settled(self, value: Value) -> bool:
        """Whether an accepted value (never None) is one of those: a local time that the clocks show
        twice, or never.
        """
        settled = self._codec.settled
        return settled is not None and settled(value)

    def stored(self, value: Value) -> Any:
        """What PostgreSQL holds for an accepted value (never None), in the form in which psycopg
        reads it; None where NULL is stored instead.
        """
        try:
            return _stored(self._codec, value, in_key=self.in_key)
        except Unfitting:
            other = self._codec.instead.get(self.options.instead)
            return None if other is None else other(value)

    def forward(self, value: Value) -> Any:
        """PostgreSQL's value for one (never None) that has a faithful form; raises Unfitting."""
        return _stored(self._codec, value, in_key=self.in_key)

    def decode(self, stored: Any) -> Value:
        """The value of SQLite for one that psycopg has read (json and jsonb as text).

        What `encode` makes of it is the same as what was read.
        """
        return None if stored is None else self._codec.reverse(stored)


@cache
def target_type(
    spec: str,
    affinity: Affinity = "BLOB",
    options: Options = PLAIN,
    *,
    in_key: bool = False,
) -> TargetType:
    """The type of that name in the configuration, for a column of this affinity.

    Raises ValueError, with a sentence, for an unknown type or options that do not belong to it.

    >>> target_type("decimal(10, 4)", "REAL").name
    'numeric(10,4)'
    """
    name, codec = _codec(spec, affinity, options)
    _check_options(name, codec, options, in_key=in_key)
    encode = _encoder(codec, options, in_key=in_key)
    rounds = options.instead == numbers.ROUND
    return TargetType(
        name,
        affinity,
        options,
        in_key,
        codec,
        encode,
        many=None if in_key else codec.many_instead if rounds else codec.many,
        as_is=None if encode is None or options.instead else codec.as_is,
    )


def _codec(spec: str, affinity: Affinity, options: Options) -> tuple[str, Codec]:
    match = _SPEC.fullmatch(spec.strip().lower())
    base, *arguments = match.groups() if match else (spec, None, None)
    base = _ALIASES.get(base or "", base)
    sizes = tuple(int(argument) for argument in arguments if argument is not None)
    if base == "numeric" and sizes:
        precision, scale = (*sizes, 0)[:2]
        if not (1 <= precision <= numbers.MOST_DIGITS and scale <= precision):
            raise ValueError(
                f"numeric(p,s) takes 1 to {numbers.MOST_DIGITS} digits, of which up to all stand"
                " behind the point"
            )
        return f"numeric({precision},{scale})", numbers.scaled(precision, scale, affinity)
    if base == "varchar" and len(sizes) == 1:
        if not 1 <= sizes[0] <= LONGEST_VARCHAR:
            raise ValueError(f"varchar(n) takes 1 to {LONGEST_VARCHAR} characters")
        return f"varchar({sizes[0]})", words.varchar(sizes[0])
    make = _PLAIN.get(base or "")
    if make is None or sizes:
        raise ValueError(f"there is no target type {spec!r}; there are {', '.join(NAMES)}")
    return base or "", make(affinity, options)


_PLAIN: Final[dict[str, Callable[[Affinity, Options], Codec]]] = {
    "bigint": lambda affinity, _: numbers.integer("bigint", affinity),
    "integer": lambda affinity, _: numbers.integer("integer", affinity),
    "smallint": lambda affinity, _: numbers.integer("smallint", affinity),
    "double precision": lambda affinity, _: numbers.double(affinity),
    "real": lambda affinity, _: numbers.real(affinity),
    "numeric": lambda affinity, _: numbers.numeric(affinity),
    "boolean": words.boolean,
    "text": lambda *_: words.text(),
    "bytea": lambda *_: words.bytea(),
    "json": lambda *_: words.json_text(),
    "jsonb": lambda *_: words.jsonb(),
    "uuid": lambda affinity, _: words.uuid(affinity),
    "literal": lambda *_: words.literal_text(literal, of_literal),
    "date": lambda *_: moments.day(),
    "time": lambda *_: moments.time_of_day(),
    "timestamp": lambda affinity, options: moments.moment("timestamp", affinity, options),
    "timestamptz": lambda affinity, options: moments.moment("timestamptz", affinity, options),
}


def _check_options(name: str, codec: Codec, options: Options, *, in_key: bool) -> None:
    for option in Options.__slots__:
        given = getattr(options, option) != getattr(PLAIN, option)
        if given and option != "instead" and option not in codec.options:
            raise ValueError(f'"{option}" says nothing about a column of type {name}')
    if options.timezone and (name != "timestamptz" or options.epoch):
        raise ValueError('"timezone" is for texts that become timestamptz')
    if options.timezone is None and (options.ambiguous, options.missing) != ("refuse", "refuse"):
        raise ValueError('"ambiguous" and "missing" need a "timezone"')
    if set(options.true) & set(options.false):
        raise ValueError('a word can not be both "true" and "false"')
    instead = options.instead
    if instead not in {"", "null"} and instead not in codec.instead:
        raise ValueError(f'on_misfit = "{instead}" does not make sense for a column of type {name}')
    if in_key and not codec.key:
        raise ValueError(f"a column of the key can not be of type {name}")
    if in_key and instead:
        raise ValueError(
            f'on_misfit = "{instead}" is not for a column of the key: two rows could become one'
        )


def _encoder(codec: Codec, options: Options, *, in_key: bool) -> Encoder | None:
    if codec.native and not options.instead:
        return None
    pack, instead = codec.pack, options.instead
    other: Callable[[Value], Any] | None = codec.instead.get(instead)
    quick = codec.quick_instead if instead == numbers.ROUND else codec.quick
    quick = None if in_key else quick

    def encode(value: Value) -> bytes | None:
        if quick is not None:
            packed = quick(value)
            if packed is not None:
                return packed
        try:
            return pack(_stored(codec, value, in_key=in_key))
        except Unfitting:
            if not instead:
                raise
        return None if other is None else pack(other(value))

    return encode


def _stored(codec: Codec, value: Value, *, in_key: bool) -> Any:
    stored = codec.forward(value)
    if in_key:
        require_same(value, codec.reverse(stored))
    return stored


BIGINT: Final = target_type("bigint")
DOUBLE: Final = target_type("double precision")
TEXT: Final = target_type("text")
BYTEA: Final = target_type("bytea")
NUMERIC: Final = target_type("numeric")
LITERAL: Final = target_type("literal")
"""Any value of any storage class, as the text of its SQL literal."""
