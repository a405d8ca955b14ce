"""A backup made: PostgreSQL at one moment, each file with the events from there on; then tried.

The positions are read in the very snapshot that pg_dump reads. Each file is copied at a later end
of its log, and its copy keeps the events from the position on: so the restored pair is consistent,
and a daemon brings PostgreSQL to the files' own moment by itself. While PostgreSQL is master there
is nothing that its files could add: then the backup is of PostgreSQL alone.
"""

import shutil
import stat
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from cdc import __version__
from cdc.backup import manifest, room
from cdc.backup.holding import Holding
from cdc.backup.manifest import KeptDatabase, KeptSource, KeptTable, Manifest
from cdc.backup.progress import Progress
from cdc.backup.shelf import Shelf
from cdc.backup.trial import PURPOSE, BackupTrial
from cdc.config import Config, SourceConfig
from cdc.errors import BackupError, CdcError, TargetRefused
from cdc.postgres import exported, hold_back, scratch, state, tools
from cdc.postgres.connection import Connection, Target
from cdc.postgres.gate import Gate, read_gate
from cdc.sqlite import replica, surroundings
from cdc.sqlite.connection import SourceFile, look_at
from cdc.stop import Stop

DUMP: Final = "postgres.dump"
SOURCES: Final = "sources"
TRIAL: Final = "trial"

