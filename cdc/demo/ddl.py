"""The DDL of the legacy system: one statement a file, beside this module."""

from functools import cache
from importlib.resources import files


@cache
def load(name: str) -> str:
    """The statement in `<name>.sql`, comments included.

    >>> load("ticket_id").splitlines()[-1]
    'ALTER TABLE trades ADD COLUMN ticket_id TEXT'
    """
    return (files("cdc.demo") / f"{name}.sql").read_text(encoding="utf-8").strip()
