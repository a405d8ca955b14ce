"""Other options for a column's own type, tried on its values: what would let it take them all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cdc.mapping.codec import Instead, Options
from cdc.mapping.table import TargetColumn
from cdc.mapping.types import TargetType, target_type
from cdc.plan.forms import EPOCH_MICROSECONDS, EPOCH_MILLISECONDS, EPOCH_SECONDS
from cdc.plan.profile import ColumnProfile
from cdc.schema import Value

_UNITS: Final = {"s": EPOCH_SECONDS, "ms": EPOCH_MILLISECONDS, "us": EPOCH_MICROSECONDS}
_SEPARATORS: Final = {"T": " ", " ": "T"}
_LOSSY: Final[tuple[Instead, ...]] = ("round", "truncate")


@dataclass(slots=True)
class Variant:
    """The type with other options. `wider` says that it takes whatever the type takes itself;
    `lossy` that it does so by storing other values. `takes_all` holds until a value is refused.
    """

    type: TargetType
    wider: bool
    takes_all: bool = True

    @property
    def lossy(self) -> bool:
        return self.type.options.instead != ""

    def suits(self, profile: ColumnProfile) -> bool:
        """Whether the values look like what the variant makes of them; a number that counts
        seconds is one of milliseconds too, in the wrong year.
        """
        unit = self.type.options.epoch
        return unit is None or profile.form == _UNITS[unit]

    def try_on(self, values: Sequence[Value], *, fits: bool) -> None:
        """Try more values, none of them NULL; `fits` says that the type itself takes them."""
        if self.takes_all and not (fits and self.wider):
            self.takes_all = self.type.accepts_all(values)


def variants(target: TargetColumn, *, in_key: bool) -> list[Variant]:
    """What could be tried for a column, the nearest first."""
    return list(_variants(target.type, in_key=in_key))


def _variants(type_: TargetType, *, in_key: bool) -> Iterator[Variant]:
    options = type_.options
    if options.timezone and "refuse" in {options.ambiguous, options.missing}:
        settled = replace(
            options,
            ambiguous="earlier" if options.ambiguous == "refuse" else options.ambiguous,
            missing="forward" if options.missing == "refuse" else options.missing,
        )
        yield Variant(_with(type_, settled, in_key=in_key), wider=True)
    if type_.name in {"timestamp", "timestamptz"} and not options.epoch:
        if in_key:
            other = replace(options, separator=_SEPARATORS[options.separator])
            yield Variant(_with(type_, other, in_key=True), wider=False)
        if not options.timezone:
            for unit in _UNITS:
                counted = replace(options, epoch=unit)
                yield Variant(_with(type_, counted, in_key=in_key), wider=False)
    if in_key or options.instead:
        return
    for instead in _LOSSY:
        try:
            lossy = _with(type_, replace(options, instead=instead), in_key=False)
        except ValueError:  # it makes no sense for this type
            continue
        yield Variant(lossy, wider=True)


def _with(type_: TargetType, options: Options, *, in_key: bool) -> TargetType:
    """The same type with other options. Raises ValueError where they do not belong to it."""
    return target_type(type_.name, type_.affinity, options, in_key=in_key)
