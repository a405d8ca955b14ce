"""Changes made ready to be sent: packed, and parted from the rows that the target cannot hold.

Nothing here needs a connection, so it can be done in a thread ahead of the one that sends.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import psycopg

from cdc.mapping.table import MappedTable
from cdc.postgres.changes import Aside, Changes, Prepared, Ready, TableChanges
from cdc.postgres.misfit import Misfit, find_misfit
from cdc.postgres.quarantine import Quarantine
from cdc.postgres.translate import translated
from cdc.postgres.wire import MISFIT_ERRORS, Packed, Packing
from cdc.postgres.writer import TableWriter
from cdc.schema import Key, Row


class Preparation:
    """Prepares the batches and chunks of one source, in the order in which they are applied.

    `bulk_rows` is where COPY begins. What does not fit is set aside where the quarantine takes it,
    and raises a Misfit where not.
    """

    def __init__(self, quarantine: Quarantine, bulk_rows: int) -> None:
        self._quarantine = quarantine
        self._bulk_rows = bulk_rows
        self._writers: dict[tuple[str, str], TableWriter] = {}

    def writer(self, table: MappedTable) -> TableWriter:
        """The statements of a table, composed once."""
        known = self._writers.get((table.schema, table.name))
        if known is None or (known.table is not table and known.table != table):
            known = self._writers[table.schema, table.name] = TableWriter(table)
        return known

    def prepare(self, changes: Changes, *, careful: bool = False, clear: bool = False) -> Prepared:
        """The changes, ready to be sent.

        `clear`: whatever their number, all keys are deleted before the rows are written.

        `careful`: every row is looked at beforehand, also for what only the server would notice,
        and what fits is kept as it is beside its packed form.
        """
        return [
            (
                table,
                each
                if isinstance(each, Ready)
                else self._prepare(table, each, careful=careful, clear=clear),
            )
            for table, each in changes
        ]

    def prepare_many(
        self, parts: Iterable[Sequence[tuple[MappedTable, TableChanges]]]
    ) -> Prepared | None:
        """As of `Applier.prepare_many`."""
        packings: dict[tuple[str, str], tuple[MappedTable, ChangePacking]] = {}
        try:
            for part in parts:
                for table, changes in part:
                    if self._quarantine.suspects(table):
                        return None
                    name = table.schema, table.name
                    if name not in packings:
                        packings[name] = table, ChangePacking(table, self.writer(table))
                    packings[name][1].add(changes)
        except Misfit:
            return None
        if sum(len(packing) for _, packing in packings.values()) < self._bulk_rows:
            return None
        return [(table, packing.end()) for table, packing in packings.values()]

    def _prepare(
        self, table: MappedTable, changes: TableChanges, *, careful: bool, clear: bool
    ) -> Ready:
        asides: list[Aside] = []
        fit = changes
        try:
            if careful:
                fit, asides = self._part(table, changes)
            ready = self._pack(table, fit, clear=clear)
        except Misfit:
            if careful or not self._quarantine.takes_any(table):
                raise
            fit, asides = self._part(table, changes)
            ready = self._pack(table, fit, clear=clear)
        suspects = self._quarantine.suspects(table)
        touched = [key for key in changes.keys(table) if key in suspects] if suspects else []
        self._quarantine.suspect(asides)
        few = not isinstance(ready.rows, Packed)
        return Ready(ready.keys, ready.rows, asides, touched, fit if few or careful else None)

    def _pack(self, table: MappedTable, changes: TableChanges, *, clear: bool) -> Ready:
        writer = self.writer(table)
        few = not clear and len(changes.upserts) + len(changes.deletes) < self._bulk_rows
        with translated(f"pack rows of {table.name}"), naming_misfits([(table, changes)]):
            if few:
                keys = writer.pack_keys(changes.deletes) if changes.deletes else []
                return Ready(keys, writer.pack(changes.upserts) if changes.upserts else [])
            packing = ChangePacking(table, writer)
            packing.add(changes)
            return packing.end()

    def _part(self, table: MappedTable, changes: TableChanges) -> tuple[TableChanges, list[Aside]]:
        """What fits of the changes, and the rows to be set aside."""
        seqs = changes.seqs() or [0] * len(changes.upserts)
        fit, fit_seqs, asides = self.part_rows(table, changes.upserts, seqs)
        # The last good image of such a key may have a row in the target.
        gone = [key for aside in asides for key in holdable(table, aside.key)]
        return TableChanges(fit, [*changes.deletes, *gone], seqs=lambda: fit_seqs), asides

    def part_rows(
        self, table: MappedTable, rows: Sequence[Row], seqs: Sequence[int]
    ) -> tuple[list[Row], list[int], list[Aside]]:
        """The rows that fit, their seqs, and the rows that do not."""
        fit: list[Row] = []
        fit_seqs: list[int] = []
        asides: list[Aside] = []
        for row, seq in zip(rows, seqs, strict=True):
            unfit = table.why(row)
            if unfit is None:
                fit.append(row)
                fit_seqs.append(seq)
                continue
            misfit = Misfit(table, tuple(row[i] for i in table.key), unfit)
            if not self._quarantine.takes(table, unfit.position):
                raise misfit
            asides.append(Aside(table, row, seq, unfit.position, misfit.reason))
        return fit, fit_seqs, asides

    def begin_packing(self, table: MappedTable) -> "ChunkPacking":
        """Begin to pack the rows of a chunk."""
        return ChunkPacking(table, self.writer(table).begin_packing())


class ChangePacking:
    """Changes of one table on their way to being Ready, for COPY. Its length counts their keys."""

    def __init__(self, table: MappedTable, writer: TableWriter) -> None:
        self._table = table
        self._writer = writer
        self._keys: list[Key] = []
        self._rows = writer.begin_packing()

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, changes: TableChanges) -> None:
        """Pack these changes, too; raises Misfit."""
        with (
            translated(f"pack rows of {self._table.name}"),
            naming_misfits([(self._table, changes)]),
        ):
            self._rows.add(changes.upserts)
        self._keys += changes.written(self._table)
        self._keys += changes.deletes

    def end(self) -> Ready:
        """All of them, packed."""
        return Ready(self._writer.pack_keys(self._keys), self._rows.end())


class ChunkPacking:
    """The rows of a chunk on their way to being Packed."""

    def __init__(self, table: MappedTable, packing: Packing) -> None:
        self._table = table
        self._packing = packing

    def add(self, rows: list[Row]) -> None:
        """Pack these rows, too; raises Misfit."""
        work = [(self._table, TableChanges(rows))]
        with translated(f"pack rows of {self._table.name}"), naming_misfits(work):
            self._packing.add(rows)

    def end(self) -> Packed:
        """All rows, packed."""
        return self._packing.end()


def holdable(table: MappedTable, key: Key) -> list[Key]:
    """The keys under which the target may have a row for a key of SQLite, none if it cannot."""
    # 1.0 may have taken the place of 1, which is the same key to SQLite and fits a bigint.
    whole = tuple(int(v) if isinstance(v, float) and v.is_integer() else v for v in key)
    forms = [key] if repr(whole) == repr(key) else [key, whole]
    return [form for form in forms if table.why_key(form) is None]


@contextmanager
def naming_misfits(work: Sequence[tuple[MappedTable, TableChanges]]) -> Iterator[None]:
    """Raise a Misfit in place of an error that one value has caused."""
    try:
        yield
    except (*MISFIT_ERRORS, psycopg.DataError, psycopg.errors.NotNullViolation) as exc:
        for table, changes in work:
            if misfit := find_misfit(table, changes.upserts, changes.deletes):
                raise misfit from exc
        raise
