"""`[backup]`: where backups of both sides lie, and how many of them."""

from typing import Annotated

from msgspec import Meta

from cdc.config.section import Section


class BackupConfig(Section, frozen=True, kw_only=True):
    """`[backup]`: the backups that `cdc backup` makes."""

    directory: Annotated[
        str,
        Meta(
            min_length=1,
            description="Where the backups are, relative to the directory of this file. They hold "
            "all rows of both sides: put them on another disk than the databases.",
            extra={"allowed": "a path, in quotes"},
        ),
    ] = ".cdc/backups"
    keep: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="How many backups are kept; older ones are deleted once a new one has been "
            "proven. 0 keeps all.",
        ),
    ] = 5
