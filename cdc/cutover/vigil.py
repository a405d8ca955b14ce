"""When to go back by oneself: the health, look after look, for some time after a switch."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cdc.config import CutoverConfig
from cdc.cutover.health import Health
from cdc.postgres.switches import Switch


@dataclass(slots=True)
class Vigil:
    """What has been heard since the last switch. `failures` are in a row.

    One FAIL may be a moment's trouble; so many of them in a row as the configuration says, within
    its minutes, are a decision. That stands: a server that comes back is not trusted for that.
    """

    settings: CutoverConfig
    run: str = ""
    failures: int = 0
    decided: str = ""
    given_up: bool = False

    def hear(self, health: Health, switch: Switch | None) -> None:
        """Take note of a look. `switch` is the newest cutover that has switched."""
        if switch is not None and switch.run != self.run:
            self.run, self.failures, self.decided, self.given_up = switch.run, 0, "", False
        self.failures = 0 if health.passed else self.failures + 1
        enough = self.failures >= self.settings.rollback_after
        if enough and not self.decided and self._within(health.at, switch):
            self.decided = (
                f"the health failed {self.failures} times in a row, at last"
                f" {health.at:%H:%M:%S} UTC: {health.failures}"
            )

    @property
    def goes_back(self) -> bool:
        """Whether it is decided, and the operator lets it be done."""
        return bool(self.decided) and self.settings.automatic_rollback and not self.given_up

    def give_up(self) -> None:
        """Leave it to the operator: an attempt has stopped the services, and failed."""
        self.given_up = True

    def _within(self, at: datetime, switch: Switch | None) -> bool:
        """Whether the time of watching is not over; it ends so long after all was open."""
        if switch is None:
            return False
        if switch.ended_at is None:
            return True
        return at.astimezone(UTC) < switch.ended_at + timedelta(minutes=self.settings.watch_minutes)
