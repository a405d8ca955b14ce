"""The options that commands share, and what they open."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from cdc.config import Config, load, locate
from cdc.postgres import embedded
from cdc.postgres.connection import Target

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="PATH",
        help="The configuration file; without it $CDC_CONFIG, or config.toml in this directory.",
        show_default=False,
    ),
]
SourceOption = Annotated[
    str | None, typer.Option("--source", metavar="NAME", help="This source only.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

EMBEDDED_DIRECTORY: Final = Path(".cdc") / "postgres"
"""Where the embedded server keeps its data, beside the configuration file."""


def load_config(option: Path | None) -> Config:
    """The configuration that the command line or the environment names."""
    return load(locate(option))


def target_dsn(config: Config) -> str:
    """Where the target is; the embedded server is started where it is meant."""
    if config.postgres.embedded:
        return embedded.start(config.path.parent / EMBEDDED_DIRECTORY)
    return config.postgres.dsn


@contextmanager
def open_target(config: Config) -> Iterator[Target]:
    """The target of the configuration."""
    with Target(target_dsn(config), max_connections=config.postgres.max_connections) as target:
        yield target
