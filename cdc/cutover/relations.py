"""The foreign keys between target tables, each with what becomes of rows that refer to none."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cdc.config import Config
from cdc.config.references import Orphans
from cdc.constraints import ForeignKey, folded
from cdc.crossing.pairs import Pair, pairs
from cdc.crossing.references import references_of
from cdc.mapping.table import MappedTable
from cdc.postgres import orphans
from cdc.postgres.connection import Connection, Target
from cdc.postgres.foreign_keys import ForeignKeyDesign
from cdc.proof.integrity import configured_keys, wanted_keys
from cdc.sqlite.connection import SourceFile


@dataclass(frozen=True, slots=True)
class Relation:
    """A foreign key between two target tables. `columns` are SQLite's names, `called` are the ways
    in which `cdc status` calls the key where it lacks something, and `policy` says what becomes of
    rows that refer to none.
    """

    source: str
    child: MappedTable
    parent_source: str
    parent: MappedTable
    columns: tuple[str, ...]
    design: ForeignKeyDesign
    policy: Orphans
    called: tuple[str, ...]

    def __str__(self) -> str:
        to = f"{self.parent_source}.{self.parent.source.name}"
        return f"{self.source}.{self.child.source.name} ({', '.join(self.columns)}) → {to}"

    @property
    def to_key(self) -> bool:
        """Whether rows refer to their parent by the key that its events name."""
        key = {column.name for column in self.parent.key_columns}
        return key == set(self.design.parent_columns)


def made(config: Config, target: Target) -> list[Relation]:
    """The foreign keys that PostgreSQL has, and those that it gets after the switch."""
    with target.lease() as conn:
        return [
            relation
            for relation in relations_of(conn, config)
            if waits(target) or orphans.is_valid(conn, relation.design) is not None
        ]


def waits(target: Target) -> bool:
    """Whether foreign keys have to wait for the switch: cdc's own writes would meet them before, as
    its role may not set session_replication_role. Known once there was a connection.
    """
    return target.replica_role is False


def relations_of(conn: Connection, config: Config) -> list[Relation]:
    """Every foreign key that PostgreSQL can have. Raises TargetRefused, SourceError."""
    found = {}
    for source in config.sources:
        with SourceFile(source.path) as file:
            found[source.name] = pairs(conn, file, source.name)
    return [*_of_files(config, found), *_of_configuration(conn, config, found)]


def _of_files(config: Config, found: Mapping[str, Sequence[Pair]]) -> Iterator[Relation]:
    for source in config.sources:
        tables = {pair.captured.name: pair.mapped for pair in found[source.name]}
        for pair in found[source.name]:
            settings = source.tables.get(pair.captured.name)
            if settings is not None and settings.existing:
                continue  # its keys were made by hand
            policies = {} if settings is None else settings.orphans
            for key in pair.captured.source.constraints.foreign_keys:
                (wanted,) = wanted_keys(pair.mapped, [key], tables)
                parent = _table(found[source.name], key.parent)
                if parent is not None and isinstance(wanted.design, ForeignKeyDesign):
                    yield Relation(
                        source.name,
                        pair.mapped,
                        source.name,
                        parent,
                        key.columns,
                        wanted.design,
                        _policy(policies, key),
                        (
                            f"foreign key {wanted.design.name}",
                            f"foreign key ({', '.join(key.columns)})",
                        ),
                    )


def _of_configuration(
    conn: Connection, config: Config, found: Mapping[str, Sequence[Pair]]
) -> Iterator[Relation]:
    for reference, asked in zip(references_of(config), config.foreign_keys, strict=True):
        child = _table(found[reference.child.source], reference.child.table)
        parent = _table(found[reference.parent.source], reference.parent.table)
        if child is None or parent is None:
            continue
        for wanted in configured_keys(conn, reference.child.source, child.source.name, [reference]):
            if isinstance(wanted.design, ForeignKeyDesign):
                yield Relation(
                    reference.child.source,
                    child,
                    reference.parent.source,
                    parent,
                    asked.columns,
                    wanted.design,
                    asked.orphans,
                    (reference.what,),
                )


def _table(found: Sequence[Pair], name: str) -> MappedTable | None:
    return next((p.mapped for p in found if folded(p.captured.name) == folded(name)), None)


def _policy(policies: Mapping[str, Orphans], key: ForeignKey) -> Orphans:
    columns = ", ".join(map(folded, key.columns))
    known = {", ".join(folded(c.strip()) for c in k.split(",")): v for k, v in policies.items()}
    return known.get(columns, "refuse")
