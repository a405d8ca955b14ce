"""Computing with numbers as SQLite does it."""

from collections.abc import Callable

from cdc.mapping.terms import NUMBERS, Term, refuse

Compute = Callable[[Term, str, Term], Term]
"""Two terms and an operator between them; raises NotTranslatable."""


def compute(one: Term, operator: str, other: Term) -> Term:
    """Two whole numbers added, subtracted and so on, where nothing can overflow or fail."""
    for term in (one, other):
        if term.kind == "opaque":
            refuse(term.reason)
    if (one.kind, other.kind) != ("integer", "integer"):
        refuse(f"arithmetic on {one.kind} and {other.kind} rounds or overflows in its own way")
    if one.computed or other.computed:
        refuse("an overflow has another meaning on each side")
    if operator in "/%":
        if not isinstance(other.constant, int) or other.constant <= 0:
            refuse("a division by zero is NULL in SQLite and an error in PostgreSQL")
        return Term(f"({one.sql} {operator} {other.sql})", "integer")
    # As numeric it cannot overflow; SQLite goes over to REAL, beyond any whole number of its own.
    return Term(f"({one.sql}::numeric {operator} {other.sql}::numeric)", "integer", computed=True)


def compute_or_fail(one: Term, operator: str, other: Term) -> Term:
    """The same where an overflow may be an error, as it may for a writer who is told of it."""
    for term in (one, other):
        if term.kind == "opaque":
            refuse(term.reason)
        if term.kind not in NUMBERS or term.kind == "numeric":
            refuse(f"arithmetic on {one.kind} and {other.kind} rounds in its own way")
    whole = (one.kind, other.kind) == ("integer", "integer")
    if operator == "%" and not whole:
        refuse("% cuts REALs to whole numbers in SQLite")
    type_ = "bigint" if whole else "double precision"
    left, right = (f"({term.sql})::{type_}" for term in (one, other))
    if operator in "/%":  # by zero is NULL
        right = f"nullif({right}, 0)"
    return Term(f"({left} {operator} {right})", "integer" if whole else "real")
