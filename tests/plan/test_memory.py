"""The plan of a large file costs no more memory than that of a small one."""

import os
import subprocess
import sys

import pytest

from tests.support.command import ROOT

PRICES = """
CREATE TABLE prices (at INTEGER PRIMARY KEY, price REAL, words TEXT, said TEXT);
INSERT INTO prices
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
SELECT i, i / 7.0, 'tick ' || i, datetime(i, 'unixepoch') FROM n;
"""

MEGABYTE = 2**20

PLAN = """
import sys
from cdc.cli import main
try:
    main(["plan", "--json"])
except SystemExit as end:
    [peak] = [l.split()[1] for l in open("/proc/self/status") if l.startswith("VmHWM")]
    sys.stderr.write(peak)
    raise
"""
"""The peak of the resident set, in kB; what getrusage() tells starts at that of the parent."""

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def peak(site, rows):
    """The most memory that `cdc plan` took for a table of so many rows, in bytes."""
    name = f"prices{rows}.db"
    site.sqlite(PRICES.format(rows=rows), name=name)
    site.configure(name)
    ended = subprocess.run(
        [sys.executable, "-c", PLAN],
        cwd=site.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    site.file(name).unlink()
    assert ended.returncode == 0, ended.stderr
    return int(ended.stderr) * 1024


def test_memory_does_not_grow_with_the_rows(site):
    """Twenty times the rows, the same memory."""
    assert peak(site, 400_000) < peak(site, 20_000) + 20 * MEGABYTE


@pytest.mark.soak
def test_ten_million_rows(site):
    """They are looked at in less than 150 MB."""
    assert peak(site, 10_000_000) < 150 * MEGABYTE
