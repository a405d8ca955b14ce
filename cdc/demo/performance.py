"""The course of the demo: follow live changes for a while, stop the services, let it drain."""

import time
from collections.abc import Sequence
from statistics import quantiles

from cdc.config import Config
from cdc.demo.fleet import Fleet, ServiceReport
from cdc.pipeline.lag import measure
from cdc.pipeline.progress import SourceProgress, SourceState
from cdc.pipeline.stop import Stop
from cdc.postgres.connection import Target


class Performance:
    """Moves the demo on; `look` is called now and then while the daemon runs."""

    def __init__(
        self,
        *,
        config: Config,
        target: Target,
        fleet: Fleet,
        sources: Sequence[SourceProgress],
        stop: Stop,
        seconds: float,
    ) -> None:
        self.reports: tuple[ServiceReport, ...] = ()
        self.complete = False
        self._config = config
        self._target = target
        self._fleet = fleet
        self._sources = sources
        self._stop = stop
        self._seconds = seconds
        self._until: float | None = None

    def look(self) -> None:
        """Take the next step of the demo when it is time for it."""
        if self._stop.asked:
            return
        if any(source.state is SourceState.HALTED for source in self._sources):
            self._stop.ask()
        elif self._until is None:
            if all(source.state is SourceState.TAILING for source in self._sources):
                self._until = time.monotonic() + self._seconds
        elif not self.reports:
            if time.monotonic() >= self._until:
                self.reports = self._fleet.stop()
        elif all(lag.lag_events == 0 for lag in measure(self._config, self._target)):
            self.complete = True
            self._stop.ask()


def percentiles(delays: Sequence[float]) -> tuple[float, float]:
    """The median and the 99th percentile, in the unit of `delays`; both 0 when there are none.

    >>> percentiles([3.0])
    (3.0, 3.0)
    """
    if len(delays) < 2:
        return (delays[0], delays[0]) if delays else (0.0, 0.0)
    cuts = quantiles(delays, n=100, method="inclusive")
    return cuts[49], cuts[98]
