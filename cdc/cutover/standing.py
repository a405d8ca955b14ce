"""How replication stands before a cutover: who is master, and whether all of it follows."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final

from cdc.crossing.pairs import pairs
from cdc.cutover.sight import Found, Sight
from cdc.pipeline.lag import measure
from cdc.pipeline.progress import SourceState
from cdc.pipeline.terms import differing, terms_of
from cdc.postgres import terms
from cdc.postgres.gate import read_gate
from cdc.postgres.standing import proof_standing
from cdc.sqlite import direction, freeze, introspect
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.moves import application_schema
from cdc.sqlite.verification import Finding, verify

LAG_LOOKS: Final = 3


LAG_PAUSE_SECONDS: Final = 0.5
"""The lag has to be below its gate at each look; one alone may hit a lucky moment."""


def master(sight: Sight) -> Found:
    with sight.target.lease() as conn:
        gate = read_gate(conn)
    yield not gate.open, f"the gate is {'open' if gate.open else 'closed'}, at epoch {gate.epoch}"
    for source in sight.config.sources:
        with SourceFile(source.path) as file, file.reading():
            frozen, armed = freeze.read(file), direction.read(file)
        yield not (frozen or armed), f"{source.name} {'is frozen' if frozen else 'takes writes'}"


def daemon(sight: Sight) -> Found:
    for each in sight.lags:
        running = each.holder is not None and each.state == SourceState.TAILING
        who = each.holder or "no daemon"
        yield (
            running,
            f"{each.name} is {each.state}, held by {who}"
            + (f": {each.message}" if each.message else ""),
        )


def tables(sight: Sight) -> Found:
    for each in sight.lags:
        for table in each.stopped:
            yield False, f"{each.name}: {table.name} is stopped: {table.reason}"
        for copied in each.tables:
            if not copied.live:
                yield False, f"{each.name}: {copied.name} is not copied yet"
        yield each.settled, f"{each.name}: {len(each.tables)} tables"


def capture(sight: Sight) -> Found:
    for source in sight.config.sources:
        with SourceFile(source.path) as file:
            with file.reading():
                names = [n for n in introspect.table_names(file) if source.captures(n)]
                found = verify(file, names)
            for name, finding in found.items():
                if finding is not Finding.INTACT:
                    yield False, f"{source.name}: the capture of {name} is {finding.value}"
            with sight.target.lease() as conn:
                same = pairs(conn, file, source.name)
        yield True, f"{source.name}: {len(same)} tables captured, and of one shape on both sides"


def configuration(sight: Sight) -> Found:
    """Whether the daemon replicates by the very words that the command has read, and its file."""
    for source in sight.config.sources:
        with sight.target.lease() as conn:
            known = terms.read(conn, source.name)
        if known is None:
            yield False, f"{source.name} was never replicated by this version of cdc"
            continue
        changed = list(differing(known.configuration, terms_of(sight.config, source)))
        for name in changed:
            yield False, f"{source.name}: {name} was changed since {known.at:%Y-%m-%d %H:%M} UTC"
        with SourceFile(source.path) as file, file.reading():
            same = application_schema(file) == known.application_schema
        words = "the schema is that" if same else "the schema was changed since that"
        yield same, f"{source.name}: {words} of {known.at:%Y-%m-%d %H:%M} UTC"


def lag(sight: Sight) -> Found:
    limits = sight.config.cutover
    lags = sight.lags
    for at in range(LAG_LOOKS):
        if at:
            time.sleep(LAG_PAUSE_SECONDS)
            lags = measure(sight.config, sight.target)
        for each in lags:
            within = (
                each.lag_events <= limits.max_lag_events
                and each.lag_seconds <= limits.max_lag_seconds
            )
            words = f"{each.name}: {each.lag_events:,} events, {each.lag_seconds:.3f} s behind"
            yield within, words


def quarantine(sight: Sight) -> Found:
    for each in sight.lags:
        yield each.quarantined == 0, f"{each.name}: {each.quarantined:,} rows in quarantine"


def proof(sight: Sight) -> Found:
    oldest = datetime.now(UTC) - timedelta(hours=sight.config.cutover.max_proof_hours)
    for source in sight.config.sources:
        with sight.target.lease() as conn:
            standing = proof_standing(conn, source.name)
        full = standing.clean_full_at
        if full is None:
            yield False, f"{source.name} was never proven in full since the guard was set"
            continue
        words = f"{source.name}: clean full proof of {full:%Y-%m-%d %H:%M} UTC"
        if not standing.last_clean:
            yield False, f"{source.name}: the last proof, of {standing.last_at:%H:%M} UTC, failed"
        yield full >= oldest, words
