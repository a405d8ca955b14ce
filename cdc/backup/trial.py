"""A backup tried: restored into scratch databases, brought to one moment there, and compared."""

import time
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from cdc.backup import restoring
from cdc.backup.manifest import Manifest, Trial
from cdc.backup.progress import Progress
from cdc.config import Config
from cdc.pipeline.daemon import Daemon
from cdc.postgres import scratch, stopped
from cdc.postgres.connection import Connection, Target
from cdc.proof.outcome import TableOutcome, Verdict
from cdc.proof.request import Request
from cdc.proof.sources import prove
from cdc.stop import Stop

PURPOSE: Final = "try"

CONNECTIONS: Final = 5


class BackupTrial:
    """Tries one backup on the server that it was made of; nothing of it is left afterwards."""

    def __init__(self, config: Config, dsn: str, stop: Stop, progress: Progress) -> None:
        self._config = config
        self._dsn = dsn
        self._stop = stop
        self._progress = progress

    def run(self, conn: Connection, folder: Path, kept: Manifest, files: Path) -> Trial:
        """Restore and compare; the SQLite files go into the new directory `files`.

        Raises CdcError where the restore itself fails.
        """
        started = time.monotonic()
        name = scratch.name_for(conn, PURPOSE)
        dsn = scratch.dsn_of(self._dsn, name)
        self._progress.begin("restoring PostgreSQL on trial")
        scratch.create(conn, name)
        try:
            version = conn.info.server_version // 10_000
            restoring.fill_database(folder, kept, dsn, version, self._tick)
            with Target(dsn, max_connections=CONNECTIONS) as target:
                with target.lease() as restored:
                    self._progress.begin("comparing PostgreSQL with its dump")
                    restoring.compare_contents(restored, kept)
                    restoring.settle(restored, kept)
                verdict = self._prove(target, dsn, folder, kept, files)
                with target.lease() as restored:
                    waiting = _waiting(restored, kept)
        finally:
            scratch.drop(conn, name)
        return _trial(kept, verdict, waiting, time.monotonic() - started)

    def _tick(self) -> None:
        if self._stop.asked:
            raise KeyboardInterrupt

    def _prove(
        self, target: Target, dsn: str, folder: Path, kept: Manifest, files: Path
    ) -> Verdict | None:
        if not kept.sources:
            return None
        files.mkdir(mode=0o700)
        for source in kept.sources:
            restoring.put_file(folder, source, files / f"{source.name}.db", self._progress)
        config = _scratch_config(self._config, kept, dsn, files)
        self._progress.begin("applying what came after the dump")
        inner = Stop()
        self._stop.on_ask(inner.ask)
        daemon = Daemon(config, target, inner)
        daemon.open()
        daemon.run(until_caught_up=True, show=self._tick)
        self._progress.begin("comparing both sides")
        verdict = prove(config, target, Request(full=True), wait=self._stop.wait)
        self._tick()  # a proof that was cut short says nothing of the backup
        return verdict


def _scratch_config(config: Config, kept: Manifest, dsn: str, files: Path) -> Config:
    """The configuration, for these sources as they were restored, and for nothing besides."""
    names = {source.name for source in kept.sources}
    return replace(
        config,
        path=files / "config.toml",
        postgres=replace(config.postgres, dsn=dsn, max_connections=CONNECTIONS),
        sources=tuple(
            replace(source, path=files / f"{source.name}.db")
            for source in config.sources
            if source.name in names
        ),
        foreign_keys=tuple(
            key
            for key in config.foreign_keys
            if {key.from_.partition(".")[0], key.to.partition(".")[0]} <= names
        ),
        replication=replace(config.replication, min_free_disk_mb=0, disk_alarm_hours=0.0),
        archive=replace(config.archive, enabled=False, prune="never"),
        hooks=(),
    )


def _waiting(conn: Connection, kept: Manifest) -> dict[str, str]:
    """The tables that wait for a decision, as they do in the databases themselves."""
    return {
        f"{source.name}.{table.name}": table.reason
        for source in kept.sources
        for table in stopped.stopped_tables(conn, source.name)
    }


def _trial(
    kept: Manifest, verdict: Verdict | None, waiting: dict[str, str], seconds: float
) -> Trial:
    if verdict is None:  # PostgreSQL is master: there is nothing to compare with but itself
        held = kept.database.tables.values()
        return Trial(
            equal=True,
            seconds=seconds,
            tables=len(held),
            rows=sum(table.rows for table in held),
            not_proven={},
        )
    failed = {s.name: s.problem for s in verdict.sources if s.problem}
    tables = {f"{s.name}.{t.name}": t for s in verdict.sources for t in s.tables}
    unequal = {name: _reason(t) for name, t in tables.items() if not (t.equal and t.sound)}
    return Trial(
        equal=not failed and unequal.keys() <= waiting.keys(),
        seconds=seconds,
        tables=len(tables) - len(unequal),
        rows=sum(table.rows for table in tables.values()),
        not_proven=unequal | failed,
    )


def _reason(table: TableOutcome) -> str:
    """Why a table is not proven, in a few words."""
    findings = [finding.text for finding in table.findings if finding.contradicts]
    counts = (
        (table.missing, "missing"),
        (table.extra, "extra"),
        (table.different, "different"),
        (table.owed, "not compared"),
    )
    rows = [f"{count} rows {what}" for count, what in counts if count]
    return "; ".join([*([table.problem] if table.problem else []), *rows, *findings])
