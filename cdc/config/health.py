"""`[health]`: what counts as well, and what not, while PostgreSQL is master."""

from typing import Annotated

from msgspec import Meta

from cdc.config.section import Section


class HealthConfig(Section, frozen=True, kw_only=True):
    """`[health]`: the thresholds of `cdc health`, and how often the daemon looks."""

    look_seconds: Annotated[
        float,
        Meta(
            ge=0.1,
            le=86_400,
            description="How often, in seconds, the daemon looks while PostgreSQL is master.",
        ),
    ] = 30.0
    keep_hours: Annotated[
        float,
        Meta(
            ge=0.01,
            le=8_760,
            description="For how many hours it keeps what it has found in cdc.health.",
        ),
    ] = 48.0
    fail_drifts: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000_000,
            description="More rows than this that were found to differ within an hour are a FAIL.",
        ),
    ] = 10
    connections: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="How many connections the services may have together: the sum of their "
            "pools. 0 for as many as the server allows.",
        ),
    ] = 0
    fail_connections_percent: Annotated[
        float,
        Meta(ge=0, le=100, description="More of them in use than this, in percent, are a FAIL."),
    ] = 90.0
    warn_connections_percent: Annotated[
        float,
        Meta(ge=0, le=100, description="More of them in use than this, in percent, are a warning."),
    ] = 80.0
    warn_error_percent: Annotated[
        float,
        Meta(
            ge=0,
            le=100,
            description="More transactions rolled back since the last look than this, in percent, "
            "are a warning.",
        ),
    ] = 1.0
    warn_query_ms: Annotated[
        float,
        Meta(
            ge=0,
            le=3_600_000,
            description="A small query that takes longer than this, in milliseconds, is a warning.",
        ),
    ] = 100.0
    warn_dead_rows: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000_000_000,
            description="More dead rows than this in one target table are a warning.",
        ),
    ] = 1_000
    warn_deadlocks: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000_000,
            description="More deadlocks than this since the last look are a warning.",
        ),
    ] = 0
    warn_pool_queue: Annotated[
        float,
        Meta(
            ge=0,
            le=1_000_000_000,
            description="More requests than this that wait for a connection of the services' "
            "pools, as a health hook tells, are a warning.",
        ),
    ] = 10.0
    warn_pool_wait_ms: Annotated[
        float,
        Meta(
            ge=0,
            le=3_600_000,
            description="A longer wait for one than this, in milliseconds, as a health hook tells, "
            "is a warning.",
        ),
    ] = 200.0
    warn_way_back_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=31_536_000,
            description="An older write than this, in seconds, that SQLite does not have yet, is a "
            "warning.",
        ),
    ] = 10.0
