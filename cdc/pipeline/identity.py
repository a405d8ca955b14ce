"""Whether a file is the one that the target has followed so far, and where they stand."""

from cdc.config import SourceConfig
from cdc.errors import SourceReplaced
from cdc.pipeline.past import Past
from cdc.postgres import state
from cdc.postgres.connection import Connection
from cdc.sqlite import log
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.log import COPY_AGAIN_HINT, Log, Position


def check(
    file: SourceFile,
    source: SourceConfig,
    known: state.Source | None,
    target: str,
    *,
    past: Past | None = None,
) -> None:
    """Raise SourceReplaced unless the file may feed this target, from where the target stands.

    A file may when its log is the known one and continues the position, by itself or with its
    `past`; or when its log is fresh: it has fed no target yet, so that somebody installed it anew,
    on purpose.
    """
    with file.reading():
        own = log.read(file)
        if own is None:
            _check_never_known(source, known)
        elif own.target not in (None, target):
            raise SourceReplaced(
                f"{source.path} feeds another target (its id is {own.target}).",
                hint="A file feeds one target only. To move it to this one, run cdc uninstall and"
                " then cdc install for this source.",
            )
        elif known is not None and known.log_id == own.id:
            if past is None:
                log.check_continues(file, _position(known))
        elif known is not None and own.target is not None:
            raise SourceReplaced(
                f"{source.path} holds the log {own.id}, but source {source.name} was replicated"
                f" from the log {known.log_id}: it is another file.",
                hint=COPY_AGAIN_HINT,
            )


def _check_never_known(source: SourceConfig, known: state.Source | None) -> None:
    if known is not None:
        raise SourceReplaced(
            f"{source.path} has no changelog, but source {source.name} was replicated up to event"
            f" {known.applied_seq}: the capture was removed, or this is another file or an old"
            " backup.",
            hint="Bring the right file back. If this file is the right one now, run cdc install"
            " for this source: the next cdc run copies it again from the start.",
        )


def register(
    conn: Connection,
    file: SourceFile,
    source: SourceConfig,
    known: state.Source | None,
    target: str,
) -> Position:
    """Make file and target know each other; returns the position that the target stands at.

    A log that the target does not know yet begins at its end: the copy holds all that was before.
    """
    with file.reading():
        own = log.read(file)
        assert own is not None
        position = log.end(file)
    if known is not None and known.log_id == own.id:
        position = _position(known)
        if known.path != str(source.path):
            state.move_source(conn, source.name, str(source.path))
    else:
        state.register_source(
            conn,
            source.name,
            path=str(source.path),
            log_id=own.id,
            applied_seq=position.seq,
            digest=position.digest,
        )
    _claim(file, own, target)
    return position


def _claim(file: SourceFile, own: Log, target: str) -> None:
    if own.target is None:
        log.claim(file, target)


def _position(known: state.Source) -> Position:
    return Position(known.applied_seq, known.applied_digest or b"", known.applied_at)
