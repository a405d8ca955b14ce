"""What the tests of the event store share: a source, and a table rebuilt from the store alone."""

import pytest

from cdc.archive.reader import open_archive
from cdc.event import LAYOUT, OP, SEQ, VALUES, Op
from cdc.pipeline import archiving
from cdc.pipeline.stock import audit_all
from cdc.sqlite import pruning

PRUNE_AT_ONCE = "[archive]\nprune_after_seconds = 0\n"


class Store:
    """The store of a site's source `shop`, as it is on disk now."""

    def __init__(self, site):
        self.site = site

    @property
    def archive(self):
        return open_archive(self.site.config.archive_directory, "shop")

    @property
    def live(self):
        """The seqs in the changelog."""
        return [seq for (seq,) in self.site.sqlite("SELECT seq FROM _cdc_changelog ORDER BY seq")]

    @property
    def archived(self):
        """The seqs in the archive."""
        return [each.seq for each in self.archive.events()]

    def findings(self):
        with self.site.target() as target:
            return [f for audited in audit_all(self.site.config, target) for f in audited.findings]

    def rebuilt(self, table="t"):
        """The rows of a table by their keys, from its newest baseline and the events since."""
        archive = self.archive
        baseline = next(b for b in reversed(archive.baselines()) if b.table.name == table)
        key = baseline.table.key
        events = iter([e.event for e in archive.events() if e.event[LAYOUT] == baseline.layout])
        rows, waiting = {}, next(events, None)

        def apply_up_to(seq):
            nonlocal waiting
            while waiting is not None and (seq is None or waiting[SEQ] <= seq):
                values = waiting[VALUES:]
                rows.pop(tuple(values[i] for i in key), None)
                if waiting[OP] not in Op.GONE:
                    rows[tuple(values[i] for i in key)] = values
                waiting = next(events, None)

        for chunk in baseline.chunks():
            apply_up_to(chunk.as_of)
            for place in [k for k in rows if _within(k, chunk)]:
                del rows[place]
            rows |= {tuple(row[i] for i in key): row for row in chunk.rows}
        apply_up_to(None)
        return rows


def _within(key, chunk):
    """Whether a key of integers lies in a chunk's range."""
    above = chunk.after is None or key > chunk.after
    return above and (chunk.last or (chunk.place is not None and key <= chunk.place))


@pytest.fixture
def store(site, monkeypatch):
    """The store of a source with one table, which is pruned as soon as it can be."""
    monkeypatch.setattr(pruning, "FEWEST", 1)
    monkeypatch.setattr(archiving, "FEWEST", 1)
    site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, v REAL, w TEXT)")
    site.configure(more=PRUNE_AT_ONCE)
    return Store(site)
