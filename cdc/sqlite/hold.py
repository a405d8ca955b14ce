"""All files of a system held still at one moment, and then sealed together or let go.

While a file is held (a write transaction of ours is open), its readers go on and its writers wait
on their own busy timeout. So a hold is short, whatever its user does: when its time is up it ends
by itself, as it does with the process, and the writers that waited simply go on. Until `seal` has
committed, nothing of it is in any file.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, Self, TypeVar

from cdc.errors import HoldEnded, SealIncomplete, SourceBusy, SourceError
from cdc.sqlite import freeze
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.names import FREEZE

T = TypeVar("T")

HOLD_SECONDS: Final = 0.2
"""From the first file held to the last one flushed; below the shortest timeout of the services."""

PATIENCE_SECONDS: Final = 0.15
"""For a gap between the writes to one file. Waiting longer for it stalls who waits for another."""

FLUSH_SECONDS: Final = 0.1
"""For the readers of a file to end; from then on no other can begin."""

POLL_SECONDS: Final = 0.001


class Hold:
    """Holds every one of some files. Use it as a context; leaving it lets go of what is not sealed.

    `paths` are captured files. Those in `urgent`, whose writers have the shortest timeouts, are
    held last; before them the busy ones, and the quiet ones first. Its methods may be called from
    one thread at a time. What is read elsewhere meanwhile goes over other connections.
    """

    def __init__(
        self,
        paths: Iterable[Path],
        *,
        urgent: Collection[Path] = (),
        limit_seconds: float = HOLD_SECONDS,
    ) -> None:
        self._paths = sorted(paths, key=lambda path: (path in urgent, _last_written(path)))
        self._limit_seconds = limit_seconds
        self._stack = ExitStack()
        self._files: dict[Path, SourceFile] = {}
        self._lock = threading.Lock()
        self._state: Literal["idle", "held", "expired", "sealed"] = "idle"
        self._since = self._until = 0.0
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        """Open the files and read their schemas, so that the hold itself costs nothing but locks.

        Raises SourceUnavailable and its kin.
        """
        try:
            for path in self._paths:
                self._files[path] = self._stack.enter_context(SourceFile(path, durable=True))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._stack.close()

    @property
    def seconds(self) -> float:
        """How long the first file has been held by now, or was when that ended; 0.0 where even it
        was never free.
        """
        if not self._since:
            return 0.0
        return (time.monotonic() if self._state == "held" else self._until) - self._since

    def take(self) -> None:
        """Hold every file. Raises SourceBusy, with none held, where one is never free for long
        enough: try again a little later. The time begins with the first file.
        """
        with self._lock:
            assert self._state != "held"
            self._since = 0.0
            try:
                for path, file in self._files.items():
                    self._take_file(path, file)
            except BaseException:
                self._roll_back("idle")
                raise
            self._state = "held"
            self._timer = threading.Timer(max(0.0, self._end - time.monotonic()), self._expire)
            self._timer.daemon = True
            self._timer.start()

    def each(self, work: Callable[[SourceFile], T]) -> dict[Path, T]:
        """Do something in the open transaction of each file. Raises HoldEnded when it is over."""
        with self._lock:
            self._check_held()
            results = {}
            for path, file in self._files.items():
                with file.at_once():
                    results[path] = work(file)
            return results

    def freeze(self, reason: str) -> None:
        """Create the freeze triggers in each file: visible to nobody before the seal."""
        now = datetime.now(UTC)
        self.each(lambda file: freeze.put(file, reason, now))

    def check(self) -> None:
        """Raise HoldEnded unless every file is held still."""
        with self._lock:
            self._check_held()

    def seal(self, record_intent: Callable[[], None]) -> None:
        """Commit all files, one thread for each; they must be frozen.

        First each file shuts its readers out, for which our own must be closed; where one does not
        become free in time, all is rolled back (SourceBusy). Then `record_intent` is called, which
        must leave on the disk that files may be sealed from now on; if it raises, all is rolled
        back. Then all commit. Raises SealIncomplete where some could not: thaw those that did.
        """
        with self._lock:
            self._check_held()
            self._stop_timer()
            try:
                self._in_threads(self._flush)
                record_intent()
                self._check_time()
            except BaseException:
                self._roll_back("idle")
                raise
            failed = self._in_threads(_commit, gather=True)
            self._roll_back("sealed")
            if failed:
                raise self._incomplete(failed)

    def release(self) -> None:
        """Let go of every file that is held; harmless otherwise, and after a seal."""
        with self._lock:
            self._stop_timer()
            if self._state == "held":
                self._roll_back("idle")

    @property
    def _end(self) -> float:
        return self._since + self._limit_seconds

    def _take_file(self, path: Path, file: SourceFile) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        if self._since:
            end = min(end, self._end)
        while True:
            try:
                with file.at_once():
                    file.query("BEGIN IMMEDIATE")
            except SourceBusy as error:
                if time.monotonic() >= end:
                    raise SourceBusy(
                        f"{path} was never free of other writers for a moment, within"
                        f" {PATIENCE_SECONDS * 1000:.0f} ms."
                    ) from error
                time.sleep(POLL_SECONDS)
            else:
                self._since = self._since or time.monotonic()
                return

    def _flush(self, file: SourceFile) -> None:
        """Write what is new into the file, which takes its last lock: COMMIT then waits for none.

        That happens only where a page is dirty that nobody looks at, as that of our own row is.
        """
        end = min(time.monotonic() + FLUSH_SECONDS, self._end)
        with file.at_once():
            file.query(f"UPDATE {FREEZE} SET sealed = sealed + 1")
        while True:
            try:
                with file.at_once():
                    file.flush()
            except SourceBusy as error:
                if time.monotonic() >= end:
                    raise SourceBusy(f"{file.path} was never free of readers.") from error
                time.sleep(POLL_SECONDS)
            else:
                return

    def _incomplete(self, failed: Mapping[Path, SourceError]) -> SealIncomplete:
        sealed = ", ".join(str(path) for path in self._files if path not in failed)
        error = SealIncomplete(
            f"{', '.join(map(str, failed))} could not be sealed: {next(iter(failed.values()))}",
            hint=f"Thaw what was sealed: {sealed}." if sealed else "Nothing was sealed.",
        )
        error.__cause__ = next(iter(failed.values()))
        return error

    def _in_threads(
        self, work: Callable[[SourceFile], None], *, gather: bool = False
    ) -> dict[Path, SourceError]:
        """Do it for every file at once; the errors by file, of which the first is raised unless
        they are to be gathered.
        """
        with ThreadPoolExecutor(max(1, len(self._files)), thread_name_prefix="cdc-seal") as threads:
            begun = {path: threads.submit(work, file) for path, file in self._files.items()}
        failed: dict[Path, SourceError] = {}
        for path, each in begun.items():
            error = each.exception()
            if isinstance(error, SourceError):
                failed[path] = error
            elif error is not None:
                raise error
        if failed and not gather:
            raise next(iter(failed.values()))
        return failed

    def _check_held(self) -> None:
        if self._state != "held":
            raise HoldEnded(
                "The files are not held any more: their time was up."
                if self._state == "expired"
                else "The files are not held.",
                hint="Begin again: what was read meanwhile may be out of date.",
            )

    def _check_time(self) -> None:
        if time.monotonic() > self._end:
            raise HoldEnded(
                f"The files could not be sealed within {self._limit_seconds * 1000:.0f} ms.",
                hint="Begin again; look for a slow disk, or for readers that stay long.",
            )

    def _expire(self) -> None:
        with self._lock:
            if self._state == "held":
                self._roll_back("expired")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _roll_back(self, state: Literal["idle", "expired", "sealed"]) -> None:
        self._state = state
        for file in self._files.values():
            if file.in_transaction:
                # One that fails has nothing left to undo: SQLite has ended the transaction itself.
                with suppress(SourceError), file.at_once():
                    file.query("ROLLBACK")
        self._until = time.monotonic()


def _commit(file: SourceFile) -> None:
    with file.at_once():
        file.query("COMMIT")


def _last_written(path: Path) -> float:
    """When a file, its journal or its WAL was written last, as the file system tells."""
    newest = 0.0
    for suffix in ("", "-wal", "-journal"):
        with suppress(FileNotFoundError):  # a journal goes with every commit
            newest = max(newest, path.with_name(path.name + suffix).stat().st_mtime)
    return newest
