"""What is wrong with the configuration or the usage is said in one message, with exit code 2."""

import os
import re

import pytest

from cdc.cli.init import init
from cdc.errors import ConfigError

HEAD = '[[sources]]\nname = "shop"\npath = "shop.db"\n'

WRONG = {
    "unknown key": ("[replication]\nlock_bound = 1\n" + HEAD, "lock_bound_ms"),
    "unknown section": ("[replicate]\n" + HEAD, "replicate"),
    "wrong type": ('[replication]\nlock_bound_ms = "1"\n' + HEAD, "lock_bound_ms"),
    "out of bounds": ("[replication]\nlock_bound_ms = 0\n" + HEAD, "from 1 to"),
    "no TOML": ("[replication\n" + HEAD, "is not valid TOML"),
    "no sources": ('[postgres]\nschema = "a"\n', "sources"),
    "no name": ('[[sources]]\npath = "shop.db"\n', "name"),
    "same name twice": (HEAD + HEAD.replace("shop.db", "b.db"), "must be unique"),
    "same file twice": (HEAD + HEAD.replace('"shop"', '"b"'), "a file of its own"),
    "wrong type of a column": (
        HEAD + '[sources.tables.staff.columns.name]\ntype = "money"\n',
        "literal",
    ),
    "wrong dsn": ('[postgres]\ndsn = "mysql://me:swordfish-and-custard@x/y"\n' + HEAD, "dsn"),
    "password with an @": (
        '[postgres]\ndsn = "postgresql://me:swordfish-and-custard@2@x/y"\n' + HEAD,
        "%40",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_configuration(shop, refused, what):
    """The message names the file or what is meant, and what is allowed."""
    text, word = WRONG[what]
    shop.config_path.write_text(text)
    refused(shop.cdc("run"), 2, word)


def test_missing_configuration(shop, refused):
    """Where there is no file, the way to one is named."""
    shop.config_path.unlink()
    refused(shop.cdc("run"), 2, "There is no configuration at config.toml", "cdc init")
    refused(shop.cdc("lag", "-c", "elsewhere.toml"), 2, "elsewhere.toml")
    environment = {"CDC_CONFIG": "from-environment.toml"}
    refused(shop.cdc("status", environment=environment), 2, "from-environment.toml")


def test_override_of_what_is_not_there(shop, refused):
    """A table or column that the configuration names and the file lacks is a mistake."""
    shop.configure(more='[sources.tables.stuff.columns.name]\ntype = "text"')
    refused(shop.cdc("run"), 2, "no captured table 'stuff'", "staff")
    shop.configure(more='[sources.tables.staff.columns.nam]\ntype = "text"')
    refused(shop.cdc("run"), 2, "no column 'nam'", "name")


@pytest.mark.parametrize("command", ["plan", "run"])
def test_patterns_that_choose_nothing(shop, refused, command):
    """Nothing would be replicated, and every answer after that be yes."""
    shop.config_path.write_text(HEAD + 'include = ["stuff"]\n')
    refused(shop.cdc(command), 2, "none of the tables", "staff")


def test_source_that_is_not_configured(shop, refused):
    """The sources that there are stand in the message."""
    for command in ("install", "uninstall"):
        refused(shop.cdc(command, "--source", "stop"), 2, "stop", "shop")


def test_table_that_is_not_there(shop, refused):
    """The tables that there are stand in the message."""
    shop.catch_up()
    refused(shop.cdc("uninstall", "--table", "stuff"), 2, "no table 'stuff'", "staff")


def test_init_never_overwrites(shop, refused):
    """An existing configuration is the operator's."""
    before = shop.config_path.read_text()
    refused(shop.cdc("init", "shop.db"), 2, "exists already", "--config")
    assert shop.config_path.read_text() == before


def test_init_where_nothing_can_be_written(shop, tmp_path, monkeypatch):
    """The folder is none, or not ours; or another `init` was quicker."""
    (tmp_path / "file").touch()
    for place, words in (
        (tmp_path / "none" / "c.toml", "could not be written (No such file"),
        (tmp_path / "file" / "c.toml", "could not be written (Not a directory"),
    ):
        with pytest.raises(ConfigError, match=re.escape(words)) as caught:
            init([shop.file()], config=place)
        assert caught.value.hint
    monkeypatch.setattr(os.path, "lexists", lambda _: False)
    with pytest.raises(ConfigError, match="exists already"):
        init([shop.file()], config=tmp_path / "file")


@pytest.mark.parametrize(
    "arguments",
    [("replicate",), ("run", "--fast"), ("lag", "--max-events", "many"), ("init",)],
    ids=" ".join,
)
def test_wrong_usage(shop, arguments):
    """A command or an option that does not exist ends with 2 as well, and says so."""
    outcome = shop.cdc(*arguments)
    assert outcome.code == 2
    assert "Usage:" in outcome.err or "Error" in outcome.err


def test_two_sources_with_the_same_table_in_one_schema(shop, refused):
    """Two tables cannot share a target: the second source needs a schema of its own."""
    shop.sqlite("CREATE TABLE staff (id INTEGER PRIMARY KEY)", name="other.db")
    shop.configure("shop.db", "other.db")
    refused(shop.cdc("run"), 3, "staff", "shop", "schema")
