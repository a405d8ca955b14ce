"""The functions of SQLite that PostgreSQL has in the same sense, whatever their names."""

from collections.abc import Sequence

from cdc.mapping.terms import NotTranslatable, Term, refuse


def call(function: str, arguments: Sequence[Term]) -> Term:
    """A call of a function, named in lower case. Raises NotTranslatable."""
    found = _of_any(function, arguments) or _of_text(function, arguments)
    if found is not None:
        return found
    for argument in arguments:
        if argument.kind == "opaque":
            refuse(argument.reason)
    kinds = ", ".join(argument.kind for argument in arguments) or "nothing"
    raise NotTranslatable(f"{function}() of {kinds} has no surely equal form")


def _of_any(function: str, arguments: Sequence[Term]) -> Term | None:
    kinds = [argument.kind for argument in arguments]
    match function, kinds:
        case "json_valid", ["opaque"] if arguments[0].type in ("json", "jsonb"):
            # Its type takes nothing else; of NULL SQLite does not know it either.
            return Term(f"({arguments[0].sql} IS NOT NULL OR NULL)", "boolean")
        case "abs", ["integer"]:
            # The least number of a smaller type has its like in bigint.
            return Term(f"abs({arguments[0].sql}::bigint)", "integer")
        case "abs", ["real"]:
            return Term(f"abs({arguments[0].sql})", "real")
        case "coalesce" | "ifnull", [first, *rest] if (
            rest and first != "opaque" and all(kind == first for kind in rest)
        ):
            return Term(f"coalesce({', '.join(a.sql for a in arguments)})", first)
    return None


def _of_text(function: str, arguments: Sequence[Term]) -> Term | None:
    kinds = [argument.kind for argument in arguments]
    match function, kinds:
        case "length", ["text" | "blob"]:
            return Term(f"length({arguments[0].sql})::bigint", "integer")
        case "lower" | "upper", ["text"]:
            # SQLite changes ASCII letters only, and so does PostgreSQL under "C".
            return Term(f'{function}({arguments[0].sql} COLLATE "C")', "text")
        case "trim" | "ltrim" | "rtrim", ["text"]:
            name = "btrim" if function == "trim" else function
            return Term(f"{name}({arguments[0].sql}, ' ')", "text")
    return None
