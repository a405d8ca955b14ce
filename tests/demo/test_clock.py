from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest

from cdc.demo import clock


def test_computed_rule_agrees_with_the_time_zone_database():
    try:
        new_york = ZoneInfo("America/New_York")
    except ZoneInfoNotFoundError:
        pytest.skip("this machine has no time zone database")
    moment = datetime(2023, 12, 31, tzinfo=UTC)
    while moment.year < 2029:
        assert clock.new_york(moment) == moment.astimezone(new_york).replace(tzinfo=None)
        moment += timedelta(minutes=30)
