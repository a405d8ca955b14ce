"""How the proof works: the settings of `[verify]`."""

from typing import Annotated

from msgspec import Meta

from cdc.config.section import Section


class VerifyConfig(Section, frozen=True, kw_only=True):
    """`[verify]`: the proof that both sides are equal."""

    max_age_hours: Annotated[
        float,
        Meta(
            ge=0,
            le=8_760,
            description="How old a kept proof of a range of rows may be; older ones are compared "
            "again by `cdc verify` without `--full`.",
        ),
    ] = 168.0
    watch_hours: Annotated[
        float,
        Meta(
            ge=0,
            le=8_760,
            description="In how many hours the daemon compares every row anew, a little at a time. "
            "0 has it compare nothing.",
        ),
    ] = 24.0
    watch_seconds: Annotated[
        float,
        Meta(
            ge=0.1,
            le=86_400,
            description="How often it does a little of that, and looks at what changed since.",
        ),
    ] = 60.0
