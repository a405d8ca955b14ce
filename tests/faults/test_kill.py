"""kill -9 at any moment repeats nothing and skips nothing."""

import random
import time

import pytest

FORMS = """
[sources.tables.accounts.columns]
name.type = "varchar(20)"
balance.type = "numeric"
version.type = "integer"
[sources.tables.old.columns]
a.type = "varchar(20)"
b.type = "integer"
"""


def progress(site):
    """Something that changes whenever the target does."""
    if not site.postgres("SELECT to_regclass('cdc.captured_table') IS NOT NULL")[0][0]:
        return None
    return site.postgres(
        "SELECT (SELECT sum(copied_rows) FROM cdc.captured_table),"
        " (SELECT sum(applied_seq) FROM cdc.source)"
    )


def kill_again_and_again(site, times, seed):
    chance = random.Random(seed)
    # Most columns get another form: a helper reads them, too.
    site.enlarge()
    site.configure(lock_bound_ms=1, more=FORMS)
    storm = site.storm("--seed", seed, "--journal", chance.choice(["WAL", "DELETE"]))
    for turn in range(times):
        before = progress(site)
        daemon = site.start()
        if turn % 2:
            # While it works.
            daemon.wait_until(lambda before=before: progress(site) != before)
            time.sleep(chance.random() * 0.3)
        else:
            # At any moment, its start included.
            time.sleep(chance.random() * 1.5)
        assert daemon.running, daemon.text
        daemon.kill()
    report = storm.stop()
    site.catch_up()
    site.assert_exactly_once()
    assert report.errors == []
    assert site.postgres("SELECT count(*), max(n) FROM journal") == [
        (report.commits, report.newest)
    ]


def test_kills_at_random_moments_under_load(audited):
    """Both sides end up equal, and no event was applied twice."""
    kill_again_and_again(audited, 8, seed=1)


@pytest.mark.soak
def test_a_hundred_kills_under_load(audited):
    """The same, a hundred times."""
    kill_again_and_again(audited, 100, seed=2)


def test_watcher_sees_what_is_applied_twice(audited):
    """The check of these tests is worth something: a position set back by hand is found out."""
    audited.catch_up()
    [(seq, digest)] = audited.postgres("SELECT applied_seq, applied_digest FROM cdc.source")
    audited.sqlite("UPDATE accounts SET version = 1 WHERE id < 10")
    audited.catch_up()
    audited.assert_exactly_once()
    audited.postgres("UPDATE cdc.source SET applied_seq = %s, applied_digest = %s", seq, digest)
    audited.catch_up()
    audited.assert_equal()
    twice = {what for (what,) in audited.postgres("SELECT what FROM audit.twice")}
    assert twice == {"position", *(f"account {i}" for i in range(1, 10))}
