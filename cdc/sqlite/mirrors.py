"""Filling the mirrors of new captures with the rows that were there before."""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

from cdc.errors import CaptureRefused, SchemaMoved
from cdc.schema import Row
from cdc.sqlite import introspect
from cdc.sqlite.captures import stored_captures
from cdc.sqlite.connection import SourceFile, Wait
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.names import quote
from cdc.sqlite.order import fill_order
from cdc.sqlite.pace import STEP_SECONDS, Pace
from cdc.sqlite.rows import Bound, read_rows
from cdc.sqlite.triggers import CaptureSql, render

ONE_ROW: Final = Bound(seconds=STEP_SECONDS, rows=1)


def fill_mirrors(
    file: SourceFile, *, wait: Wait = time.sleep, stopped: Callable[[], bool] = lambda: False
) -> None:
    """Enter the rows that were there before the capture into the mirrors, in small transactions.

    Before this has ended, a REPLACE may evict a row without an event, so no table is copied
    earlier. Interrupted, it begins again; entries that are there already are left alone. Raises
    SchemaMoved where the application changes the schema meanwhile.
    """
    with file.reading():
        schema_version = file.schema_version
        todo = [c for c in stored_captures(file) if not c.mirrored]
        try:
            sources = {c.layout: introspect.source_table(file, c.name) for c in todo}
        except CaptureRefused as error:
            # It was made anew since it was captured: the next look at the schema finds that.
            raise SchemaMoved(str(error)) from error
    for capture in todo:
        source = sources[capture.layout]
        fill = MirrorFill(file, source, render(source, capture.layout), schema_version)
        fill.run(wait, stopped)
        if stopped():
            return
        file.write(
            lambda layout=capture.layout: file.query(  # type: ignore[misc]
                "UPDATE _cdc_capture SET mirrored = 1 WHERE layout = ?", (layout,)
            ),
            wait=wait,
        )


class MirrorFill:
    """One walk over a table, as many rows at a time as STEP_SECONDS allow."""

    def __init__(
        self, file: SourceFile, source: SourceTable, sql: CaptureSql, schema_version: int
    ) -> None:
        self.file = file
        self.fill = sql.fill
        self.order = fill_order(source)
        self.table = quote(source.name)
        self.schema_version = schema_version

    def run(self, wait: Wait, stopped: Callable[[], bool]) -> None:
        place: Row | None = None
        pace = Pace()
        while not stopped():
            with pace.step(wait):
                step = partial(self._step, place, pace.rows)
                place = self.file.write(step, wait=wait)
            if place is None:
                return

    def _step(self, place: Row | None, rows: int) -> Row | None:
        """Fill in the next `rows` rows; returns the place reached, None at the table's end."""
        if self.file.schema_version != self.schema_version:
            raise SchemaMoved(f"The schema of {self.file.path} changed.")
        after = self.order.after(place)
        # A row without a key has no entry; nothing lies behind a place that is NULL.
        there = " AND ".join(f"{term} IS NOT NULL" for term in self.order.terms)
        found = read_rows(
            self.file,
            self.order.terms,
            f"FROM {self.table} AS _cdc_t WHERE {after} AND {there}"
            f" ORDER BY {self.order.order_by()} LIMIT 1 OFFSET {rows - 1}",
            place or (),
            ONE_ROW,
        ).rows
        end: Row | None = found[0] if found else None
        bindings = place or ()
        condition = after
        if end is not None:
            condition += f" AND {self.order.up_to(end, len(bindings) + 1)}"
            bindings += end
        self.file.query(f"{self.fill} AND {condition}", bindings)
        return end
