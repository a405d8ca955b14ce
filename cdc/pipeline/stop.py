"""Stopping cleanly: one flag that every wait listens to."""

import threading


class Stop:
    """Asked for once, by a signal or a failure; asking again changes nothing."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def ask(self) -> None:
        """Ask everything to end at its next safe point. Safe in a signal handler."""
        self.event.set()

    @property
    def asked(self) -> bool:
        return self.event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait, but not beyond being asked to stop; returns whether it was."""
        return self.event.wait(seconds)


class Alarm:
    """Wakes one waiting thread. A ring while nobody waits is kept for the next wait."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ring(self) -> None:
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Wait for a ring, at most this long; returns whether it came."""
        rung = self._event.wait(seconds)
        self._event.clear()
        return rung
