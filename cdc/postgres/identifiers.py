"""Names of SQLite as names in PostgreSQL, and statements built around them.

SQLite takes any name of any length; PostgreSQL cuts names at 63 bytes without an error, and keeps
a few column names for itself. A name that can stay as it is stays as it is; where folding or
cutting makes one of two names, a hash of what the name was in SQLite keeps them apart.
"""

from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Final

from cdc.errors import TargetRefused
from cdc.mapping.naming import Fold, cased

MAX_BYTES: Final = 63
MAX_COLUMNS: Final = 1600
SYSTEM_COLUMNS: Final = frozenset(("ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"))


def target_identifier(name: str, fold: Fold = "keep") -> str:
    """A name that PostgreSQL takes as it stands: distinct names, in their case, give distinct ones.

    >>> target_identifier("ticker"), target_identifier("ctid"), target_identifier("")
    ('ticker', 'ctid_a6768917', 'unnamed_e3b0c442')
    """
    wanted = cased(name, fold)
    if wanted and wanted not in SYSTEM_COLUMNS and len(_encode(wanted)) <= MAX_BYTES:
        return wanted
    return with_hash(name, salt=0, fold=fold)


def target_identifiers(
    names: Sequence[str], fold: Fold = "keep", chosen: Collection[str] = ()
) -> tuple[str, ...]:
    """The names of a table's columns, each valid and all distinct, whatever their order.

    `names` are distinct. Those that are `chosen` are in the case that they are to have, and go
    before the others. Raises TargetRefused for more columns than a table of PostgreSQL can have.
    """
    if len(names) > MAX_COLUMNS:
        raise TargetRefused(
            f"{len(names)} columns are more than the {MAX_COLUMNS} that PostgreSQL allows",
            hint="exclude the table, or split it before the migration",
        )
    results = [target_identifier(name, "keep" if name in chosen else fold) for name in names]
    taken = {result for result, name in zip(results, names, strict=True) if result == name}
    for i, name in enumerate(names):
        salt = 0
        while results[i] != name and results[i] in taken:
            results[i] = with_hash(name, salt, fold)
            salt += 1
        taken.add(results[i])
    return tuple(results)


def why_changed(name: str, given: str, fold: Fold = "keep") -> str | None:
    """Why a name of SQLite could not stay what it is but for its case, None where it did.

    >>> why_changed("Day", "day", "lower"), why_changed("ctid", "ctid_a6768917")
    (None, 'PostgreSQL keeps that name for itself')
    """
    wanted = cased(name, fold)
    if given == wanted:
        return None
    if len(_encode(wanted)) > MAX_BYTES:
        return f"PostgreSQL's names end at {MAX_BYTES} bytes"
    if not wanted:
        return "PostgreSQL has no empty name"
    if wanted in SYSTEM_COLUMNS:
        return "PostgreSQL keeps that name for itself"
    return f"another one is called {wanted}"


def with_hash(name: str, salt: int, fold: Fold = "keep") -> str:
    """The name, cut where need be, with a hash of the whole behind it; other salts, others."""
    digest = sha256(_encode(name) + b"\0" * salt).hexdigest()[:8]
    # errors="ignore" drops the character that the cut went through.
    raw = _encode(cased(name, fold))
    head = raw[: MAX_BYTES - 1 - len(digest)].decode(errors="ignore") or "unnamed"
    return f"{head}_{digest}"


def _encode(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")
