"""The page that an auditor keeps: whole, harmless, and with everything on it."""

import psycopg
import pytest

from cdc.cli.page import Circumstances, check_place, write_page
from cdc.cli.verify_html import as_html
from cdc.errors import ConfigError
from tests.support.page import HOSTILE, Page

TABLES = f"""
CREATE TABLE "a<b>" (id INTEGER PRIMARY KEY, words TEXT, price REAL);
INSERT INTO "a<b>" VALUES (1, 'plain', 1.25), (2, '{HOSTILE.replace("'", "''")}', 2.555);
"""

MAPPING = """
[sources.tables."a<b>".columns.price]
type = "numeric(10,2)"
on_misfit = "round"
"""


@pytest.fixture(scope="module")
def audited(module_site):
    module_site.sqlite(TABLES)
    module_site.configure(more=MAPPING)
    module_site.catch_up()
    return module_site


def page_of(site, verdict, **others):
    with site.target() as target:
        return as_html(verdict, Circumstances.of(site.config, target), **others)


def test_a_clean_proof_on_a_page(audited):
    """Verdict, both digests, positions, counts, what was altered, who, when, which versions."""
    verdict = audited.prove(full=True)
    page = Page(page_of(audited, verdict))
    [table] = verdict.sources[0].tables
    assert page.text.startswith(page.texts[0].strip() or "cdc verify")
    assert table.source_digest == table.target_digest
    assert page.text.count(table.source_digest) == 2
    for words in (
        "Converged: SQLite and PostgreSQL",
        "full: every row was compared",
        "every target table refuses other writers",
        "public.a<b>",
        "price: 1 values are stored altered",
        str(audited.file()),
        "PostgreSQL 1",
        "Run by",
    ):
        assert words in page.text, words


def test_a_page_needs_nothing_else_and_runs_nothing(audited):
    """No script, no link, no picture, no address; a style sheet of its own."""
    text = page_of(audited, audited.prove(full=True))
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "a"} & set(page.tags)
    names = {name for name, _ in page.attributes}
    assert not {"src", "href", "onclick", "onload", "onerror"} & names
    assert "url(" not in text
    assert "@import" not in text
    assert "://" not in text


def test_differences_stand_on_the_page_with_both_values_and_do_no_harm(audited):
    """Data are shown as they are: markup is text, and what cannot be seen is spelt out."""
    with psycopg.connect(audited.dsn, autocommit=True) as conn:
        conn.execute("SET cdc.session = 'on'")
        conn.execute("UPDATE \"a<b>\" SET words = '<img src=x onerror=y>' WHERE id = 2")
        try:
            verdict = audited.prove(full=True)
        finally:
            conn.execute('UPDATE "a<b>" SET words = %s WHERE id = 2', (HOSTILE,))
    page = Page(page_of(audited, verdict))
    assert "NOT converged" in page.text
    assert {"script", "img"}.isdisjoint(page.tags)
    assert "'<img src=x onerror=y>'" in page.text
    assert "<script>alert(1)</script>" in page.text
    assert "\\u202e" in page.text
    assert "\u202e" not in page.text


def test_a_null_is_told_from_no_row(audited):
    """Of a row that is extra SQLite has nothing at all; of another one it may have NULL."""
    with psycopg.connect(audited.dsn, autocommit=True) as conn:
        conn.execute("SET cdc.session = 'on'")
        conn.execute('UPDATE "a<b>" SET words = NULL WHERE id = 1')
        conn.execute('INSERT INTO "a<b>" VALUES (77, NULL, NULL)')
        try:
            verdict = audited.prove(full=True)
        finally:
            conn.execute("UPDATE \"a<b>\" SET words = 'plain' WHERE id = 1")
            conn.execute('DELETE FROM "a<b>" WHERE id = 77')
    page = Page(page_of(audited, verdict))
    assert "different 1 words 'plain' NULL" in page.text
    assert "extra 77 words — NULL" in page.text


def test_what_was_never_looked_at_is_not_called_guarded(audited):
    """A source that could not be compared says nothing of its targets."""
    verdict = audited.prove()
    verdict.sources[0].problem = "It could not be read."
    assert "NOT every target table is known to refuse" in Page(page_of(audited, verdict)).text


def test_a_repair_shows_both_proofs(audited):
    """What was found before it, and what stands behind it."""
    verdict = audited.prove(full=True)
    page = Page(page_of(audited, verdict, before=verdict))
    assert "Before the repair" in page.text
    assert page.text.count("last event in the file") == 2


def test_what_is_kept_from_earlier_proofs_is_said(audited):
    """With its age, and what it rests on."""
    audited.prove(full=True)
    verdict = audited.prove()
    page = Page(page_of(audited, verdict))
    [table] = verdict.sources[0].tables
    assert table.kept_rows == 2
    since = f"{table.kept_since:%Y-%m-%d %H:%M:%S}"
    assert f"2 rows in 1 ranges, the oldest proven {since}" in page.text
    assert "rest on the guard" in page.text


def test_a_place_that_cannot_be_written_is_refused_beforehand(tmp_path):
    """A proof may take hours; to lose its report then would be hard."""
    for place in (tmp_path, tmp_path / "no folder" / "page.html"):
        with pytest.raises(ConfigError, match="no file can be written there"):
            check_place(place)
    check_place(tmp_path / "page.html")


def test_a_page_is_replaced_whole(tmp_path):
    """Whoever reads it meanwhile sees the old one or the new one, and nothing is left beside it."""
    path = tmp_path / "page.html"
    write_page(path, "old")
    write_page(path, "new")
    assert path.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [path]
