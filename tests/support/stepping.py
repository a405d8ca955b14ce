"""A source replicated in the test's own process, step by step: the test says where it stops."""

from collections.abc import Callable

from cdc.config import Config, SourceConfig
from cdc.pipeline.progress import SourceProgress
from cdc.pipeline.replicate import Replication
from cdc.pipeline.session import SessionEnded, open_session
from cdc.postgres.connection import Target
from cdc.stop import Stop


class Stepper:
    """The daemon's work on one source, without its thread and its waiting."""

    def __init__(
        self,
        config: Config,
        source: SourceConfig,
        target: Target,
        *,
        before_opening: Callable[[], object] = lambda: None,
    ) -> None:
        self.progress = SourceProgress(source.name)
        self._before_opening = before_opening
        self._config = config
        self._source = source
        self._target = target
        self._replication: Replication | None = None

    def step(self) -> bool:
        """Do one piece of work; False where there was nothing to do."""
        if self._replication is None:
            self._replication = self._open()
        try:
            return self._replication.step()
        except SessionEnded:
            self.close()
            return True

    def run(self, most: int = 10_000) -> None:
        """Go on until there is nothing to do, for so many steps at most."""
        for _ in range(most):
            if not self.step():
                return

    def close(self) -> None:
        """End the session, as a stop of the daemon does."""
        if self._replication is not None:
            self._replication.close()
            self._replication = None

    def _open(self) -> Replication:
        self._before_opening()
        session = open_session(self._config, self._source, self._target, Stop())
        return Replication(
            self._source.name,
            session,
            self._target,
            self._config.replication,
            self.progress,
            synchronous_commit=False,
        )
