"""PostgreSQL restored from a backup gets what it lacks from the archive."""

import pytest

from cdc.errors import SourceReplaced

STATE = ("source", "boundary", "archive", "pruned")


def restore(site, backup):
    """Put PostgreSQL back to where it was, but for what nothing depends on."""
    for table, rows in backup.items():
        schema = "" if table == "t" else "cdc."
        site.postgres(
            "BEGIN; SET LOCAL cdc.session = 'on';"
            f"DELETE FROM {schema}{table};"
            f"INSERT INTO {schema}{table} SELECT * FROM jsonb_populate_recordset("
            f"NULL::{schema}{table}, '{rows}'); COMMIT"
        )


def backup(site):
    return {
        table: site.postgres(f"SELECT coalesce(jsonb_agg(x), '[]')::text FROM {table} x")[0][0]
        for table in ("t",)
    } | {
        table: site.postgres(f"SELECT coalesce(jsonb_agg(x), '[]')::text FROM cdc.{table} x")[0][0]
        for table in STATE
    }


@pytest.fixture
def restored(store):
    """A site whose PostgreSQL is older than what its file still holds."""
    site = store.site
    site.configure(more="[archive]\nprune_after_seconds = 0\nsegment_events = 60\n")
    site.catch_up()
    site.sqlite("INSERT INTO t VALUES (?, ?, ?)", *[(i, i / 7, f"row {i}") for i in range(200)])
    site.catch_up()
    kept = backup(site)
    site.sqlite("UPDATE t SET v = -v WHERE id % 2")
    site.sqlite("DELETE FROM t WHERE id % 3 = 0")
    site.catch_up()
    site.sqlite("INSERT INTO t VALUES (?, ?, ?)", *[(i, i / 7, None) for i in range(500, 600)])
    site.catch_up()
    restore(site, kept)
    assert store.live[0] > site.postgres("SELECT applied_seq FROM cdc.source")[0][0] + 1
    assert site.differences() != []
    return store


def test_a_restored_postgresql_catches_up_from_the_archive(restored):
    """What it lacks is applied again, from the archive and then from the file."""
    site = restored.site
    site.sqlite("UPDATE t SET w = 'later' WHERE id = 1")
    site.catch_up()
    site.assert_equal()
    site.assert_position_exact()
    assert restored.findings() == []


def test_batches_may_end_anywhere_in_the_past(restored):
    """In small batches it is the same."""
    site = restored.site
    site.configure(more="[archive]\nprune_after_seconds = 0\n", batch_events=7)
    site.catch_up()
    site.assert_equal()
    site.assert_position_exact()


def test_without_the_archive_a_restored_postgresql_is_refused(restored):
    """Rather than passing over what is missing; the message says what to do."""
    site = restored.site
    segments = [s for s in restored.archive.chain.segments if s.kind == "events"]
    for segment in segments:
        segment.path.unlink()
    with pytest.raises(SourceReplaced, match="the archive does not hold all") as caught:
        site.catch_up()
    assert "Put the archive's files back" in caught.value.hint


def test_rows_of_the_way_back_are_among_what_it_lacks(store):
    """Events that came from PostgreSQL itself are passed over otherwise: it had them then."""
    site = store.site
    site.configure(more="[archive]\nprune_after_seconds = 0\nsegment_events = 60\n")
    site.catch_up()
    site.sqlite("INSERT INTO t VALUES (?, ?, ?)", *[(i, i / 7, f"row {i}") for i in range(200)])
    site.catch_up()
    kept = backup(site)
    site.sqlite("UPDATE t SET v = -v WHERE id % 2; DELETE FROM t WHERE id % 3 = 0")
    site.sqlite("UPDATE _cdc_changelog SET origin = 1 WHERE seq > 200")
    site.catch_up()
    site.sqlite("INSERT INTO t VALUES (?, ?, ?)", *[(i, i / 7, None) for i in range(500, 600)])
    site.catch_up()
    restore(site, kept)
    site.catch_up()
    site.assert_equal()
    site.assert_position_exact()
