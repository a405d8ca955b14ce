"""The foreign keys of the configuration, whose two tables are of different files as a rule.

Each file has a thread of its own. Whichever of the two is copied last finds both tables live in the
catalogue and makes the key; both look again when their file is quiet, since the rows of two files
never arrive at one moment, and a child may be there before its parent.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.config import Config, ForeignKeyConfig
from cdc.config.references import table_of
from cdc.constraints import ForeignKey, Untranslated, folded
from cdc.errors import ConfigError
from cdc.logs import fields
from cdc.mapping.terms import NotTranslatable
from cdc.postgres import advisory, constraints, left_out, references
from cdc.postgres.connection import Connection, Target
from cdc.postgres.foreign_keys import ForeignKeyDesign, foreign_key_between
from cdc.postgres.state import CapturedTable

log = logging.getLogger(__name__)

TURN_SECONDS: Final = 10.0
"""For the other source's thread to be done with a key; otherwise the next look will do."""

FIRST_PAUSE_SECONDS: Final = 10.0
LONGEST_PAUSE_SECONDS: Final = 3_600.0
"""Between two counts of the orphans that keep a key from being valid; each reads both tables."""


@dataclass(frozen=True, slots=True)
class End:
    """A table by its source and its name in SQLite."""

    source: str
    table: str

    def is_table(self, source: str, name: str) -> bool:
        return self.source == source and folded(self.table) == folded(name)

    def __str__(self) -> str:
        return f"{self.source}.{self.table}"


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key of the configuration."""

    child: End
    parent: End
    key: ForeignKey

    @property
    def what(self) -> str:
        """How `cdc status` calls it."""
        return f"foreign key ({', '.join(self.key.columns)}) to {self.parent}"

    @property
    def ends(self) -> tuple[tuple[End, tuple[str, ...]], ...]:
        return (self.child, self.key.columns), (self.parent, self.key.parent_columns)


def references_of(config: Config) -> list[Reference]:
    """All foreign keys that the configuration asks for."""
    return [_reference(config, key) for key in config.foreign_keys]


def check(config: Config, source: str, tables: Mapping[str, Sequence[str]]) -> None:
    """Raise ConfigError where a foreign key is about a table or column that `source` has not.

    `tables` are its captured tables with their columns.
    """
    known = {folded(name): columns for name, columns in tables.items()}
    for reference in references_of(config):
        for end, columns in reference.ends:
            if end.source != source:
                continue
            if (has := known.get(folded(end.table))) is None:
                raise ConfigError(
                    f"[[foreign_keys]]: source {source} has no captured table {end.table!r}.",
                    hint=f"Its captured tables are {', '.join(sorted(tables)) or 'none'}.",
                )
            for column in columns:
                if folded(column) not in map(folded, has):
                    raise ConfigError(
                        f"[[foreign_keys]]: table {end} has no column {column!r}.",
                        hint=f"Its columns are {', '.join(has)}.",
                    )


class SourceReferences:
    """The foreign keys in which one source has a part. For one thread."""

    def __init__(self, source: str, all_references: Sequence[Reference], target: Target) -> None:
        self._source = source
        self._target = target
        self._all = all_references
        self._wanted = [r for r in all_references if source in (r.child.source, r.parent.source)]
        self._open = list(self._wanted)
        self._pause = FIRST_PAUSE_SECONDS
        self._next = 0.0

    def of_table(self, name: str) -> list[str]:
        """How the keys are called that this table of the source has."""
        return [r.what for r in self._wanted if r.child.is_table(self._source, name)]

    def complete(self, tables: Sequence[str]) -> None:
        """Make what can be made by now, once these tables, all of the source, are live."""
        own = [End(self._source, name) for name in tables]
        with self._target.lease() as conn:
            for child in {
                str(end): end for end in (*own, *(r.child for r in self._wanted))
            }.values():
                self._drop_unwanted(conn, child)
        self._make()

    def look_again(self) -> None:
        """Try again what was not to be had, where the time for that has come; for quiet moments."""
        if self._open and time.monotonic() >= self._next:
            self._make()
            self._next = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    def _make(self) -> None:
        still_open = []
        for reference in self._open:
            missing = self._looked_at(reference)
            if missing is not None:
                still_open.append(reference)
                log.info(
                    "Table %s has no %s",
                    reference.child,
                    missing,
                    extra=fields("left_out", source=self._source, table=reference.child.table),
                )
        self._open = still_open

    def _looked_at(self, reference: Reference) -> Untranslated | None:
        """Make one where that is possible, and record what is missing, in this source's turn: the
        other one's thread may do the same, and who looks last must be who records last.
        """
        key = advisory.key_of(f"cdc reference {reference.child} {reference.what}")
        with (
            self._target.lease() as conn,
            advisory.held(conn, key, patience=TURN_SECONDS) as is_our_turn,
        ):
            if not is_our_turn:
                return Untranslated(reference.what, "", "the other source's thread is at it")
            child, parent = (
                references.captured_table(conn, end.source, end.table) for end, _ in reference.ends
            )
            missing = self._make_one(conn, reference, child, parent)
            if child is not None:
                left_out.record_one(conn, child.source, child.name, reference.what, missing)
            return missing

    def _make_one(
        self,
        conn: Connection,
        reference: Reference,
        child: CapturedTable | None,
        parent: CapturedTable | None,
    ) -> Untranslated | None:
        if not self._target.replica_role:
            why = "the role may not set session_replication_role: it has to wait for the cutover"
            return Untranslated(reference.what, "", why)
        if child is None or parent is None:
            missing = reference.child if child is None else reference.parent
            return Untranslated(reference.what, "", f"there is no target of {missing}")
        if not child.state == parent.state == "live":
            return Untranslated(reference.what, "", "not both of its tables are copied yet")
        try:
            design = design_of(conn, reference, child, parent)
        except NotTranslatable as exc:
            return Untranslated(reference.what, "", str(exc))
        refused = constraints.make_foreign_key(conn, design)
        return refused and Untranslated(reference.what, "", refused.reason)

    def _drop_unwanted(self, conn: Connection, child: End) -> None:
        """Drop what an earlier configuration asked for, unless not all can be known by now."""
        table = references.captured_table(conn, child.source, child.table)
        if table is None:
            return
        wanted = []
        for reference in self._all:
            if not reference.child.is_table(child.source, child.table):
                continue
            end = reference.parent
            parent = references.captured_table(conn, end.source, end.table)
            if parent is None:
                return
            try:
                wanted.append(design_of(conn, reference, table, parent))
            except NotTranslatable:
                continue  # such a key goes, too
        constraints.drop_unwanted(conn, table.target_schema, table.target_name, wanted)


def _reference(config: Config, key: ForeignKeyConfig) -> Reference:
    sources = [source.name for source in config.sources]
    return Reference(
        End(*table_of(key.from_, sources)),
        End(*table_of(key.to, sources)),
        ForeignKey(key.columns, key.to, key.to_columns, on_delete=key.on_delete.upper()),
    )


def design_of(
    conn: Connection, reference: Reference, child: CapturedTable, parent: CapturedTable
) -> ForeignKeyDesign:
    """The key between the targets as they are. Raises NotTranslatable."""
    own = references.end(conn, child, reference.key.columns)
    referred = references.end(conn, parent, reference.key.parent_columns)
    return references.configured(foreign_key_between(own, reference.key, referred))
