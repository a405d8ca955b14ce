"""Names of SQLite as names in PostgreSQL, and statements built around them.

SQLite takes any name of any length; PostgreSQL cuts names at 63 bytes without an error, and keeps
a few column names for itself. A name that can stay as it is stays as it is.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from cdc.errors import TargetRefused

MAX_BYTES: Final = 63
MAX_COLUMNS: Final = 1600
SYSTEM_COLUMNS: Final = frozenset(("ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"))


def target_identifier(name: str) -> str:
    """A name that PostgreSQL takes as it stands: distinct names give distinct results.

    >>> target_identifier("ticker"), target_identifier("ctid"), target_identifier("")
    ('ticker', 'ctid_a6768917', 'unnamed_e3b0c442')
    """
    if name and name not in SYSTEM_COLUMNS and len(_encode(name)) <= MAX_BYTES:
        return name
    return with_hash(name, salt=0)


def target_identifiers(names: Sequence[str]) -> tuple[str, ...]:
    """The names of a table's columns, each valid and all distinct, whatever their order.

    Raises TargetRefused for more columns than a table of PostgreSQL can have.
    """
    if len(names) > MAX_COLUMNS:
        raise TargetRefused(
            f"{len(names)} columns are more than the {MAX_COLUMNS} that PostgreSQL allows",
            hint="exclude the table, or split it before the migration",
        )
    results = [target_identifier(name) for name in names]
    taken = {result for result, name in zip(results, names, strict=True) if result == name}
    for i, name in enumerate(names):
        salt = 0
        while results[i] != name and results[i] in taken:
            salt += 1
            results[i] = with_hash(name, salt)
        taken.add(results[i])
    return tuple(results)


def with_hash(name: str, salt: int) -> str:
    """The name, cut where need be, with a hash of the whole behind it; other salts, others."""
    raw = _encode(name)
    digest = sha256(raw + b"\0" * salt).hexdigest()[:8]
    # errors="ignore" drops the character that the cut went through.
    head = raw[: MAX_BYTES - 1 - len(digest)].decode(errors="ignore") or "unnamed"
    return f"{head}_{digest}"


def _encode(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")