CONNECTIONS: Final = 3
"""That a backup needs: one that is idle in the snapshot, one for everything else, and one more."""


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it: `folder` is where the backup is, whose trial says whether it is one.

    `swept` are the left-overs of killed backups that were deleted, `expired` older backups.
    """

    folder: Path
    kept: Manifest
    swept: list[str]
    expired: list[str]


class BackupMaking:
    """Makes one backup of some sources. `progress` may be looked at from another thread."""

    def __init__(  # noqa: PLR0917  (all that a backup is about)
        self,
        config: Config,
        dsn: str,
        target: Target,
        sources: Sequence[SourceConfig],
        shelf: Shelf,
        stop: Stop,
    ) -> None:
        self._config = config
        self._dsn = dsn
        self._target = target
        self._sources = sources
        self._shelf = shelf
        self._stop = stop
        self.progress = Progress()

    def run(self) -> Made:
        """Make it, try it, and let older ones go. Raises CdcError, or KeyboardInterrupt where it
        was stopped; then nothing is left of it.
        """
        try:
            return self._run()
        except OSError as error:
            raise BackupError(
                f"The backup could not be made: {error}.",
                hint=f"See the disk, and that this user may write in {self._shelf.directory}.",
            ) from error

    def _run(self) -> Made:
        with (
            self._shelf.alone(),
            self._target.lease() as conn,
            scratch.alone(conn, PURPOSE),
        ):
            swept = self._shelf.sweep()
            self._check(conn)
            scratch.drop(conn, scratch.name_for(conn, PURPOSE))
            folder = self._shelf.begin()
            try:
                kept = self._make(conn, folder)
                trial = BackupTrial(self._config, self._dsn, self._stop, self.progress)
                kept = replace(kept, trial=trial.run(conn, folder, kept, folder / TRIAL))
                if kept.sources:
                    shutil.rmtree(folder / TRIAL)
                manifest.write(folder, kept)
            except BaseException as error:
                shutil.rmtree(folder, ignore_errors=True)  # or its error would hide the cause
                if self._stop.asked and isinstance(error, CdcError | OSError):
                    raise KeyboardInterrupt from error
                raise
            if kept.trial is None or not kept.trial.equal:
                return Made(folder, kept, swept, [])
            folder = self._shelf.finish(folder)
            return Made(folder, kept, swept, self._shelf.keep(self._config.backup.keep))

    def _check(self, conn: Connection) -> None:
        """Raise where something is missing that the backup or its trial will need.

        While PostgreSQL is master there are no files to be backed up.
        """
        identity = state.identity(conn)
        if identity is None:
            raise TargetRefused(
                "nothing was ever replicated to this target", hint="Start cdc run first."
            )
        if identity.version < hold_back.SINCE_VERSION:
            raise TargetRefused(
                f"the schema cdc has version {identity.version}, and a backup needs"
                f" {hold_back.SINCE_VERSION}",
                hint="Start this version's cdc run once: it brings the schema up to date.",
            )
        if read_gate(conn).open:
            self._sources = ()  # after cdc finish the files may even be gone
        for source in self._sources:
            surroundings.check_owner(source.path)
        scratch.check_right(conn)
        self._tool(conn)
        tools.find("pg_restore", self._tool(conn).version)
        self._check_room(conn)

    def _tool(self, conn: Connection) -> tools.Tool:
        return tools.find("pg_dump", conn.info.server_version // 10_000)

    def _check_room(self, conn: Connection) -> None:
        files = sum(look_at(source.path).st_size for source in self._sources)
        database = exported.table_bytes(conn)
        # Each file is there twice while it is tried; a dump is rarely as large as its tables.
        needs = {self._shelf.directory: 2 * files + database}
        server = scratch.data_directory(conn)
        if server is not None:
            needs[server] = needs.get(server, 0) + database
        room.check(needs)

    def _make(self, conn: Connection, folder: Path) -> Manifest:
        began_at = datetime.now(UTC)
        names = [source.name for source in self._sources]
        with ExitStack() as stack:
            holding = stack.enter_context(Holding(conn, partial(self._positions, conn, names)))
            moment = stack.enter_context(self._target.lease())
            self._stop.on_ask(partial(exported.cut_short, moment))
            snapshot = stack.enter_context(exported.exported(moment))
            gate = read_gate(moment)
            known = {each.name: each for each in state.sources(moment)}
            if gone := [name for name in names if name not in known]:
                raise BackupError(
                    f"{', '.join(gone)} was uninstalled while the backup was made.",
                    hint="Run it again, without that source.",
                )
            database = self._dump(moment, snapshot, folder, gate, holding)
            sources = self._copy_files(folder, known, holding)
            if read_gate(conn) != gate or (gate.open and self._sources):
                raise BackupError(
                    "The master changed while the backup was made.", hint="Run it again."
                )
        return Manifest(
            cdc=__version__,
            began_at=began_at,
            ended_at=datetime.now(UTC),
            database=database,
            sources=sources,
        )

    def _positions(self, conn: Connection, names: Sequence[str]) -> dict[str, int]:
        known = {each.name: each.applied_seq for each in state.sources(conn)}
        unknown = [name for name in names if name not in known]
        if unknown:
            raise TargetRefused(
                f"{', '.join(unknown)} was never replicated to this target",
                hint="Start cdc run first, or name the sources with --source.",
            )
        return {name: known[name] for name in names}

    def _dump(
        self, moment: Connection, snapshot: str, folder: Path, gate: Gate, holding: Holding
    ) -> KeptDatabase:
        """Have pg_dump read the moment, while the server tells what its tables hold."""
        tool = self._tool(moment)
        self.progress.begin("dumping PostgreSQL", unit="bytes")
        path = folder / DUMP
        arguments = ["--format=custom", f"--snapshot={snapshot}", f"--file={path}"]

        def tick() -> None:
            self._check_stop()
            holding.renew()
            self.progress.done = path.stat().st_size if path.exists() else 0

        with tools.Running(tool, self._dsn, arguments) as running:
            contents = exported.contents(moment)
            running.wait(tick)
        identity = state.identity(moment)
        assert identity is not None
        return KeptDatabase(
            name=moment.info.dbname,
            server_version=moment.info.server_version // 10_000,
            dump_version=tool.version,
            target_id=identity.id,
            master=gate.open,
            file=self._describe(folder, DUMP),
            tables={
                name: KeptTable(rows=each.rows, digest=each.digest)
                for name, each in contents.items()
            },
            roles=tuple(exported.grantees(moment)),
        )

    def _copy_files(
        self, folder: Path, known: Mapping[str, state.Source], holding: Holding
    ) -> tuple[KeptSource, ...]:
        if self._sources:
            (folder / SOURCES).mkdir(mode=0o700)
        return tuple(
            self._copy_file(source, known[source.name], folder, holding) for source in self._sources
        )

    def _copy_file(
        self, source: SourceConfig, known: state.Source, folder: Path, holding: Holding
    ) -> KeptSource:
        before = 0
        self.progress.begin(f"copying {source.name}")

        def advance(_: str, rows: int, __: int | None) -> None:
            nonlocal before
            holding.renew()
            self.progress.add(rows - before if rows >= before else rows)
            before = rows

        name = f"{SOURCES}/{source.name}.db"
        with SourceFile(source.path) as file:
            journal_mode = file.query("PRAGMA journal_mode").get
            made = replica.make(
                file,
                folder / name,
                lock_bound_seconds=self._config.replication.lock_bound_ms / 1000,
                log_from=known.applied_seq,
                advance=advance,
                stopped=lambda: self._stop.asked,
            )
        self._check_stop()
        assert made is not None
        replica.set_journal_mode(made.path, journal_mode)
        if made.log_id != known.log_id:
            raise BackupError(
                f"{source.path} holds another log than the one that was replicated.",
                hint="cdc status, or cdc run, says what to do.",
            )
        return KeptSource(
            name=source.name,
            path=str(source.path),
            mode=stat.S_IMODE(look_at(source.path).st_mode),
            file=self._describe(folder, name),
            log_id=made.log_id,
            position=known.applied_seq,
            end=made.end.seq,
            rows=made.rows,
            unsettled=made.unsettled,
        )

    def _describe(self, folder: Path, name: str) -> manifest.KeptFile:
        total = (folder / name).stat().st_size
        self.progress.begin(f"reading {name}", total=total, unit="bytes")
        return manifest.describe(folder, name, self.progress.add)

    def _check_stop(self) -> None:
        if self._stop.asked:
            raise KeyboardInterrupt
