"""What stands around the target tables of a source: made once a table is live, all else going on.

Indexes are cheaper to build behind the rows of the first copy; a foreign key needs both its tables.
Nothing of this is remembered: at each start the catalogue says what is still to be made.
"""

import logging
from collections.abc import Iterable, Sequence

from cdc.constraints import ForeignKey, Untranslated, folded
from cdc.crossing.references import Reference, SourceReferences
from cdc.logs import fields
from cdc.mapping.terms import NotTranslatable
from cdc.pipeline.tables import ReplicatedTable
from cdc.postgres import conditions, constraints, ddl, left_out
from cdc.postgres.connection import Connection, Target
from cdc.postgres.foreign_keys import foreign_key

log = logging.getLogger(__name__)


class SourceConstraints:
    """The indexes and foreign keys of one source's tables. For one thread."""

    def __init__(
        self,
        source: str,
        tables: Iterable[ReplicatedTable],
        target: Target,
        references: Sequence[Reference] = (),
    ) -> None:
        self._source = source
        self._tables = list(tables)
        self._target = target
        self._references = SourceReferences(source, references, target)
        self._given_up: dict[tuple[str, str], str] = {}

    def complete(self) -> None:
        """Make what is missing, once every table is live, and record what cannot be made."""
        for table in self._tables:
            self._complete(table)
        self._references.complete([table.name for table in self._tables])

    def look_again(self) -> None:
        """Try again what time alone may mend; for moments in which nothing else is to do."""
        self._references.look_again()

    def give_up(self, index: str, cause: str) -> bool:
        """Drop a unique index that rows of the source violate; False where it is not ours."""
        for table in self._tables:
            design = ddl.design(table.mapped, table.constraints)
            for each in design.indexes:
                if index in (each.name, each.second_name):
                    self._given_up[table.name, each.comment] = cause
                    log.warning(
                        "The unique index %s is dropped from the target: %s.",
                        index,
                        cause,
                        extra=fields("index_dropped", source=self._source, table=table.name),
                    )
                    self._complete(table)
                    return True
        return False

    def _complete(self, table: ReplicatedTable) -> None:
        design = ddl.design(table.mapped, table.constraints)
        missing = list(design.untranslated)
        indexes = []
        for index in design.indexes:
            if (cause := self._given_up.get((table.name, index.comment))) is None:
                indexes.append(index)
            else:
                missing.append(Untranslated(f"index {index.source}", "", cause))
        with self._target.lease() as conn:
            if not table.adopted:
                missing += conditions.complete(conn, design)
            missing += constraints.make_indexes(conn, table.mapped, indexes)
            for key in table.constraints.foreign_keys:
                refused = self._foreign_key(conn, table, key)
                if refused is not None:
                    missing.append(refused)
            others = self._references.of_table(table.name)
            left_out.record(conn, self._source, table.name, missing, but=others)
        self._report(table, missing)

    def _foreign_key(
        self, conn: Connection, child: ReplicatedTable, key: ForeignKey
    ) -> Untranslated | None:
        what = f"foreign key ({', '.join(key.columns)})"
        parent = next((t for t in self._tables if folded(t.name) == folded(key.parent)), None)
        if parent is None:
            return Untranslated(what, "", f"its parent {key.parent} is not replicated")
        if not self._target.replica_role:
            why = "the role may not set session_replication_role: it has to wait for the cutover"
            return Untranslated(what, "", why)
        try:
            design = foreign_key(child.mapped, key, parent.mapped)
        except NotTranslatable as exc:
            return Untranslated(what, "", str(exc))
        return constraints.make_foreign_key(conn, design)

    def _report(self, table: ReplicatedTable, missing: list[Untranslated]) -> None:
        for each in missing:
            log.info(
                "Table %s has no %s",
                table.name,
                each,
                extra=fields("left_out", source=self._source, table=table.name),
            )
