"""The configuration that `cdc init` writes is the one that it means."""

import re
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.config import Config, PostgresConfig, SourceConfig, load
from cdc.config.render import name_sources, render
from cdc.errors import ConfigError

# Everything that a path can hold and a TOML file can carry.
PATHS = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=60
).filter(lambda name: name not in {".", ".."})


def _load(text: str, directory: Path) -> Config:
    path = directory / "config.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, {})


def test_what_is_rendered_reads_back_as_it_was_given(tmp_path: Path) -> None:
    text = render([("trades", "rec_io/trades.db"), ("fills", Path("/srv/fills.db"))], "embedded")
    assert _load(text, tmp_path) == Config(
        path=(tmp_path / "config.toml").resolve(),
        sources=(
            SourceConfig(name="trades", path=(tmp_path / "rec_io/trades.db").resolve()),
            SourceConfig(name="fills", path=Path("/srv/fills.db").resolve()),
        ),
    )


@settings(deadline=None)  # it writes files, on whatever disk there is
@given(name=PATHS, password=st.text(st.characters(exclude_categories=("Cs",))))
def test_hostile_paths_and_dsns_survive(
    name: str, password: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Quotes, backslashes, control characters and line ends come back as they were."""
    directory = tmp_path_factory.getbasetemp().resolve()
    dsn = f"host=db password='{password}'"
    config = _load(render([("hostile", Path(name))], dsn), directory)
    assert config.sources[0].path == directory / name
    assert config.postgres == PostgresConfig(dsn=dsn)


def test_the_settings_that_stand_behind_a_hash_are_valid_too(tmp_path: Path) -> None:
    """Whoever takes the # away gets what the comment promised."""
    lines = render([("trades", "trades.db")], "embedded").splitlines()
    settings = [
        line.removeprefix("# ") for line in lines if re.match(r"(# )?\w+ = |# \[+[\w.]+\]+$", line)
    ]
    headers = [line for line in lines if line.startswith("[")]
    source = "\n".join(["[[sources]]", *_between(settings, "name", "lock_bound_ms")])

    config = _load(source, tmp_path)

    assert headers == [
        "[postgres]",
        "[[sources]]",
        "[replication]",
        "[archive]",
        "[backup]",
        "[verify]",
        "[cutover]",
        "[health]",
    ]
    assert config.sources[0].schema == "public"
    assert config.sources[0].include == ("*",)
    assert config.sources[0].exclude == ("_alembic_tmp_*",)
    table = config.sources[0].tables["TABLE"]
    assert table.columns["COLUMN"].type == "literal"
    assert table.storage == {"autovacuum_vacuum_scale_factor": 0.02}
    assert [index.columns for index in table.indexes] == [("COLUMN",)]
    assert list(table.added) == ["updated_at"]
    (key,) = config.foreign_keys
    assert (key.from_, key.to) == ("trades.TABLE", "trades.PARENT")


def test_no_line_is_longer_than_a_screen_is_wide() -> None:
    assert max(len(line) for line in render([("a", "a.db")], "embedded").splitlines()) <= 100


def test_a_path_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(ConfigError, match="TOML cannot hold it") as caught:
        render([("a", Path("\udcff.db"))], "embedded")
    assert "symbolic link" in caught.value.hint


@given(st.lists(st.text(string.printable + "é\udcff", min_size=1)))
def test_named_sources_are_valid_and_unique(names: list[str]) -> None:
    paths = [Path(name) for name in names]
    named = name_sources(paths)
    assert [path for _, path in named] == paths
    assert len({name for name, _ in named}) == len(paths)
    allowed = set(string.ascii_letters + string.digits + "_.-")
    assert all(0 < len(name) <= 63 and set(name) <= allowed for name, _ in named)


def _between(lines: list[str], first: str, last: str) -> list[str]:
    starts = [line.partition(" = ")[0] for line in lines]
    return lines[starts.index(first) : starts.index(last)]
