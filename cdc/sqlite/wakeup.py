"""Waking a source's thread when its file was written.

A file event only wakes; it never decides what is read. Events get lost on network file systems and
in some containers, or cannot be had, so whoever waits here also looks by itself now and then.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from watchdog.events import (
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from cdc.logs import fields

log = logging.getLogger(__name__)

SUFFIXES: Final = ("", "-wal", "-journal")
"""What a commit writes: the file or its WAL; the end of a journal is the commit in DELETE mode."""

EVENTS: Final[list[type[FileSystemEvent]]] = [
    FileModifiedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
]


class _Dispatcher(FileSystemEventHandler):
    def __init__(self) -> None:
        self.bells: dict[str, Callable[[], None]] = {}

    def dispatch(self, event: FileSystemEvent) -> None:
        for path in (event.src_path, event.dest_path):
            bell = self.bells.get(path) if isinstance(path, str) else None
            if bell is not None:
                bell()


class Watch:
    """One watcher for the files of all sources."""

    def __init__(self) -> None:
        self._observer: BaseObserver | None = None
        self._dispatcher = _Dispatcher()
        self._folders: set[Path] = set()

    def add(self, file: Path, bell: Callable[[], None]) -> None:
        """Once started, call `bell` from the watcher's thread when the SQLite file is written."""
        for suffix in SUFFIXES:
            self._dispatcher.bells[f"{file}{suffix}"] = bell
        self._folders.add(file.parent)

    def start(self) -> None:
        """Begin. What the system does not let us watch is told of once, and done without."""
        unwatched: list[OSError] = []
        try:
            # It takes an instance of inotify, of which a user may not have many.
            self._observer = Observer()
            self._observer.start()
            for folder in sorted(self._folders):
                try:
                    self._observer.schedule(
                        self._dispatcher, str(folder), recursive=False, event_filter=EVENTS
                    )
                except OSError as error:  # the folder was moved, or there are too many watches
                    unwatched.append(error)
        except OSError as error:
            unwatched.append(error)
        if unwatched:
            log.warning(
                "Not every file can be watched (%s): it is looked at now and then instead. Is the"
                " limit fs.inotify.max_user_instances or max_user_watches too low?",
                unwatched[0].strerror or unwatched[0],
                extra=fields("not_watched"),
            )

    def stop(self) -> None:
        """End the watching; harmless when it never began."""
        if self._observer is not None and self._observer.is_alive():
            self._observer.stop()
            self._observer.join()
