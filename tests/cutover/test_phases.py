"""What a phase says when it takes too long."""

import pytest

from cdc.cutover import phases
from cdc.cutover.phases import Clock, Report, unseen
from cdc.errors import TargetUnavailable
from cdc.postgres.translate import translated


def ask(site, words, seconds, monkeypatch):
    """Ask PostgreSQL for something that takes a second, in a phase that may take so many."""
    monkeypatch.setattr(phases, "GRACE_SECONDS", 0.0)
    report = Report("run", "forward")
    with site.target() as target:
        clock = Clock(report, target, {"proof": seconds}, tell=unseen, keep=unseen)
        with clock.phase("proof", "proving"), target.lease() as conn, translated("prove it"):
            conn.execute(words)
    return report


def test_phase_that_is_cut_off_says_that_it_was(site, monkeypatch):
    """And not what became of the connection."""
    with pytest.raises(TargetUnavailable, match=r"proof was not over after 0\.2 s") as cut:
        ask(site, "SELECT pg_sleep(10)", 0.2, monkeypatch)
    assert "cdc verify" in cut.value.hint


def test_server_that_is_lost_before_that_is_said_to_be(site, monkeypatch):
    """Its own words tell more."""
    with pytest.raises(TargetUnavailable, match="could not prove it"):
        ask(site, "SELECT pg_terminate_backend(pg_backend_pid())", 60.0, monkeypatch)


def test_phase_in_time_is_measured(site, monkeypatch):
    report = ask(site, "SELECT 1", 60.0, monkeypatch)
    assert 0 < report.phases[0].seconds < 60
