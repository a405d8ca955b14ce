"""Switching a site over and back, in the steps that a cutover will take, without its gates."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from cdc.pipeline.reverse import ReverseFlow
from cdc.postgres.gate import close_gate, open_gate, read_gate
from cdc.sqlite import direction, freeze
from cdc.sqlite.connection import SourceFile
from tests.support.comparison import compare_source
from tests.support.sites import Site
from tests.support.waiting import wait_until


def switch(site: Site, *, beside_daemon: bool = False) -> int:
    """PostgreSQL is master from now on; the epoch."""
    if beside_daemon:
        wait_until(site.caught_up)
    else:
        site.catch_up()
    with site.target() as target, target.lease() as conn:
        epoch = read_gate(conn).epoch
        for source in site.config.sources:
            with SourceFile(source.path) as file:
                file.write(lambda file=file: seal(file, epoch + 1))
        return open_gate(conn, epoch, wait_seconds=30).epoch


def seal(file: SourceFile, epoch: int) -> None:
    freeze.put(file, "switched", datetime.now(UTC))
    direction.arm(file, epoch)


def shut(site: Site) -> int:
    """PostgreSQL takes no writes any more; the epoch under which it has taken them."""
    with site.target() as target, target.lease() as conn:
        epoch = read_gate(conn).epoch
        close_gate(conn, epoch, wait_seconds=30)
    return epoch


def open_files(site: Site) -> None:
    """The files take writes again, and no rows from PostgreSQL."""
    for source in site.config.sources:
        with SourceFile(source.path) as file:
            file.write(lambda file=file: open_up(file))


def switch_back(site: Site) -> None:
    """SQLite is master again, with all that was written to PostgreSQL."""
    epoch = shut(site)
    for source in site.config.sources:
        with flow(site, epoch, source.name) as reverse:
            reverse.drain()
    open_files(site)


def open_up(file: SourceFile) -> None:
    direction.disarm(file)
    freeze.lift(file)


def differences(site: Site) -> list[str]:
    """Where the two sides are not equal, row by row, while PostgreSQL is master."""
    with site.target() as target:
        compared = [c for s in site.config.sources for c in compare_source(s, target)]
    return [str(each) for each in compared if not each.equal]


@contextmanager
def flow(site: Site, epoch: int, source: str = "shop", **options: object) -> Iterator[ReverseFlow]:
    """The way back of one source."""
    path = site.config.source(source).path
    with site.target() as target:
        reverse = ReverseFlow(source, path, target, epoch, **options)  # type: ignore[arg-type]
        try:
            yield reverse
        finally:
            reverse.close()
