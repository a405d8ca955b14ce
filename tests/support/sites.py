"""Where a test works: a folder with SQLite files, a database of its own, and the command.

The tests' process touches SQLite through APSW alone, as `cdc` does: two SQLite libraries on one
file in one process would drop each other's locks. Python's own sqlite3 runs in other processes.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import apsw
import psycopg
from psycopg import sql

from cdc.config import Config, load
from cdc.errors import SchemaMoved, TargetRefused
from cdc.pipeline.copying import HELPED_BYTES
from cdc.pipeline.daemon import Daemon
from cdc.pipeline.lag import SourceLag, measure
from cdc.plan.making import Selection, make_plans
from cdc.plan.plan import Plan
from cdc.plan.target import ask
from cdc.postgres import state
from cdc.postgres.connection import Target
from cdc.proof.outcome import Verdict
from cdc.proof.request import Request
from cdc.proof.sources import prove
from cdc.sqlite import introspect, log
from cdc.sqlite.connection import SourceFile
from cdc.stop import Stop
from tests.support.command import Command, RunningDaemon
from tests.support.comparison import compare_source
from tests.support.storm import Storm
from tests.support.waiting import wait_until


class Site:
    """A folder, a database, and what a test does with them."""

    def __init__(self, folder: Path, dsn: str, cdc: Command) -> None:
        self.folder = folder
        self.dsn = dsn
        self.cdc = cdc
        self.config_path = folder / "config.toml"
        self._storms: list[Storm] = []

    # The legacy side.

    def file(self, name: str = "shop.db") -> Path:
        return self.folder / name

    def sqlite(self, statements: str, *rows: Sequence[Any], name: str = "shop.db") -> list[Any]:
        """Run statements on a file, once with each of `rows` as bindings; what they return."""
        with self.connection(name) as db:
            return [found for row in rows or ((),) for found in db.execute(statements, row)]

    def enlarge(self, name: str = "shop.db") -> None:
        """Make a file large, by pages that nobody uses, so that a helper is worth its start where
        most of the columns get another form.
        """
        self.sqlite("CREATE TABLE room AS SELECT zeroblob(?)", (2 * HELPED_BYTES,), name=name)
        self.sqlite("DROP TABLE room", name=name)
        assert self.file(name).stat().st_size > 2 * HELPED_BYTES

    @contextmanager
    def connection(self, name: str = "shop.db") -> Iterator[apsw.Connection]:
        """A connection to a file, which is made where it is missing."""
        db = apsw.Connection(str(self.file(name)))
        db.set_busy_timeout(10_000)
        # What a crash of the machine would do to these data is of no interest.
        db.execute("PRAGMA synchronous = OFF")
        try:
            yield db
        finally:
            db.close()

    def storm(self, *options: object, name: str = "shop.db") -> Storm:
        """Start an application that writes to a file without rest."""
        self._storms.append(Storm(self.file(name), *options))
        return self._storms[-1]

    # The configuration and the command.

    def configure(
        self,
        *names: str,
        dsn: str = "",
        own_schemas: bool = False,
        more: str = "",
        **settings: object,
    ) -> None:
        """Write the configuration for these files (by default shop.db).

        With `own_schemas` each goes to a schema of its source's name. `settings` go to
        [replication], but for those of [postgres]; `more` is TOML that belongs to the last source.
        """
        postgres = {"dsn": dsn or self.dsn} | {
            key: settings.pop(key)
            for key in ("schema", "fold", "max_connections", "synchronous_commit")
            if key in settings
        }
        sources = [{"name": Path(n).stem, "path": n} for n in names or ("shop.db",)]
        if own_schemas:
            sources = [source | {"schema": source["name"]} for source in sources]
        parts = [_section("[postgres]", postgres), _section("[replication]", settings)]
        parts += [_section("[[sources]]", source) for source in sources]
        self.config_path.write_text("\n".join([*parts, more, ""]), encoding="utf-8")

    @property
    def config(self) -> Config:
        return load(self.config_path, environ={})

    def catch_up(self) -> None:
        """What `cdc run --until-caught-up` does, without the cost of a process of its own."""
        with self.target() as target:
            daemon = Daemon(self.config, target, Stop())
            daemon.open()
            daemon.run(until_caught_up=True)

    def plan(self) -> Plan:
        """What `cdc plan` finds, without the cost of a process of its own."""
        config = self.config
        with self.target() as target, target.lease() as conn:
            known = ask(conn, config, config.sources)
        return Plan(make_plans(config, Selection(), known, lambda *_: lambda *_: None), "")

    def daemon(self, *arguments: object, seconds: float = 30.0) -> RunningDaemon:
        """Start the daemon and wait until it follows the changes of every source, and others may
        know.
        """
        daemon = self.start(*arguments)
        names = [source.name for source in self.config.sources]
        for name in names:
            daemon.wait_for("tailing", seconds, source=name)
        # It says so a moment before it leaves the state where `cdc status` and the gates find it.
        states = "SELECT name FROM cdc.source WHERE state = 'tailing'"
        daemon.wait_until(lambda: {n for (n,) in self.postgres(states)} >= set(names), seconds)
        return daemon

    def start(self, *arguments: object) -> RunningDaemon:
        """Start the daemon."""
        return self.cdc.daemon(*arguments)

    # PostgreSQL.

    @contextmanager
    def target(self) -> Iterator[Target]:
        with Target(self.dsn) as target:
            yield target

    def postgres(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run a statement as somebody else than cdc."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            cursor = conn.execute(query.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    @property
    def advisory_waits(self) -> int:
        """How many sessions wait for an advisory lock of this database."""
        query = (
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database"
            " = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return int(self.postgres(query)[0][0])

    def columns(self, table: str, schema: str = "public") -> dict[str, str]:
        """The columns of a target table with their types, in order."""
        return dict(
            self.postgres(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
                " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
                " ORDER BY attnum",
                sql.Identifier(schema, table).as_string(None),
            )
        )

    def copied_rows(self) -> dict[str, int]:
        """How many rows of each table were copied."""
        return dict(self.postgres("SELECT name, copied_rows FROM cdc.captured_table"))

    def created(self) -> dict[str, Any]:
        """What makes a target table that very table: its identity in the catalogue."""
        return dict(
            self.postgres(
                "SELECT name, format('%I.%I', target_schema, target_name)::regclass::oid"
                " FROM cdc.captured_table"
            )
        )

    # Both.

    def lags(self) -> list[SourceLag]:
        with self.target() as target:
            return measure(self.config, target)

    def caught_up(self) -> bool:
        """Whether every table is copied, and every event so far applied."""
        return all(lag.settled and lag.lag_events == 0 for lag in self.lags())

    def differences(self) -> list[str]:
        """Where the two sides are not equal, row by row; for sources at rest.

        Where there is nothing, the proof must find nothing either.
        """
        found = []
        with self.target() as target:
            for source in self.config.sources:
                try:
                    compared = compare_source(source, target)
                except (SchemaMoved, TargetRefused) as error:
                    found.append(str(error))
                    continue
                found += [str(c) for c in compared if not c.equal]
                wanted = self._wanted(source.path, source.captures)
                if missing := wanted - {c.table for c in compared}:
                    found.append(f"not captured: {missing}")
            if not found:
                # No assertion: whoever waits for both sides to be equal may look too early.
                for source in prove(self.config, target, Request(full=True)).sources:
                    wanted = self._wanted(self.config.source(source.name).path, lambda _: True)
                    # A table that is gone from SQLite waits for a decision; nothing is to compare.
                    unproven = [t for t in source.tables if t.name in wanted and not t.equal]
                    if source.problem or unproven:
                        found.append(f"not proven: {source.problem} {unproven}")
        return found

    def prove(self, *, full: bool = False, watch: Any = nullcontext, **request: Any) -> Verdict:
        """What `cdc verify` does, without the cost of a process of its own."""
        with self.target() as target:
            return prove(self.config, target, Request(full=full, **request), watch=watch)

    def assert_equal(self) -> None:
        """Every row of every table is equal on both sides; for sources at rest."""
        assert self.differences() == []

    def wait_until_equal(self, seconds: float = 30.0, daemon: RunningDaemon | None = None) -> None:
        """Wait until both sides are equal, once the sources are at rest."""
        wait_until(
            lambda: self.caught_up() and not self.differences(),
            seconds,
            what=lambda: [self.differences(), self.lags(), daemon.text if daemon else ""],
        )

    def assert_position_exact(self) -> None:
        """The target stands at the last event of each log, and knows that very event."""
        with self.target() as target, target.lease() as conn:
            for source in self.config.sources:
                known = state.source(conn, source.name)
                assert known is not None
                with SourceFile(source.path) as file, file.reading():
                    end = log.end(file)
                assert (known.applied_seq, known.applied_digest or b"") == (end.seq, end.digest)

    def close(self) -> None:
        for storm in self._storms:
            storm.kill()

    def _wanted(self, path: Path, captures: Any) -> set[str]:
        with SourceFile(path) as file, file.reading():
            return {name for name in introspect.table_names(file) if captures(name)}


def _section(header: str, values: Mapping[str, object]) -> str:
    # What stands in these files has the same form in JSON and TOML.
    return "\n".join([header, *(f"{key} = {json.dumps(value)}" for key, value in values.items())])
