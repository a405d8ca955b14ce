"""The daemon's memory while it works off a long backlog: the peak of its resident set."""

from pathlib import Path

from bench import legacy, product, target
from bench.peak import peak
from bench.report import Figure

BOUND = ("under", 150.0)


def run(dsn: str, directory: Path, *, quick: bool) -> list[Figure]:
    """The daemon copies an almost empty table, is down while the backlog grows, and catches up."""
    events = 200_000 if quick else 2_000_000
    file = directory / "backlog.db"
    legacy.create(file, legacy.TRADES)
    legacy.fill(file, legacy.INSERT_TRADE, legacy.trades(legacy.RECENT))
    with target.database(dsn) as database:
        config = product.write_config(directory, database, [file])
        product.cdc("run", "--until-caught-up", "-c", config)
        legacy.busy(file, events)
        with product.Daemon(config, database) as daemon:
            daemon.wait_until_applied(events)
            megabytes = peak(daemon.pid)
    note = f"VmHWM of the process, after {events:,} events of a table of 25 columns"
    return [Figure("memory with a backlog", megabytes, " MB", BOUND, note)]
