"""What every section of the configuration is."""

from msgspec import Struct


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """One table of the TOML file."""
