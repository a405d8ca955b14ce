"""The last known image of every row that a log tells of, on disk, and gone with the process."""

from typing import Final

import apsw

_MAKE: Final = "CREATE TABLE image (layout, key, row, PRIMARY KEY (layout, key)) WITHOUT ROWID"


class Images:
    """Rows (bytes) by layout and key (bytes); as many as the disk has room for."""

    def __init__(self) -> None:
        # The empty name stands for a private file that SQLite unlinks as soon as it is open.
        self._db = apsw.Connection("")
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute(_MAKE)
        self._db.execute("BEGIN")  # never committed: a crash leaves nothing that is of use

    def keep(self, layout: int, key: bytes, row: bytes) -> None:
        """The row of this key is this one now."""
        self._db.execute("INSERT OR REPLACE INTO image VALUES (?, ?, ?)", (layout, key, row))

    def drop(self, layout: int, key: bytes) -> None:
        """This key has no row any more."""
        self._db.execute("DELETE FROM image WHERE layout = ? AND key = ?", (layout, key))

    def find(self, layout: int, key: bytes) -> bytes | None:
        """The row of this key, as far as it is known."""
        found = self._db.execute(
            "SELECT row FROM image WHERE layout = ? AND key = ?", (layout, key)
        ).get
        return None if found is None else bytes(found)
