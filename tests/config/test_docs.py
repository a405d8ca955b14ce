"""`docs/configuration.md` and the code say the same."""

import re
from pathlib import Path

import msgspec
import pytest

from cdc.config import (
    ArchiveConfig,
    BackupConfig,
    ColumnConfig,
    CutoverConfig,
    ForeignKeyConfig,
    HealthConfig,
    HookConfig,
    PostgresConfig,
    ReplicationConfig,
    SourceConfig,
    TableConfig,
    VerifyConfig,
    load,
)
from cdc.config.extras import AddedConfig, IndexConfig
from cdc.config.keys import Key, keys_of
from cdc.config.toml import toml_value
from cdc.errors import ConfigError

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
TEXT = PAGE.read_text(encoding="utf-8")

SECTIONS = {
    "[postgres]": PostgresConfig,
    "[[sources]]": SourceConfig,
    "[sources.tables.TABLE.columns.COLUMN]": ColumnConfig,
    "[sources.tables.TABLE]": TableConfig,
    "[[sources.tables.TABLE.indexes]]": IndexConfig,
    "[sources.tables.TABLE.added.COLUMN]": AddedConfig,
    "[[foreign_keys]]": ForeignKeyConfig,
    "[replication]": ReplicationConfig,
    "[archive]": ArchiveConfig,
    "[backup]": BackupConfig,
    "[verify]": VerifyConfig,
    "[cutover]": CutoverConfig,
    "[health]": HealthConfig,
    "[[hooks]]": HookConfig,
}


def _documented() -> dict[str, dict[str, tuple[str, str]]]:
    """Each section's header, with its keys and what the page says of default and allowed."""
    sections: dict[str, dict[str, tuple[str, str]]] = {}
    for line in TEXT.splitlines():
        if heading := re.match(r"##+ `(\[.*\])`", line):
            keys = sections.setdefault(heading[1], {})
        elif row := re.match(r"\| `(\w+)` \| (.*?) \| (.*?) \| (.+) \|$", line):
            keys[row[1]] = (row[2], row[3])
    return sections


def _expected(key: Key) -> tuple[str, str]:
    if key.required:
        default = "required"
    elif key.shape == "named sections":
        default = "none"
    elif key.default is None:
        default = "`postgres.schema`" if key.name == "schema" else "none"
    else:
        default = f"`{toml_value(key.default)}`"
    return default, key.allowed


def test_every_section_is_documented_and_no_other() -> None:
    assert list(_documented()) == list(SECTIONS)


@pytest.mark.parametrize("header", SECTIONS)
def test_every_key_is_documented_and_no_other(header: str) -> None:
    """With its default and with what is allowed, word for word."""
    expected = {key.name: _expected(key) for key in keys_of(SECTIONS[header])}
    assert _documented()[header] == expected


@pytest.mark.parametrize("section", SECTIONS.values())
def test_every_key_explains_itself(section: type[msgspec.Struct]) -> None:
    assert all(key.description.endswith(".") for key in keys_of(section))


@pytest.mark.parametrize("example", re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL))
def test_the_examples_work(example: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(example, encoding="utf-8")
    assert load(path, {}).source("trades").path.name == "trades.db"


def test_the_messages_shown_are_the_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```text\n(.*?)```", TEXT, re.DOTALL)
    messages = []
    for setting in ("lock_bound = 20", "lock_bound_ms = 0"):
        Path("config.toml").write_text(
            f'[[sources]]\nname = "a"\npath = "a.db"\n[replication]\n{setting}', encoding="utf-8"
        )
        with pytest.raises(ConfigError) as caught:
            load(Path("config.toml"), {})
        messages.append(str(caught.value))
    assert block.splitlines() == messages
