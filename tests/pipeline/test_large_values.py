"""A value as large as SQLite's users have them."""

import hashlib


def test_a_blob_of_100_mb_arrives_whole(site):
    """By the copy and by the log; its digest on both sides is the same."""
    site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB)")
    block = bytes(range(256)) * 409_600
    assert len(block) > 100_000_000
    site.sqlite("INSERT INTO t VALUES (1, ?)", (block,))
    site.configure()
    site.catch_up()
    site.sqlite("INSERT INTO t VALUES (2, ?)", (block[1:],))
    site.catch_up()
    digests = site.postgres("SELECT encode(sha256(b), 'hex') FROM t ORDER BY id")
    expected = [hashlib.sha256(each).hexdigest() for each in (block, block[1:])]
    assert [digest for (digest,) in digests] == expected
