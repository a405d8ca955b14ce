"""All sources at once: opened one after another, then a thread for each, until told to stop."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cdc import garbage
from cdc.ahead import take_turns
from cdc.config import Config
from cdc.errors import SourceBusy
from cdc.pipeline.archiver import Archiver
from cdc.pipeline.housekeeping import Housekeeping
from cdc.pipeline.inbox import Inbox
from cdc.pipeline.progress import SourceProgress
from cdc.pipeline.worker import SourceWorker
from cdc.postgres.connection import Target
from cdc.sqlite import surroundings
from cdc.sqlite.lock import SourceLock
from cdc.stop import Alarm, Stop

if TYPE_CHECKING:
    from cdc.sqlite.wakeup import Watch

SHOW_SECONDS: Final = 0.5

GRACE_SECONDS: Final = 5.0
"""How long PostgreSQL has to answer once a stop was asked for. Then its connections are cut: what
is under way is rolled back, and done again by the next start."""


class Daemon:
    """Replicates every source of a configuration to one target.

    `open` takes the locks and checks everything, so that whatever is wrong at the start is
    raised there and then; `run` returns when it was stopped or when nothing is left to do.
    """

    def __init__(self, config: Config, target: Target, stop: Stop) -> None:
        self._config = config
        self._target = target
        self._stop = stop
        self._locks: dict[Path, SourceLock] = {}
        self._workers: list[SourceWorker] = []
        self._archivers: list[Archiver] = []
        self._bells: dict[Path, Alarm] = {}
        self._watch: Watch | None = None
        self._timers: list[threading.Timer] = []

    @property
    def progress(self) -> list[SourceProgress]:
        """What each source is doing, in the order of the configuration."""
        return [worker.progress for worker in self._workers]

    def open(self) -> None:
        """Take the lock of every source and open it. Raises CdcError; then nothing is held."""
        garbage.collect_rarely()
        take_turns()
        self._stop.on_ask(self._end_grace)
        try:
            for source in self._config.sources:
                self._lock(source.path)
            for source in self._config.sources:
                bell = self._bells[source.path] = Alarm()
                self._stop.on_ask(bell.ring)
                lock = self._locks[source.path]
                worker = SourceWorker(
                    self._config, source, self._target, self._stop, bell, lock=lock
                )
                self._workers.append(worker)
                self._archivers.append(
                    Archiver(self._config, source, self._target, self._stop, worker.progress)
                )
                with suppress(SourceBusy):  # the worker waits for its turn, as it would later
                    worker.open()
        except BaseException:
            self.close()
            raise

    def run(
        self,
        *,
        until_caught_up: bool = False,
        show: Callable[[], None] = lambda: None,
        beside: Sequence[Callable[[], None]] = (),
    ) -> None:
        """Replicate. `show` is called about twice a second, from this thread. Each of `beside` runs
        in a thread of its own, and returns when the stop is asked for.

        Raises a source's error when one had halted by the end.
        """
        threads = [
            threading.Thread(
                target=worker.run,
                kwargs={"until_caught_up": until_caught_up},
                name=f"cdc-{worker.source.name}",
            )
            for worker in self._workers
        ]
        lasting = [threading.Thread(target=each, name="cdc-beside") for each in beside]
        housekeeping = Housekeeping(self._config, self._target, self.progress)
        inbox = Inbox(self._target, {w.source.name: w.request for w in self._workers})
        garbage.keep_all()
        try:
            lasting += [] if until_caught_up else self._begin_lasting()
            for thread in (*threads, *lasting):
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    show()
                    housekeeping.when_due()
                    if not self._stop.asked:
                        inbox.look()
                    thread.join(SHOW_SECONDS)
            if until_caught_up:
                self._finish_archives()
        finally:
            self._stop.ask()
            for thread in (*threads, *lasting):
                if thread.ident is not None:
                    thread.join()
            show()
            self.close()
        for progress in self.progress:
            if progress.error is not None:
                raise progress.error

    def _begin_lasting(self) -> list[threading.Thread]:
        """What goes on beside replication for as long as that does, and wakes it.

        It is imported here: a run that ends once it has caught up starts sooner without.
        """
        from cdc.proof.watch import DriftWatch
        from cdc.sqlite.wakeup import Watch

        self._watch = Watch()
        for path, bell in self._bells.items():
            self._watch.add(path, bell.ring)
        self._watch.start()
        drift = DriftWatch(self._config, self._target, self._stop)
        return [
            threading.Thread(target=drift.run, name="cdc-watch"),
            *(
                threading.Thread(target=archiver.run, name=f"cdc-archive-{archiver.source.name}")
                for archiver in self._archivers
            ),
        ]

    def _finish_archives(self) -> None:
        for archiver in self._archivers:
            if not self._stop.asked:
                archiver.finish()

    def close(self) -> None:
        """Let go of everything; harmless when that is done already."""
        if self._watch is not None:
            self._watch.stop()
        for worker in self._workers:
            worker.close()
        for lock in self._locks.values():
            lock.release()
        for timer in self._timers:
            timer.cancel()

    def _end_grace(self) -> None:
        timer = threading.Timer(GRACE_SECONDS, self._target.abandon)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def _lock(self, path: Path) -> None:
        surroundings.check_owner(path)
        target = self._target.description
        self._locks[path] = SourceLock.acquire(path, command="cdc run", target=target)
