"""The section about what one column becomes."""

from typing import Annotated, Literal

from msgspec import Meta

from cdc.config.section import Section
from cdc.mapping.codec import OnMisfit, Options
from cdc.mapping.types import NAMES, target_type
from cdc.mapping.wishes import Wish, instead_of
from cdc.mapping.zones import zone

Words = Annotated[
    tuple[str, ...],
    Meta(extra={"allowed": 'a list of words such as "yes"'}),
]


class ColumnConfig(Section, frozen=True, kw_only=True):
    """`[sources.tables.TABLE.columns.COLUMN]`: what one column becomes."""

    type: Annotated[
        str | None,
        Meta(
            description="The target type, instead of the one that `cdc plan` chose; "
            "docs/mapping.md says what each takes.",
            extra={
                "allowed": "one of " + ", ".join(f'"{name}"' for name in NAMES),
                "check": target_type,
                "words": NAMES,
            },
        ),
    ] = None
    name: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(
            description="What the column is called in PostgreSQL.",
            extra={"allowed": "a name of 1 to 63 bytes", "max_bytes": 63},
        ),
    ] = None
    skip: Annotated[bool, Meta(description="Whether the column is left out of the target.")] = False
    on_misfit: Annotated[
        OnMisfit,
        Meta(
            description="What to do with a value that has no faithful form in the type: stop the "
            "source, set the row aside, or store NULL, the beginning of the text, or the nearest "
            "number instead. The last three alter data and are not for a key.",
            extra={"choices": ("refuse", "quarantine", "null", "truncate", "round")},
        ),
    ] = "refuse"
    timezone: Annotated[
        str | None,
        Meta(
            description="The time zone of texts that name none, for timestamptz.",
            extra={"allowed": 'an IANA name such as "America/New_York"', "check": zone},
        ),
    ] = None
    ambiguous: Annotated[
        Literal["refuse", "earlier", "later"],
        Meta(
            description="Which instant a local time is that the clocks show twice in autumn.",
            extra={"choices": ("refuse", "earlier", "later")},
        ),
    ] = "refuse"
    missing: Annotated[
        Literal["refuse", "forward", "backward"],
        Meta(
            description="Which instant a local time is that the clocks leave out in spring: as far "
            "behind the gap as the time is into it, or as far before.",
            extra={"choices": ("refuse", "forward", "backward")},
        ),
    ] = "refuse"
    separator: Annotated[
        Literal["T", " "],
        Meta(
            description="What stands between date and time where a text is made on the way back; "
            "a key takes no other.",
            extra={"choices": ("T", " ")},
        ),
    ] = "T"
    epoch: Annotated[
        Literal["s", "ms", "us"] | None,
        Meta(
            description="The unit of numbers that count from 1970, for timestamp and timestamptz.",
            extra={"choices": ("s", "ms", "us")},
        ),
    ] = None
    true: Annotated[
        Words,
        Meta(description="Texts that mean true, beside the number 1; the first is written back."),
    ] = ()
    false: Annotated[
        Words,
        Meta(description="Texts that mean false, beside the number 0; the first is written back."),
    ] = ()

    def __post_init__(self) -> None:
        if self.type is not None:  # what depends on the column itself is checked when it is known
            target_type(self.type, "TEXT", self.wish.options)

    @property
    def wish(self) -> Wish:
        """The same in the words of the mapping."""
        options = Options(
            timezone=self.timezone,
            ambiguous=self.ambiguous,
            missing=self.missing,
            separator=self.separator,
            epoch=self.epoch,
            true=self.true,
            false=self.false,
            instead=instead_of(self.on_misfit),
        )
        return Wish(self.type, self.name, self.skip, options, self.on_misfit)
