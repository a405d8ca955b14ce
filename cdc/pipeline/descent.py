"""Which target a captured table goes on with, when it or its capture is not what it was."""

from collections.abc import Mapping

from cdc.mapping import definition
from cdc.mapping.table import MappedTable
from cdc.postgres.mending import Origins
from cdc.postgres.state import CapturedTable
from cdc.sqlite.captures import Captured, Forebear


def predecessor(capture: Captured, known: Mapping[str, CapturedTable]) -> CapturedTable | None:
    """The target of an earlier capture of the table, under this name or the one it had before."""
    for forebear in capture.forebears:
        for table in known.values():
            if table.definition["capture"] == forebear.id:
                return table
    return known.get(capture.name)


def origins(capture: Captured, existing: CapturedTable, table: MappedTable) -> Origins:
    """For each column of `table` the one of the existing target that it goes on from.

    A column goes on as what SQLite says that it was called before, or, where nothing is known of
    that, under its own name; and only with the type that it had.
    """
    before = _names_before(capture, existing)
    kept = {column["source"]: column for column in existing.definition["columns"]}
    wanted = definition.dump(table, capture.id)["columns"]
    return tuple(
        kept[name]["name"] if name in kept and _same_type(kept[name], column) else None
        for name, column in (
            (before[target.source], column)
            for target, column in zip(table.columns, wanted, strict=True)
        )
    )


def absorbed(name: str, known: Mapping[str, CapturedTable], captured: list[Captured]) -> bool:
    """Whether a table that is gone lives on in another one, which had a target before."""
    ids = {forebear.id for capture in captured for forebear in capture.forebears}
    return known[name].definition["capture"] in ids


def _names_before(capture: Captured, existing: CapturedTable) -> tuple[str | None, ...]:
    known = (f for f in capture.forebears if f.id == existing.definition["capture"])
    own = Forebear(capture.id, tuple(c.name for c in capture.source.table.columns))
    return next(known, own).columns


def _same_type(before: Mapping[str, object], now: Mapping[str, object]) -> bool:
    where = ("name", "source")
    return {k: v for k, v in before.items() if k not in where} == {
        k: v for k, v in now.items() if k not in where
    }
