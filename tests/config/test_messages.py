"""An error in the configuration names file, section, key, value, and what is allowed."""

from pathlib import Path

import pytest

from cdc.config import load
from cdc.errors import ConfigError

CUTOVER_KEYS = (
    "max_lag_events, max_lag_seconds, max_proof_hours, path, hold_ms, attempts, rollback_hours,"
    " watch_minutes, automatic_rollback, rollback_after, takeover_seconds, accepted, env_file,"
    " env_switched, env_open, env_rolled_back"
)

SOURCE = '[[sources]]\nname = "trades"\npath = "trades.db"\n'

WRONG = {
    "unknown section": (
        SOURCE + "[replicaton]",
        (
            'knows no key "replicaton". Did you mean "replication"? '
            "Allowed are: postgres, sources, foreign_keys, replication, archive, backup, verify,"
            " cutover, health, hooks."
        ),
    ),
    "unknown key": (
        SOURCE + "[cutover]\nmax_lag = 5",
        (
            '[cutover] knows no key "max_lag". Did you mean "max_lag_events"? '
            f"Allowed are: {CUTOVER_KEYS}."
        ),
    ),
    "unknown key like no other": (
        SOURCE + "[cutover]\nxyz = 5",
        f'[cutover] knows no key "xyz". Allowed are: {CUTOVER_KEYS}.',
    ),
    "unknown key of a source": (
        SOURCE + '[[sources]]\nname = "fills"\npth = "fills.db"',
        (
            '[[sources]] number 2 ("fills") knows no key "pth". Did you mean "path"? '
            "Allowed are: name, path, schema, include, exclude, tables."
        ),
    ),
    "unknown key of a table": (
        SOURCE + "[sources.tables.trades]\ncolumn = 1",
        (
            '[[sources]] number 1 ("trades"), [sources.tables.trades] knows no key "column". '
            'Did you mean "columns"? Allowed are: name, columns, storage, indexes, added, existing,'
            " orphans."
        ),
    ),
    "unknown type": (
        SOURCE + '[sources.tables.trades.columns."a b"]\ntype = "litteral"',
        (
            '[[sources]] number 1 ("trades"), [sources.tables.trades.columns."a b"] '
            'type = "litteral": must be one of "bigint", "integer", "smallint", "boolean",'
        ),
    ),
    "type of another type": (
        SOURCE + "[sources.tables.trades.columns.momentum]\ntype = []",
        "type = []: must be one of",
    ),
    "missing key": (
        '[[sources]]\nname = "trades"',
        '[[sources]] number 1 ("trades") lacks the key "path": a path, in quotes.',
    ),
    "sizes that no type has": (
        SOURCE + '[sources.tables.trades.columns.price]\ntype = "numeric(4,10)"',
        '[sources.tables.trades.columns.price] type = "numeric(4,10)": must be one of',
    ),
    "option of another type": (
        SOURCE + '[sources.tables.trades.columns.price]\ntype = "bigint"\ntimezone = "UTC"',
        '[sources.tables.trades.columns.price] "timezone" says nothing about a column of type',
    ),
    "what makes no sense for the type": (
        SOURCE + '[sources.tables.trades.columns.c]\ntype = "text"\non_misfit = "round"',
        'on_misfit = "round" does not make sense for a column of type text.',
    ),
    "unknown time zone": (
        SOURCE + '[sources.tables.t.columns.c]\ntype = "timestamptz"\ntimezone = "New York"',
        'timezone = "New York": must be an IANA name such as "America/New_York".',
    ),
    "no source": ("[postgres]", 'lacks the key "sources": at least one [[sources]].'),
    "empty list of sources": ("sources = []", "sources = []: must be at least one [[sources]]."),
    "single brackets": ('[sources]\nname = "a"', '"sources" must be a list of tables.'),
    "list of no tables": ("sources = [7]", "[[sources]] number 1 must be a table, not 7."),
    "value for a section": (SOURCE.replace("[[s", "postgres = 1\n[[s"), "[postgres] must be a"),
    "value for names": (SOURCE + "tables = 1", "[sources.tables] must be a table, not 1."),
    "text for a number": (
        SOURCE + '[replication]\npoll_ms = "1000"',
        '[replication] poll_ms = "1000": must be a whole number from 10 to 60000.',
    ),
    "boolean for a number": (SOURCE + "[replication]\npoll_ms = true", "poll_ms = true: must be"),
    "fraction for a whole number": (SOURCE + "[replication]\npoll_ms = 50.5", "poll_ms = 50.5:"),
    "number for a boolean": (
        SOURCE + "[postgres]\nsynchronous_commit = 1",
        "[postgres] synchronous_commit = 1: must be true or false.",
    ),
    "date for a number": (SOURCE + "[cutover]\nmax_lag_events = 2025-01-01", "= 2025-01-01: must"),
    "not a number": (
        SOURCE + "[cutover]\nmax_lag_seconds = nan",
        "[cutover] max_lag_seconds = nan: must be a number from 0 to 86400.",
    ),
    "huge number": (
        SOURCE + f"[replication]\nboundary_days = {10**30}",
        "boundary_days = 10000000",
    ),
    "empty name": (
        '[[sources]]\nname = ""\npath = "a.db"',
        'name = "": must be 1 to 63 of the characters A-Z a-z 0-9 _ . -.',
    ),
    "name with a blank": ('[[sources]]\nname = "a b"\npath = "a.db"', 'name = "a b": must be'),
    "name with a line end": ('[[sources]]\nname = "a\\n"\npath = "a"', 'name = "a\\n": must be'),
    "empty path": ('[[sources]]\nname = "a"\npath = ""', 'path = "": must be a path'),
    "zero byte in a path": ('[[sources]]\nname = "a"\npath = "\\u0000"', "must be a path"),
    "nothing included": (SOURCE + "include = []", "include = []: must be a list of patterns"),
    "empty pattern": (SOURCE + 'exclude = [""]', 'exclude = [""]: must be a list of patterns'),
    "text for a list": (SOURCE + 'exclude = "a"', 'exclude = "a": must be a list of patterns'),
    "our own schema": (
        SOURCE + 'schema = "cdc"',
        'schema = "cdc": must be a name of 1 to 63 bytes, but not cdc, information_schema or pg_…',
    ),
    "PostgreSQL's own schema": (SOURCE + '[postgres]\nschema = "pg_x"', 'schema = "pg_x": must'),
    "schema longer than a name": (SOURCE + f'schema = "{"ä" * 32}"', "must be a name of 1 to 63"),
    "same name twice": (
        SOURCE + SOURCE,
        '[[sources]] number 2: name = "trades" is the name of number 1 already: must be unique.',
    ),
    "no TOML": ("[postgres]\nschema = public", "is not valid TOML: Invalid value (at line 2,"),
    "same key twice": ("[postgres]\n[postgres]", "is not valid TOML: Cannot declare"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG.keys())
def test_message(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.exit_code == 2


BOUNDS = {
    "postgres.max_connections": (4, 1_000),
    "replication.lock_bound_ms": (1, 10_000),
    "replication.poll_ms": (10, 60_000),
    "replication.batch_events": (1, 1_000_000),
    "replication.boundary_days": (1, 3_650),
    "replication.min_free_disk_mb": (0, 100_000_000),
    "cutover.max_lag_events": (0, 1_000_000_000),
    "cutover.max_lag_seconds": (0, 86_400),
    "cutover.max_proof_hours": (0.01, 8_760),
    "cutover.hold_ms": (20, 10_000),
    "cutover.attempts": (1, 1_000),
    "cutover.rollback_hours": (0.01, 8_760),
}


@pytest.mark.parametrize("setting", BOUNDS)
def test_bounds(setting: str, tmp_path: Path) -> None:
    """Both ends are allowed, and nothing beyond them."""
    section, key = setting.split(".")
    path = tmp_path / "config.toml"
    least, most = BOUNDS[setting]
    for value in (least, most):
        path.write_text(f"{SOURCE}[{section}]\n{key} = {value}", encoding="utf-8")
        assert getattr(getattr(load(path, {}), section), key) == value
    for value in (least - 1, most + 1):
        path.write_text(f"{SOURCE}[{section}]\n{key} = {value}", encoding="utf-8")
        with pytest.raises(ConfigError, match=rf"\[{section}\] {key} = {value}: must be a "):
            load(path, {})


def test_a_guess_is_a_hint(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(SOURCE + '[sources.tables.t.columns.c]\ntype = "litteral"', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert caught.value.hint == 'Did you mean "literal"?'


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b'[postgres]\nschema = "\xff"')
    with pytest.raises(ConfigError, match="is not UTF-8 text: byte 21 is wrong"):
        load(path, {})


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(SOURCE + f'schema = "{"x" * 1_000}"', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text",
    [
        'dsn = "s3cret"',
        'dsn = ["postgresql://u:s3cret@h/d"]',
        'schema = "postgresql://u:s3cret@h/d/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"',
        'password = "s3cret"',
        'schema = "host=h password=s3cret dbname=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"',
        '"postgresql://u:s3cret@h/d" = 1',
        'dsn = "postgresql://u:s3cret@h/d',
    ],
)
def test_no_message_shows_a_password(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"{SOURCE}[postgres]\n{text}", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert "s3cret" not in str(caught.value) + caught.value.hint


def test_the_environment_is_named_where_it_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(SOURCE, encoding="utf-8")
    with pytest.raises(ConfigError, match="environment variable CDC_POSTGRES_DSN: ") as caught:
        load(path, {"CDC_POSTGRES_DSN": "s3cret"})
    assert "s3cret" not in str(caught.value)


def test_a_password_is_not_in_the_repr(tmp_path: Path) -> None:
    """A traceback, a debugger and rich all show objects by their repr."""
    path = tmp_path / "config.toml"
    path.write_text(SOURCE, encoding="utf-8")
    config = load(path, {"CDC_POSTGRES_DSN": "postgresql://u:s3cret@h/d"})
    assert "s3cret" not in repr(config)
    assert "s3cret" not in str(list(config.postgres.__rich_repr__()))
    assert config.postgres.dsn == "postgresql://u:s3cret@h/d"
