"""The SQL of `triggers/` and the demo's configuration.

They lie beside the package in a checkout, and inside it in a wheel.
"""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable


def _root() -> Traversable:
    packaged = files("cdc") / "_triggers"
    return packaged if packaged.is_dir() else files("cdc") / ".." / "triggers"


@cache
def load_sql(name: str) -> str:
    """The text of one file of `triggers/`, such as `sqlite/changelog.sql`."""
    return (_root() / name).read_text(encoding="utf-8")


def demo_config() -> str:
    """The text of the demo's configuration, which is `config.toml` at the top of a checkout."""
    packaged = files("cdc") / "_demo_config.toml"
    source = packaged if packaged.is_file() else files("cdc") / ".." / "config.toml"
    return source.read_text(encoding="utf-8")
