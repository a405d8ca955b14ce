"""What each target table is called, given that two sources may share a schema."""

from collections.abc import Iterable

from cdc.config import Config, SourceConfig
from cdc.constraints import folded
from cdc.mapping.naming import Naming
from cdc.postgres.identifiers import target_identifier, with_hash
from cdc.postgres.state import CapturedTable


def naming_of(config: Config, source: SourceConfig) -> Naming:
    """How the configuration wants the targets of a source called."""
    schema = config.target_schema(source)
    chosen = {
        table.name: (each.name, folded(name))
        for each in config.sources
        if config.target_schema(each) == schema
        for name, table in each.tables.items()
        if table.name is not None
    }
    return Naming(schema, config.postgres.fold, chosen)


class TargetNames:
    """The names of target tables that are given out, to all sources; for one thread.

    A name that the configuration gives itself goes before all, otherwise it goes to the first table
    that asks for it. A table that is called otherwise in SQLite, and comes to the same name by
    folding alone, gets another. Tables that have the very same name keep it: that
    cannot go well, and is refused where the table is made.
    """

    def __init__(self, known: Iterable[CapturedTable] = ()) -> None:
        self._owners: dict[tuple[str, str], tuple[str, str]] = {}
        for table in known:
            key = (table.target_schema, table.target_name)
            self._owners[key] = (table.source, table.name)

    def owner(self, schema: str, name: str) -> tuple[str, str] | None:
        """The source and the table that have this name, if it is given out."""
        return self._owners.get((schema, name))

    def give(self, naming: Naming, source: str, table: str) -> str:
        """The name of the target of a table, which from now on nobody else gets."""
        name = self._name(naming, source, table)
        self._owners.setdefault((naming.schema, name), (source, table))
        return name

    def _name(self, naming: Naming, source: str, table: str) -> str:
        for name, owner in naming.chosen.items():
            if owner == (source, folded(table)):
                return target_identifier(name)
        plain = target_identifier(table, naming.fold)
        other = with_hash(table, salt=0, fold=naming.fold)
        if self.owner(naming.schema, other) == (source, table):
            return other  # it had to yield once; a name does not change without need
        holder = naming.chosen.get(plain) or self.owner(naming.schema, plain)
        if holder is None or holder[0] == source or holder[1] == table:
            return plain
        return other
