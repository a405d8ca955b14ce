"""`[archive]`: what becomes of the events once they are applied."""

from typing import Annotated

from msgspec import Meta

from cdc.config.section import Section


class ArchiveConfig(Section, frozen=True, kw_only=True):
    """`[archive]`: the event store, and how long events stay in the changelogs."""

    enabled: Annotated[
        bool,
        Meta(
            description="Whether applied events are kept in files of their own, so that any state "
            "can be rebuilt and any change explained."
        ),
    ] = True
    directory: Annotated[
        str,
        Meta(
            min_length=1,
            description="Where these files are, relative to the directory of this file. They hold "
            "the rows of the application: put them on another disk than the sources if you can.",
            extra={"allowed": "a path, in quotes"},
        ),
    ] = ".cdc/archive"
    segment_events: Annotated[
        int, Meta(ge=1, le=10_000_000, description="Most events in one file of the archive.")
    ] = 50_000
    segment_mb: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000,
            description="Size, in MB (10^6 bytes) before compression, from which on a file of the "
            "archive is full.",
        ),
    ] = 16
    segment_seconds: Annotated[
        float,
        Meta(
            ge=0.1,
            le=86_400,
            description="How long, in seconds, an applied event waits for others before it is "
            "archived.",
        ),
    ] = 300.0
    keep_days: Annotated[
        int,
        Meta(
            ge=0,
            le=36_500,
            description="How many days back the archive reaches at least; what no state since then "
            "needs is deleted. 0 keeps everything.",
        ),
    ] = 30
    keep_mb: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000_000,
            description="Size of a source's part of the archive, in MB, above which the oldest of "
            "it goes even before its days are over; the newest state can always be rebuilt. 0 sets "
            "no limit.",
        ),
    ] = 0
    baseline_days: Annotated[
        float,
        Meta(
            ge=0,
            le=36_500,
            description="After how many days a new baseline of each table is written, from which "
            "a state is rebuilt faster. 0 writes one only where it is needed.",
        ),
    ] = 7.0
    prune: Annotated[
        str,
        Meta(
            description='Which events are taken out of the changelogs again: "archived" once they '
            'are applied and archived, "applied" once they are applied (where the archive is '
            'enabled they are archived first), "never" none.',
            extra={"choices": ("archived", "applied", "never")},
        ),
    ] = "archived"
    prune_after_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=31_536_000,
            description="How many seconds an event stays in its changelog at least.",
        ),
    ] = 600.0
