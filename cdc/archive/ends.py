"""Where a chain begins and ends, as it is remembered outside of its directory."""

from dataclasses import dataclass

from cdc.archive.chain import Chain
from cdc.errors import ArchiveDamaged


@dataclass(frozen=True, slots=True)
class Ends:
    """The ends of the chain of one changelog, as of `cdc.archive` in `triggers/postgres/`.

    `first_previous` is what the first segment's header says of the one before it. All but the last
    are None while there is no segment. `last_seq` is the newest event that is archived.
    """

    source: str
    log_id: str
    first_number: int | None = None
    first_previous: str | None = None
    last_number: int | None = None
    last_digest: str | None = None
    last_seq: int = 0


def ends_of(chain: Chain, *, first: int = 0) -> Ends:
    """The ends of a chain as it is on disk, from its `first`th segment on."""
    if first >= len(chain.segments):
        return Ends(chain.source, chain.log)
    begin, end = chain.segments[first], chain.segments[-1]
    seqs = [s.events.last for s in reversed(chain.segments) if s.kind == "events"]
    return Ends(
        chain.source,
        chain.log,
        begin.number,
        begin.header.previous,
        end.number,
        end.digest,
        seqs[0] if seqs else 0,
    )


def check_ends(chain: Chain, known: Ends | None) -> None:
    """Raise ArchiveDamaged unless the chain has all that is known of it; it may go on behind that.

    It does where the process ended between writing a segment and recording it, and where
    PostgreSQL was restored from a backup. Looks at the names alone.
    """
    chain.check_unbroken()
    if known is None or known.last_number is None or known.first_number is None:
        return
    at = {segment.number: segment for segment in chain.segments}
    if known.first_number not in at:
        raise _missing(chain, "first", known.first_number)
    if known.last_number not in at:
        raise _missing(chain, "last", known.last_number)
    if at[known.last_number].digest != known.last_digest:
        raise at[known.last_number].damaged("it is not the one that was recorded")


def _missing(chain: Chain, which: str, number: int) -> ArchiveDamaged:
    return ArchiveDamaged(
        f"Segment {number}, the {which} one recorded, is missing from {chain.directory}.",
        hint="Bring it back; or begin a new archive with cdc archive restart, which keeps what is"
        " left in a directory beside it.",
    )
