"""The demo's configuration is the top-level `config.toml`."""

import re
from pathlib import Path

from cdc.config import Config, CutoverConfig, PostgresConfig, ReplicationConfig, load
from cdc.demo import files

CONFIG = Path(__file__).parents[2] / "config.toml"


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
    assert config.cutover == CutoverConfig()
    for section in (config.postgres, config.replication, config.cutover):
        for key in section.__struct_fields__:
            assert re.search(rf"^#.*\n{key} = ", CONFIG.read_text(encoding="utf-8"), re.MULTILINE)
