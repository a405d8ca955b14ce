"""`[cutover]` and `[[hooks]]`: what must hold before the switch, and what happens around it."""

from typing import Annotated, Final, Literal

from msgspec import Meta, field

from cdc.config.section import Section

_VALUES: Final = {"allowed": 'a table such as { DB_ENGINE = "postgresql" }'}

Variables = Annotated[dict[str, str], Meta(extra=_VALUES)]

Moment = Literal["stop", "start", "regression", "notify", "health"]


class CutoverConfig(Section, frozen=True, kw_only=True):
    """`[cutover]`: what must hold before the switch, and how it is made."""

    max_lag_events: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000_000,
            description="Most events not yet applied that `cdc lag` accepts without an option of "
            "its own, and the cutover. 0 accepts none.",
        ),
    ] = 100
    max_lag_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="Greatest age, in seconds, of the oldest event not yet applied that `cdc "
            "lag` accepts, and the cutover. 0 accepts none.",
        ),
    ] = 1.0
    max_proof_hours: Annotated[
        float,
        Meta(
            ge=0.01,
            le=8_760,
            description="Greatest age, in hours, of the last full proof that the cutover accepts.",
        ),
    ] = 24.0
    path: Annotated[
        Literal["fast", "standard"],
        Meta(
            description="Which time budgets the phases of a cutover have: those of minutes, or "
            "those of half an hour.",
            extra={"choices": ("fast", "standard")},
        ),
    ] = "fast"
    hold_ms: Annotated[
        int,
        Meta(
            ge=20,
            le=10_000,
            description="Longest time, in milliseconds, for which the files are held still while "
            "the last events are applied and proven. Keep it below the shortest busy timeout of "
            "the legacy system.",
        ),
    ] = 200
    attempts: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000,
            description="How often the files are held before the cutover is given up.",
        ),
    ] = 20
    rollback_hours: Annotated[
        float,
        Meta(
            ge=0.01,
            le=8_760,
            description="For how many hours after the switch `cdc rollback` is possible.",
        ),
    ] = 48.0
    watch_minutes: Annotated[
        float,
        Meta(
            ge=0,
            le=525_600,
            description="For how many minutes after a switch the health is watched with a view to "
            "going back.",
        ),
    ] = 5.0
    automatic_rollback: Annotated[
        bool,
        Meta(
            description="Whether the daemon goes back to SQLite by itself, as cdc rollback does, "
            "when the health has failed rollback_after times in a row within that time."
        ),
    ] = False
    rollback_after: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000,
            description="How often in a row the health has to fail before that.",
        ),
    ] = 3
    takeover_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="How many seconds after the end of a command that died in the middle of a "
            "cutover or rollback the daemon ends or undoes what it had begun. 0 leaves that to "
            "whoever runs the command again.",
        ),
    ] = 10.0
    accepted: Annotated[
        tuple[str, ...],
        Meta(
            description="Patterns of what SQLite has and PostgreSQL will not (triggers, views, "
            "foreign keys and the like), which the operator knows of, each SOURCE.NAME.",
            extra={"allowed": 'a list of patterns such as "trades.touch_*"'},
        ),
    ] = ()
    env_file: Annotated[
        str,
        Meta(
            description="The file of environment variables that the services read, relative to the "
            "directory of this file. Empty for none.",
            extra={"allowed": "a path, in quotes"},
        ),
    ] = ""
    env_switched: Annotated[
        Variables,
        Meta(description="What is set there once PostgreSQL takes the writes."),
    ] = field(default_factory=dict)
    env_open: Annotated[
        Variables,
        Meta(description="What is set there once the regression hooks have passed."),
    ] = field(default_factory=dict)
    env_rolled_back: Annotated[
        Variables,
        Meta(description="What is set there once SQLite takes the writes again."),
    ] = field(default_factory=dict)


class HookConfig(Section, frozen=True, kw_only=True):
    """`[[hooks]]`: a command of the operator's that the cutover and the rollback run."""

    on: Annotated[
        Moment,
        Meta(
            description="When it runs: before the files are held, after the environment file is "
            "switched, then to try the system on PostgreSQL, at the end, and at each look at the "
            "health.",
            extra={"choices": ("stop", "start", "regression", "notify", "health")},
        ),
    ]
    command: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        Meta(
            min_length=1,
            description="The program and its arguments; no shell reads it. It runs in the "
            "directory of this file.",
            extra={"allowed": 'a list such as ["systemctl", "stop", "trades"]'},
        ),
    ]
    timeout_seconds: Annotated[
        float,
        Meta(
            ge=0.1,
            le=86_400,
            description="How many seconds it may take; then it is killed, and has failed.",
        ),
    ] = 30.0
    rehearse: Annotated[
        bool,
        Meta(
            description="Whether `cdc rehearse` runs it, too, with the name of the rehearsal's "
            "database in CDC_REHEARSAL: only for one that does no harm then.",
        ),
    ] = False
