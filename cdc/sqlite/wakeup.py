"""Waking a source's thread when its file was written.

A file event only wakes; it never decides what is read. Events get lost on network file systems and
in some containers, so whoever waits here also looks by itself now and then.
"""

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
        self._observer = Observer()
        self._dispatcher = _Dispatcher()
        self._folders: set[Path] = set()

    def add(self, file: Path, bell: Callable[[], None]) -> None:
        """Call `bell` from the watcher's thread whenever the SQLite file is written."""
        for suffix in SUFFIXES:
            self._dispatcher.bells[f"{file}{suffix}"] = bell
        if file.parent not in self._folders:
            self._folders.add(file.parent)
            self._observer.schedule(
                self._dispatcher, str(file.parent), recursive=False, event_filter=EVENTS
            )

    def start(self) -> None:
        self._observer.start()

    def stop(self) -> None:
        """End the watching; harmless when it never began."""
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()
