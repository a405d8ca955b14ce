"""The demo's configuration is the top-level `config.toml`."""

import re
from pathlib import Path

from cdc.config import ArchiveConfig, Config, CutoverConfig, PostgresConfig, ReplicationConfig, load
from cdc.demo import environment, files, premises

CONFIG = Path(__file__).parents[2] / "config.toml"
STAMPS = {"created_at", "updated_at"}


def demo_config() -> Config:
    return load(CONFIG, environ={})


def test_every_file_of_the_legacy_system_is_a_source():
    sources = {source.path: source.name for source in demo_config().sources}
    assert list(sources) == [CONFIG.parent / "rec_io" / name for name in files.FILES]
    assert list(sources.values()) == [
        *("trades", "active_trades", "positions", "fills", "orders", "settlements"),
        "price_history",
    ]


def test_every_setting_shows_its_default():
    config = demo_config()
    assert config.postgres == PostgresConfig()
    assert config.replication == ReplicationConfig()
    assert config.archive == ArchiveConfig()
    environment = {
        name: getattr(config.cutover, name)
        for name in ("env_file", "env_switched", "env_open", "env_rolled_back")
    }
    assert config.cutover == CutoverConfig(**environment)
    for section in (config.postgres, config.replication, config.archive, config.cutover):
        for key in section.__struct_fields__:
            assert re.search(rf"^#.*\n{key} = ", CONFIG.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_environment_is_switched_and_back_and_every_hook_is_a_program_of_the_demo():
    config = demo_config()
    cutover = config.cutover
    assert config.env_file == CONFIG.parent / premises.FILES / environment.FILE
    switched, rolled_back = cutover.env_switched, cutover.env_rolled_back
    assert switched.keys() == rolled_back.keys()
    assert (switched["DB_ENGINE"], rolled_back["DB_ENGINE"]) == ("postgresql", "sqlite")
    # No order is placed until the regression suite has passed.
    assert (switched["LOCK_TRADING"], cutover.env_open["LOCK_TRADING"]) == ("true", "false")
    programs = {Path(hook.command[0]) for hook in config.hooks}
    assert programs <= {Path(premises.PROGRAMS) / name for name in premises.HOOKS}
    assert {hook.on for hook in config.hooks} == {"start", "regression"}


def test_the_reference_users_wishes_are_there():
    """Stamps on every table that is not a log, indexes for the queries, vacuum for the busy."""
    tables = {
        name: table for source in demo_config().sources for name, table in source.tables.items()
    }
    stamped = {name for name, table in tables.items() if set(table.added) >= STAMPS}
    assert stamped == set(tables) - {"price_log"}
    assert {index.columns for index in tables["trades"].indexes} == {
        ("status",),
        ("date",),
        ("ticker",),
    }
    busy = {name for name, table in tables.items() if table.storage}
    assert busy == {"trades", "active_trades", "positions", "price_log"}
