"""Tables of which the log does not tell, on their way into a copy of the file.

That are tables that are not captured, those of our own and SQLite's, and those with rows that have
no key. What is small enough is read in one moment, the very one of which the copy is.
"""

import time
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Final

from cdc.schema import Row
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.newfile import NewFile
from cdc.sqlite.rowform import RowForm
from cdc.sqlite.rows import Bound
from cdc.sqlite.walk import Stretch

STRETCH_ROWS: Final = 20_000

ALL_ROWS: Final = 10**6

MOST_PASSES: Final = 3
"""How often a large table is copied in the hope that nobody writes to it meanwhile."""


class Unlogged:
    """Reads such tables; `check` is called within each read transaction, `between` behind it."""

    def __init__(
        self,
        file: SourceFile,
        copy: NewFile,
        seconds: float,
        *,
        check: Callable[[], None],
        between: Callable[[], None],
    ) -> None:
        self._file = file
        self._copy = copy
        self._seconds = seconds
        self._check = check
        self._between = between

    def part(self, forms: Iterable[RowForm]) -> tuple[list[RowForm], list[RowForm]]:
        """Part the tables into those that one read can bring together, and the large ones."""
        small: list[RowForm] = []
        large: list[RowForm] = []
        left = self._seconds / 2
        for form in forms:
            started = time.monotonic()
            with self._file.reading():
                self._check()
                whole = self._rest(form, Bound(left, STRETCH_ROWS)).last
            spent = time.monotonic() - started
            if whole and spent < left:
                small.append(form)
                left -= spent
            else:
                large.append(form)
        return small, large

    def read_now(
        self, always: Iterable[RowForm], others: Iterable[RowForm]
    ) -> dict[str, list[Row]] | RowForm:
        """The rows of these tables, by name; for use within a read transaction of the caller's.

        `always` are tables that are never large. Where there is not enough time for the others, the
        one of them that was being read.
        """
        end = time.monotonic() + self._seconds
        found = {form.name: self._rest(form, Bound(60.0, ALL_ROWS)).rows for form in always}
        for form in others:
            stretch = self._rest(form, Bound(max(end - time.monotonic(), 0), STRETCH_ROWS))
            if not stretch.last:
                return form
            found[form.name] = stretch.rows
        return found

    def _rest(self, form: RowForm, bound: Bound) -> Stretch:
        return form.walk(self._file).read(None, bound)

    def copy(self, form: RowForm) -> bool:
        """Copy a large table in many reads, again while it does not stand still meanwhile.

        Whether it did at last: two passes in a row have found the same, so the copy is of the
        moment between them, unless rows were changed there and back. Otherwise each part of it is
        as it was when it was read.
        """
        for _ in range(MOST_PASSES):
            self._copy.clear(form.name)
            copied = self._pass(form, lambda rows: self._copy.insert(form, rows, replace=True))
            if self._pass(form, lambda _: None) == copied:
                return True
        return False

    def _pass(self, form: RowForm, take: Callable[[list[Row]], None]) -> bytes:
        """Read the whole table; the digest of its rows."""
        digest = blake2b(digest_size=16)
        walk = form.walk(self._file)
        place: Row | None = None
        last = False
        while not last:
            with self._file.reading():
                self._check()
                stretch = walk.read(place, Bound(self._seconds, STRETCH_ROWS))
            for row in stretch.rows:
                digest.update(repr(row).encode())
            take(stretch.rows)
            place, last = stretch.place, stretch.last
            self._between()
        return digest.digest()
