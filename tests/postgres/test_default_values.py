"""A DEFAULT crosses where the same row comes of it, and is refused elsewhere."""

import pytest

from cdc.mapping.default_values import default_value
from cdc.mapping.terms import NotTranslatable
from cdc.mapping.types import target_type

CROSS = [
    ("'open'", "TEXT", "text", "'open'"),
    ("'open'", "TEXT", "varchar(20)", "'open'"),
    ("0", "REAL", "numeric(10,4)", "0"),
    ("0.5", "REAL", "numeric(10,4)", "0.5"),
    ("1", "NUMERIC", "boolean", "true"),
    ("0", "INTEGER", "boolean", "false"),
    (
        "CURRENT_TIMESTAMP",
        "NUMERIC",
        "timestamp",
        "date_trunc('second', statement_timestamp() AT TIME ZONE 'UTC')",
    ),
    ("'7'", "INTEGER", "bigint", "7"),
    ("1", "REAL", "integer", "1"),
    ("'0.50'", "REAL", "numeric(10,4)", "0.5"),
    ("7", "TEXT", "varchar(5)", "'7'"),
    ("'2025-08-01'", "TEXT", "date", "'2025-08-01'::date"),
    ("'09:30:00'", "TEXT", "time", "'09:30:00'::time"),
    ("'2025-08-01T09:30:00Z'", "TEXT", "timestamptz", "'2025-08-01 09:30:00+00:00'::timestamptz"),
    ("'{}'", "TEXT", "jsonb", "'{}'::jsonb"),
    ("CURRENT_TIME", "TEXT", "time",
     "date_trunc('second', statement_timestamp() AT TIME ZONE 'UTC')::time"),
    ("CURRENT_DATE", "TEXT", "date", "(statement_timestamp() AT TIME ZONE 'UTC')::date"),
]  # fmt: skip

STAY = [
    ("'much too long'", "TEXT", "varchar(5)"),
    ("0.12345", "REAL", "numeric(10,4)"),
    ("2", "INTEGER", "boolean"),
    ("'t'", "TEXT", "boolean"),
    ("0.5", "TEXT", "varchar(5)"),
    ("' 7'", "INTEGER", "bigint"),
    ("'2025-08-01T09:30:00'", "TEXT", "timestamptz"),
    ("40000", "INTEGER", "smallint"),
    ("CURRENT_TIMESTAMP", "TEXT", "timestamptz"),
    ("CURRENT_TIME", "TEXT", "varchar(20)"),
]


@pytest.mark.parametrize(("text", "affinity", "spec", "wanted"), CROSS)
def test_default_crosses(conn, text, affinity, spec, wanted):
    """And PostgreSQL takes it for a column of the type."""
    type_ = target_type(spec, affinity)
    found = default_value(text, affinity, type_)
    assert found == wanted
    conn.execute(f"CREATE TEMPORARY TABLE t (c {type_.sql} DEFAULT {found})")
    assert conn.execute("INSERT INTO t DEFAULT VALUES RETURNING c").fetchone() != (None,)


@pytest.mark.parametrize(("text", "affinity", "spec"), STAY)
def test_default_that_would_not_be_the_same_stays(text, affinity, spec):
    """Nothing is guessed."""
    with pytest.raises(NotTranslatable):
        default_value(text, affinity, target_type(spec, affinity))
