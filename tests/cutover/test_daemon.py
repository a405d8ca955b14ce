"""The daemon goes in the direction that the file names, and turns when that does."""

import pytest

from tests.support.proxy import Proxy
from tests.support.switch import differences, open_files, shut, switch
from tests.support.waiting import wait_until

SHOP = """
CREATE TABLE staff (id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO staff VALUES (1, 'Ann'), (2, 'Bob');
CREATE TABLE visits (page TEXT);
INSERT INTO visits VALUES ('home');
"""


@pytest.fixture
def shop(site):
    site.sqlite(SHOP)
    site.configure()
    return site


def names(shop) -> list:
    return [name for (name,) in shop.sqlite("SELECT name FROM staff ORDER BY id")]


def test_it_follows_each_switch(shop):
    """Forward, back, through a kill, and forward again; nothing is copied anew, nothing halts."""
    daemon = shop.daemon()
    switch(shop, beside_daemon=True)
    shop.postgres("UPDATE staff SET name = 'Cy' WHERE id = 2; DELETE FROM visits")
    daemon.wait_until(lambda: names(shop) == ["Ann", "Cy"])
    daemon.wait_for("returning")
    # The rows are there before PostgreSQL hears that they are.
    daemon.wait_until(lambda: [(x.state, x.lag_events) for x in shop.lags()] == [("returning", 0)])
    daemon.kill()
    shop.postgres("INSERT INTO staff VALUES (3, 'Di')")
    (lag,) = shop.lags()
    assert (lag.returning, lag.lag_events, lag.lag_seconds > 0) == (True, 1, True)
    assert "master  PostgreSQL" in shop.cdc("status").out
    (report,) = shop.cdc("lag", "--json").json["sources"]
    assert (report["direction"], report["left_behind"], report["lag_events"]) == ("reverse", 0, 1)
    daemon = shop.start()
    daemon.wait_until(lambda: names(shop) == ["Ann", "Cy", "Di"])
    shut(shop)
    daemon.wait_until(lambda: shop.lags()[0].lag_events == 0)
    assert differences(shop) == []
    open_files(shop)
    shop.sqlite("INSERT INTO staff VALUES (4, 'Ed'); INSERT INTO visits VALUES ('x')")
    shop.wait_until_equal(daemon=daemon)
    assert names(shop) == ["Ann", "Cy", "Di", "Ed"]
    assert daemon.stop() == 0
    assert not daemon.said("halted")
    assert shop.copied_rows() == {"staff": 2, "visits": 1}


def test_it_waits_for_postgresql_on_the_way_back_too(shop):
    """A connection that is lost, or a server that is away, delays what others have written."""
    switch(shop)
    proxy = Proxy(shop.dsn)
    shop.configure(dsn=proxy.dsn)
    daemon = shop.start()
    daemon.wait_for("returning")
    for n in range(3):
        proxy.cut_all()
        shop.postgres("UPDATE staff SET name = %s WHERE id = 1", f"v{n}")
        daemon.wait_until(lambda n=n: names(shop)[0] == f"v{n}")
    proxy.close()
    shop.postgres("UPDATE staff SET name = 'last' WHERE id = 1")
    daemon.wait_for("waiting")
    assert daemon.stop() == 0
    shop.configure()
    shop.catch_up()
    assert names(shop)[0] == "last"
    wait_until(lambda: differences(shop) == [])
