"""Find, read and check the configuration."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from cdc.config.decode import Place, decode, decode_value
from cdc.config.keys import keys_of
from cdc.config.references import table_of
from cdc.config.settings import Config, Document, PostgresConfig, SourceConfig
from cdc.errors import ConfigError

CONFIG_VARIABLE: Final = "CDC_CONFIG"
DSN_VARIABLE: Final = "CDC_POSTGRES_DSN"
DEFAULT_FILE: Final = "config.toml"


def locate(option: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """Which file is meant: the option's, else that of CDC_CONFIG, else `./config.toml`.

    >>> locate(Path("a.toml"), {"CDC_CONFIG": "b.toml"}), locate(None, {"CDC_CONFIG": "b.toml"})
    (PosixPath('a.toml'), PosixPath('b.toml'))
    >>> locate(None, {})
    PosixPath('config.toml')
    """
    return option or Path(environ.get(CONFIG_VARIABLE) or DEFAULT_FILE)


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in the file `path`, checked as a whole.

    Source paths come back absolute. The environment may replace the DSN, as it may hold a
    password. Raises ConfigError, whose message names file, section, key and what is allowed.
    """
    place = Place(str(path))
    document = decode(_parse(path, place), Document, place)
    directory = path.resolve().parent
    sources = tuple(
        msgspec.structs.replace(source, path=(directory / source.path).resolve())
        for source in document.sources
    )
    _check_names(sources, place)
    _check_files(sources, place)
    config = Config(
        path=path.resolve(),
        postgres=_with_dsn(document.postgres, environ),
        sources=sources,
        foreign_keys=document.foreign_keys,
        replication=document.replication,
        archive=document.archive,
        backup=document.backup,
        verify=document.verify,
        cutover=document.cutover,
        health=document.health,
        hooks=document.hooks,
    )
    _check_table_names(config, place)
    for key in config.foreign_keys:
        for table in (key.from_, key.to):
            table_of(table, [source.name for source in sources])
    return config


def _parse(path: Path, place: Place) -> dict[str, Any]:
    try:
        # Some editors begin a file with a mark of its encoding, which TOML has no place for.
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(
            f"There is no configuration at {path}.",
            hint="Write one with `cdc init FILE…`, or name another with --config or "
            f"{CONFIG_VARIABLE}.",
        ) from None
    except OSError as exc:
        raise place.error(f"cannot be read: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise place.error(f"is not UTF-8 text: byte {exc.start} is wrong.") from exc
    except tomllib.TOMLDecodeError as exc:
        raise place.error(f"is not valid TOML: {exc}.") from exc


def _with_dsn(postgres: PostgresConfig, environ: Mapping[str, str]) -> PostgresConfig:
    value = environ.get(DSN_VARIABLE)
    if not value:
        return postgres
    key = next(key for key in keys_of(PostgresConfig) if key.name == "dsn")
    dsn = decode_value(value, key, Place(f"environment variable {DSN_VARIABLE}"))
    return msgspec.structs.replace(postgres, dsn=dsn)


def _check_names(sources: tuple[SourceConfig, ...], place: Place) -> None:
    first: dict[str, int] = {}
    for number, source in enumerate(sources, start=1):
        earlier = first.setdefault(source.name, number)
        if earlier != number:
            raise place.error(
                f'[[sources]] number {number}: name = "{source.name}" is the name of number '
                f"{earlier} already: must be unique."
            )


def _check_files(sources: tuple[SourceConfig, ...], place: Place) -> None:
    first: dict[object, str] = {}
    for number, source in enumerate(sources, start=1):
        earlier = first.setdefault(_identity(source.path), source.name)
        if earlier != source.name:
            raise place.error(
                f'[[sources]] number {number} ("{source.name}"): path = "{source.path}" is the '
                f'file of "{earlier}" already: must be a file of its own.'
            )


def _check_table_names(config: Config, place: Place) -> None:
    first: dict[tuple[str, str], str] = {}
    for source in config.sources:
        for table, wanted in source.tables.items():
            if wanted.name is None:
                continue
            label = f"table {table} of source {source.name}"
            earlier = first.setdefault((config.target_schema(source), wanted.name), label)
            if earlier != label:
                raise place.error(
                    f'{label}: name = "{wanted.name}": {earlier} is called so'
                    " already: must be unique in its schema."
                )


def _identity(path: Path) -> object:
    """The same for all names of one file, hard links included."""
    try:
        status = path.stat()
    except OSError:
        return path
    return status.st_dev, status.st_ino
