"""Finding, reading and checking the configuration."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cdc.config import Config, ReplicationConfig, SourceConfig, load, locate
from cdc.errors import ConfigError

Load = Callable[..., Config]

MINIMAL = """
[[sources]]
name = "trades"
path = "rec_io/trades.db"
"""

WHOLE = """
[postgres]
dsn = "postgresql://rec_writer@db/rec_io_db"
schema = "public"
max_connections = 20
synchronous_commit = true
[[sources]]
name = "trades"
path = "rec_io/trades.db"
schema = "rec_io"
include = ["trade*", "Fills"]
exclude = ["trades_old"]
[sources.tables.trades.columns.momentum]
type = "literal"
[sources.tables."we\\"ird".columns."a b"]
type = "numeric"
[[sources]]
name = "orders"
path = "/var/lib/orders.db"
[replication]
lock_bound_ms = 20
poll_ms = 500
batch_events = 1000
boundary_days = 30
min_free_disk_mb = 0
[cutover]
max_lag_events = 0
max_lag_seconds = 2
"""


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """Write a text to `config.toml` and load it, with an environment that is empty by default."""

    def load_text(text: str, environ: dict[str, str] | None = None) -> Config:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return load(path, environ or {})

    return load_text


def test_what_is_left_out_has_its_default(load_text: Load, tmp_path: Path) -> None:
    """One source is all that a configuration needs."""
    config = load_text(MINIMAL)

    assert config.postgres.embedded
    assert config.postgres.schema == "public"
    assert config.postgres.max_connections == 5
    assert config.postgres.synchronous_commit is False
    assert config.sources == (
        SourceConfig(name="trades", path=(tmp_path / "rec_io/trades.db").resolve()),
    )
    assert config.replication == ReplicationConfig(
        lock_bound_ms=50,
        poll_ms=1000,
        batch_events=50_000,
        boundary_days=8,
        min_free_disk_mb=500,
    )
    assert (config.cutover.max_lag_events, config.cutover.max_lag_seconds) == (100, 1.0)


def test_every_key_is_read(load_text: Load, tmp_path: Path) -> None:
    config = load_text(WHOLE)

    assert config.path == (tmp_path / "config.toml").resolve()
    assert not config.postgres.embedded
    assert config.postgres.dsn == "postgresql://rec_writer@db/rec_io_db"
    assert config.postgres.max_connections == 20
    assert config.postgres.synchronous_commit is True
    trades, orders = config.sources
    assert trades.include == ("trade*", "Fills")
    assert trades.exclude == ("trades_old",)
    assert trades.tables["trades"].columns["momentum"].type == "literal"
    assert trades.tables['we"ird'].columns["a b"].type == "numeric"
    assert orders.path == Path("/var/lib/orders.db").resolve()
    assert config.replication == ReplicationConfig(
        lock_bound_ms=20, poll_ms=500, batch_events=1000, boundary_days=30, min_free_disk_mb=0
    )
    assert config.cutover.max_lag_events == 0
    assert config.cutover.max_lag_seconds == 2.0
    assert isinstance(config.cutover.max_lag_seconds, float)


def test_a_file_of_another_editor_reads_the_same(load_text: Load, tmp_path: Path) -> None:
    """A mark of the encoding and other ends of lines are of no account."""
    expected = load_text(WHOLE)
    path = tmp_path / "config.toml"
    path.write_bytes(WHOLE.replace("\n", "\r\n").encode("utf-8-sig"))
    assert load(path, {}) == expected


def test_a_source_goes_to_its_own_schema_or_to_the_common_one(load_text: Load) -> None:
    config = load_text(WHOLE)
    assert [config.target_schema(source) for source in config.sources] == ["rec_io", "public"]


def test_patterns_choose_the_tables(load_text: Load) -> None:
    """Table names are compared as SQLite compares them: ASCII letters without case."""
    trades = load_text(WHOLE).source("trades")
    assert trades.captures("trades")
    assert trades.captures("TRADES")
    assert trades.captures("fills")
    assert not trades.captures("Trades_Old")
    assert not trades.captures("orders")


def test_folding_is_ascii_only() -> None:
    source = SourceConfig(name="s", path=Path("s.db"), include=("É*",))
    assert source.captures("Étage")
    assert not source.captures("étage")


def test_a_source_is_found_by_name_or_the_names_are_listed(load_text: Load) -> None:
    config = load_text(WHOLE)
    assert config.source("orders") is config.sources[1]
    with pytest.raises(ConfigError, match=r'no source "order"\. There are: trades, orders\.$'):
        config.source("order")


def test_relative_paths_start_at_the_file_not_at_the_current_directory(
    load_text: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert load_text(MINIMAL).sources[0].path == (tmp_path / "rec_io/trades.db").resolve()

    path = Path("../config.toml")
    assert load(path, {}).path == (tmp_path / "config.toml").resolve()
    assert load(path, {}).sources[0].path == (tmp_path / "rec_io/trades.db").resolve()


def test_the_environment_overrides_the_dsn(load_text: Load) -> None:
    """And an empty variable, as env files leave it behind, overrides nothing."""
    environ = {"CDC_POSTGRES_DSN": "host=db dbname=rec_io_db password=s3cret"}
    assert load_text(WHOLE, environ).postgres.dsn == environ["CDC_POSTGRES_DSN"]
    assert load_text(MINIMAL, {"CDC_POSTGRES_DSN": ""}).postgres.embedded


def test_a_configuration_is_frozen(load_text: Load) -> None:
    config = load_text(MINIMAL)
    with pytest.raises(AttributeError):
        config.replication.poll_ms = 1  # type: ignore[misc]


def test_the_option_wins_over_the_environment_over_the_current_directory() -> None:
    environ = {"CDC_CONFIG": "env.toml"}
    assert locate(Path("option.toml"), environ) == Path("option.toml")
    assert locate(None, environ) == Path("env.toml")
    assert locate(None, {"CDC_CONFIG": ""}) == Path("config.toml")


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"There is no configuration at .*nowhere\.toml"
    ) as caught:
        load(tmp_path / "nowhere.toml", {})
    assert "cdc init FILE…" in caught.value.hint
    assert caught.value.exit_code == 2


def test_a_directory_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, {})


def test_two_names_of_one_file_are_one_file(load_text: Load, tmp_path: Path) -> None:
    """A symbolic link, a hard link and another spelling would each be a second master."""
    real = tmp_path / "real.db"
    real.touch()
    (tmp_path / "soft.db").symlink_to(real)
    os.link(real, tmp_path / "hard.db")

    for other in ("real.db", "./real.db", "soft.db", "hard.db"):
        text = (
            f'[[sources]]\nname = "a"\npath = "real.db"\n[[sources]]\nname = "b"\npath = "{other}"'
        )
        with pytest.raises(ConfigError, match=r'number 2 \("b"\).*is the file of "a" already'):
            load_text(text)


def test_two_names_of_one_missing_file_are_one_file(load_text: Load) -> None:
    text = MINIMAL + '[[sources]]\nname = "b"\npath = "rec_io/../rec_io/trades.db"'
    with pytest.raises(ConfigError, match='the file of "trades" already'):
        load_text(text)
