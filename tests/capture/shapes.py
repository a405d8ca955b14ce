"""The shapes of tables that capture must follow, and the names that they may bear.

A shape is DDL with placeholders: `{t}` and `{o}` are tables, the rest columns. `Names` says what
they are called in one workload: plainly, or in ways that break careless SQL.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

Names = Mapping[str, str]
"""What each placeholder stands for, unquoted."""


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Column:
    """`values` names the domain that the workload draws from; generated columns have none."""

    label: str
    declared: str
    values: str = "any"

    @property
    def generated(self) -> bool:
        return not self.values


@dataclass(frozen=True)
class TableShape:
    """`targets` are conflict targets for upserts; `key` is empty where the rowid is the key.

    `exact` tells of each key column whether two values that SQLite takes for one key are one.
    """

    label: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    options: str = ""
    indexes: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    @property
    def writable(self) -> list[Column]:
        return [c for c in self.columns if not c.generated]

    @property
    def without_rowid(self) -> bool:
        return "WITHOUT ROWID" in self.options

    def ddl(self, names: Names) -> Iterator[str]:
        """The statements that create the table and its indexes."""
        terms = [f"{{{c.label}}} {c.declared}" for c in self.columns]
        body = ", ".join([*terms, *self.constraints])
        spell = {label: quoted(name) for label, name in names.items()}
        yield f"CREATE TABLE {{{self.label}}} ({body}) {self.options}".strip().format_map(spell)
        for i, index in enumerate(self.indexes):
            name = f"{self.label}_index_{i}"
            sql = f"CREATE UNIQUE INDEX {name} ON {{{self.label}}} {index}"
            yield sql.format_map(spell)

    def rowid(self, names: Names) -> str | None:
        """A name that reaches the rowid, or None where there is none to reach."""
        taken = {names[c.label].lower() for c in self.columns}
        free = [name for name in ("rowid", "_rowid_", "oid") if name not in taken]
        return free[0] if free and not self.without_rowid else None


@dataclass(frozen=True)
class Shape:
    """`cascades` where a foreign key acts on other rows: see `workload` on what that excludes."""

    name: str
    tables: tuple[TableShape, ...]
    cascades: bool = False
    fixed_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        return [*(t.label for t in self.tables), *self.column_labels]

    @property
    def column_labels(self) -> list[str]:
        return list(dict.fromkeys(c.label for t in self.tables for c in t.columns))


OTHER: Final = TableShape(
    "o",
    (Column("oid_", "INTEGER PRIMARY KEY", "int"), Column("x", "UNIQUE"), Column("y", "")),
    key=("oid_",),
    targets=("({oid_})", "({x})"),
)
"""A second table beside the one that a shape is about, for triggers to write into."""

ID: Final = Column("id", "INTEGER PRIMARY KEY", "int")


def _one(name: str, *columns: Column, **rest: object) -> Shape:
    return Shape(name, (TableShape("t", columns, **rest), OTHER))  # type: ignore[arg-type]


def _keys() -> Iterator[Shape]:
    text = Column("a", "TEXT", "text")
    plain = Column("b", "")
    yield _one("integer key", ID, text, plain, key=("id",), targets=("({id})",))
    yield _one(
        "integer key that is no alias of the rowid",
        Column("id", "INTEGER PRIMARY KEY DESC", "int"),
        Column("a", "TEXT UNIQUE", "text"),
        key=("id",),
        targets=("({id})", "({a})"),
    )
    yield _one(
        "autoincrement with a unique ticker",
        Column("id", "INTEGER PRIMARY KEY AUTOINCREMENT", "int"),
        Column("a", "TEXT UNIQUE", "text"),
        plain,
        key=("id",),
        targets=("({id})", "({a})"),
    )
    yield _one(
        "text key", Column("k", "TEXT PRIMARY KEY", "text"), plain, key=("k",), targets=("({k})",)
    )
    yield _one(
        "real key",
        Column("k", "REAL PRIMARY KEY NOT NULL", "number"),
        Column("u", "REAL UNIQUE", "number"),
        key=("k",),
        targets=("({k})", "({u})"),
    )
    yield _one(
        "numeric key",
        Column("k", "NUMERIC PRIMARY KEY NOT NULL", "any"),
        Column("u", "INTEGER", "any"),
        key=("k",),
        indexes=("({u})",),
        targets=("({k})", "({u})"),
    )
    yield _one(
        "blob key",
        Column("k", "BLOB PRIMARY KEY", "any"),
        Column("u", "BLOB", "any"),
        key=("k",),
        indexes=("({u})",),
        targets=("({k})",),
    )
    yield _one(
        "untyped key",
        Column("k", "PRIMARY KEY NOT NULL"),
        Column("u", "UNIQUE"),
        key=("k",),
        targets=("({k})", "({u})"),
    )
    yield _one(
        "untyped key without another unique index",
        Column("k", "NOT NULL"),
        plain,
        key=("k",),
        constraints=("PRIMARY KEY ({k})",),
        options="WITHOUT ROWID",
        targets=("({k})",),
    )
    yield _one(
        "key that folds case in its constraint",
        Column("a", "TEXT", "text"),
        plain,
        key=("a",),
        constraints=("PRIMARY KEY ({a} COLLATE NOCASE)",),
        targets=("({a} COLLATE NOCASE)",),
    )
    yield _one(
        "key column that folds case",
        Column("k", "TEXT COLLATE NOCASE PRIMARY KEY NOT NULL", "text"),
        Column("u", "TEXT COLLATE RTRIM UNIQUE", "text"),
        key=("k",),
        targets=("({k})", "({u})"),
    )
    yield _one(
        "composite key",
        Column("a", "TEXT", "text"),
        Column("c", "INTEGER", "int"),
        plain,
        key=("a", "c"),
        constraints=("PRIMARY KEY ({a}, {c})",),
        targets=("({a}, {c})",),
    )
    yield _one(
        "composite key in another order, untyped and collated",
        Column("a", "", "any"),
        plain,
        Column("c", "TEXT", "text"),
        key=("c", "a"),
        constraints=("PRIMARY KEY ({c} COLLATE RTRIM DESC, {a})",),
        indexes=("({b}, {a})",),
        targets=("({c} COLLATE RTRIM, {a})",),
    )
    yield _one(
        "without rowid",
        Column("k", "TEXT PRIMARY KEY", "text"),
        Column("u", "INTEGER UNIQUE", "int"),
        key=("k",),
        options="WITHOUT ROWID",
        targets=("({k})", "({u})"),
    )
    yield _one(
        "without rowid, folding case",
        Column("k", "TEXT COLLATE NOCASE PRIMARY KEY", "text"),
        plain,
        key=("k",),
        options="WITHOUT ROWID",
        targets=("({k})",),
    )
    yield _one(
        "without rowid, composite",
        Column("a", "INTEGER", "int"),
        Column("k", "TEXT", "text"),
        Column("u", ""),
        key=("k", "a"),
        constraints=("PRIMARY KEY ({k} COLLATE RTRIM, {a} DESC)", "UNIQUE ({a}, {u})"),
        options="WITHOUT ROWID",
        targets=("({k} COLLATE RTRIM, {a})", "({a}, {u})"),
    )
    yield _one("no key", Column("a", "TEXT", "text"), plain)
    yield _one("no key and unique values", Column("u", "UNIQUE"), plain, targets=("({u})",))
    yield replace(
        _one("no key and a column called rowid", Column("r", "INTEGER", "int"), plain),
        fixed_names={"r": "rowid"},
    )
    yield replace(
        _one(
            "no key and columns that leave one name for the rowid",
            Column("r", "INTEGER UNIQUE", "int"),
            Column("s", "TEXT", "text"),
            targets=("({r})",),
        ),
        fixed_names={"r": "ROWID", "s": "_rowid_"},
    )
    yield replace(
        _one(
            "key and columns that hide the rowid",
            Column("r", "INTEGER UNIQUE", "int"),
            Column("s", "TEXT", "text"),
            Column("v", "INT PRIMARY KEY", "int"),
            key=("v",),
            targets=("({r})", "({v})"),
        ),
        fixed_names={"r": "rowid", "s": "_rowid_", "v": "oid"},
    )


def _unique_sets() -> Iterator[Shape]:
    text = Column("a", "TEXT", "text")
    plain = Column("b", "")
    yield _one(
        "composite unique index",
        ID,
        text,
        plain,
        key=("id",),
        constraints=("UNIQUE ({a}, {b})",),
        targets=("({id})", "({a}, {b})"),
    )
    yield _one(
        "partial unique index",
        ID,
        text,
        Column("c", "INTEGER", "int"),
        key=("id",),
        indexes=("({a}) WHERE {c} > 0", "({c}) WHERE {a} IS NOT NULL AND {c} IS NOT 2"),
        targets=("({id})", "({a}) WHERE {c} > 0"),
    )
    yield _one(
        "unique expressions",
        ID,
        text,
        plain,
        key=("id",),
        indexes=("(lower({a}))", "({a} || {b} DESC, coalesce({b}, ',)'))"),
        targets=("({id})", "(lower({a}))"),
    )
    yield _one(
        "unique expressions over a text key",
        Column("k", "TEXT PRIMARY KEY", "text"),
        Column("c", "REAL", "number"),
        key=("k",),
        indexes=("(upper({k}) COLLATE RTRIM)", "(({c} + 1), typeof({k})) WHERE {c} < 3"),
        targets=("({k})",),
    )
    yield _one(
        "expression that fails outside its partial index",
        ID,
        Column("d", "TEXT", "document"),
        key=("id",),
        indexes=("(json_extract({d}, '$.id')) WHERE json_valid({d})",),
        targets=("({id})",),
    )
    yield _one(
        "indexes with collations of their own",
        ID,
        text,
        Column("c", "TEXT COLLATE NOCASE", "text"),
        key=("id",),
        indexes=("({a} COLLATE NOCASE)", "({c} COLLATE RTRIM)"),
        targets=("({id})", "({a} COLLATE NOCASE)", "({c} COLLATE RTRIM)"),
    )
    yield _one(
        "expressions with a collation inside",
        ID,
        text,
        plain,
        key=("id",),
        indexes=("({a} || '' COLLATE NOCASE)", "(coalesce({b}, 'x' COLLATE RTRIM) COLLATE BINARY)"),
        targets=("({id})",),
    )
    yield _one(
        "conflict clauses in the declaration",
        Column("id", "INTEGER PRIMARY KEY ON CONFLICT REPLACE", "int"),
        Column("a", "TEXT UNIQUE ON CONFLICT REPLACE", "text"),
        Column("b", "NOT NULL ON CONFLICT REPLACE DEFAULT 'b' UNIQUE ON CONFLICT REPLACE"),
        key=("id",),
        targets=("({id})", "({a})", "({b})"),
    )
    yield _one(
        "conflict clauses of many kinds",
        Column("k", "TEXT PRIMARY KEY ON CONFLICT IGNORE", "text"),
        Column("a", "TEXT UNIQUE ON CONFLICT REPLACE", "text"),
        Column("b", "UNIQUE ON CONFLICT IGNORE"),
        Column("c", "INTEGER UNIQUE", "int"),
        Column("u", "INTEGER UNIQUE ON CONFLICT ROLLBACK", "int"),
        key=("k",),
        targets=("({k})", "({a})", "({b})", "({c})"),
    )
    yield _one(
        "several unique indexes",
        ID,
        Column("a", "TEXT UNIQUE", "text"),
        Column("b", "UNIQUE"),
        Column("c", "INTEGER UNIQUE", "int"),
        key=("id",),
        targets=("({id})", "({a})", "({b})", "({c})"),
    )
    yield _one(
        "unique values that contain the key",
        ID,
        text,
        plain,
        key=("id",),
        constraints=("UNIQUE ({a}, {id})", "UNIQUE ({b}, {id})", "UNIQUE ({b})"),
        targets=("({id})", "({a}, {id})"),
    )
    yield _one(
        "unique generated columns",
        ID,
        text,
        Column("c", "INTEGER", "int"),
        Column("g", "TEXT AS (lower({a})) VIRTUAL UNIQUE", ""),
        Column("h", "GENERATED ALWAYS AS ({c} % 3) STORED UNIQUE", ""),
        key=("id",),
        targets=("({id})", "({g})"),
    )
    yield _one(
        "generated columns in front of a composite key",
        Column("g", "INT AS (abs({c}) % 4)", ""),
        Column("c", "INTEGER", "int"),
        Column("k", "ANY", "text"),
        Column("h", "AS ({k} || 'h') STORED", ""),
        key=("k", "c"),
        constraints=("PRIMARY KEY ({k}, {c})",),
        indexes=("({g}) WHERE {g} > 0", "({h} COLLATE NOCASE)"),
        targets=("({k}, {c})",),
    )
    yield _one(
        "strict",
        Column("k", "ANY PRIMARY KEY NOT NULL", "any"),
        Column("a", "TEXT UNIQUE", "text"),
        Column("c", "ANY UNIQUE", "any"),
        Column("u", "REAL", "number"),
        key=("k",),
        indexes=("({u})",),
        options="STRICT",
        targets=("({k})", "({a})", "({c})"),
    )
    yield _one(
        "strict without rowid",
        Column("k", "INT", "int"),
        Column("u", "ANY", "any"),
        key=("u", "k"),
        constraints=("PRIMARY KEY ({u}, {k})", "UNIQUE ({k}, {u} COLLATE NOCASE)"),
        options="STRICT, WITHOUT ROWID",
        targets=("({u}, {k})",),
    )
    yield _one(
        "unique defaults",
        Column("id", "INTEGER PRIMARY KEY NOT NULL", "int"),
        Column("a", "TEXT NOT NULL DEFAULT (lower('A')) UNIQUE", "text"),
        Column("b", "NOT NULL DEFAULT (1 + 1)"),
        Column("c", "REAL NOT NULL DEFAULT 1 UNIQUE", "number"),
        key=("id",),
        targets=("({id})", "({a})", "({c})"),
    )


def _foreign_keys() -> Iterator[Shape]:
    for action in ("CASCADE", "SET NULL", "SET DEFAULT"):
        yield Shape(
            f"refers to itself, {action}",
            (
                TableShape(
                    "t",
                    (
                        ID,
                        Column(
                            "p",
                            f"INTEGER DEFAULT 1 REFERENCES {{t}} ON DELETE {action}"
                            f" ON UPDATE {action}",
                            "int",
                        ),
                        Column("u", "UNIQUE"),
                    ),
                    key=("id",),
                    targets=("({id})", "({u})"),
                ),
                OTHER,
            ),
            cascades=True,
        )
    yield Shape(
        "refers to its own unique values",
        (
            TableShape(
                "t",
                (
                    Column("k", "TEXT COLLATE NOCASE PRIMARY KEY NOT NULL", "text"),
                    Column("u", "TEXT UNIQUE", "text"),
                    Column("p", "TEXT REFERENCES {t} ({u}) ON DELETE CASCADE", "text"),
                    Column(
                        "q",
                        "TEXT DEFAULT 'a' REFERENCES {t} ({k}) ON UPDATE CASCADE"
                        " ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
                        "text",
                    ),
                ),
                key=("k",),
                targets=("({k})", "({u})"),
            ),
            OTHER,
        ),
        cascades=True,
    )
    for parent, child in (("INTEGER", "TEXT"), ("TEXT", "INTEGER"), ("", "REAL"), ("TEXT", "TEXT")):
        yield Shape(
            f"parent {parent}, child {child}",
            (
                TableShape(
                    "t",
                    (
                        Column("k", f"{parent} PRIMARY KEY", "any"),
                        Column("u", f"{parent} UNIQUE", "any"),
                        Column("b", ""),
                    ),
                    key=("k",),
                    indexes=("({b})",),
                    targets=("({k})", "({u})"),
                ),
                TableShape(
                    "o",
                    (
                        ID,
                        Column("p", f"{child} REFERENCES {{t}} ({{k}}) ON DELETE CASCADE", "any"),
                        Column(
                            "x",
                            f"{child} UNIQUE REFERENCES {{t}} ({{u}}) ON DELETE SET NULL"
                            " ON UPDATE CASCADE",
                            "any",
                        ),
                    ),
                    key=("id",),
                    targets=("({id})", "({x})"),
                ),
            ),
            cascades=True,
        )
    yield Shape(
        "two tables that refer to each other",
        (
            TableShape(
                "t",
                (
                    ID,
                    Column("p", "INTEGER REFERENCES {o} ({id}) ON DELETE CASCADE", "int"),
                    Column("u", "UNIQUE"),
                ),
                key=("id",),
                targets=("({id})", "({u})"),
            ),
            TableShape(
                "o",
                (
                    Column("id", "INTEGER PRIMARY KEY", "int"),
                    Column("q", "INTEGER REFERENCES {t} ({id}) ON DELETE CASCADE", "int"),
                    Column("x", "UNIQUE"),
                ),
                key=("id",),
                targets=("({id})", "({x})"),
            ),
        ),
        cascades=True,
    )
    yield Shape(
        "composite foreign keys",
        (
            TableShape(
                "t",
                (
                    Column("a", "TEXT", "text"),
                    Column("c", "INTEGER", "int"),
                    Column("u", "UNIQUE"),
                    Column("p", "TEXT", "text"),
                    Column("q", "INTEGER", "int"),
                ),
                key=("a", "c"),
                constraints=(
                    "PRIMARY KEY ({a}, {c})",
                    "UNIQUE ({c}, {u})",
                    "FOREIGN KEY ({q}, {p}) REFERENCES {t} ({c}, {a}) ON DELETE CASCADE",
                ),
                options="WITHOUT ROWID",
                targets=("({a}, {c})", "({u})", "({c}, {u})"),
            ),
            TableShape(
                "o",
                (
                    ID,
                    Column("x", "INTEGER", "int"),
                    Column("y", "", "any"),
                ),
                key=("id",),
                constraints=(
                    "FOREIGN KEY ({x}, {y}) REFERENCES {t} ({c}, {u}) ON DELETE SET NULL",
                ),
                targets=("({id})",),
            ),
        ),
        cascades=True,
    )


SHAPES: Final = (*_keys(), *_unique_sets(), *_foreign_keys())


def composed(rng: random.Random) -> Shape:
    """A shape put together at random."""
    types = (
        ("INTEGER", "int"),
        ("TEXT", "text"),
        ("REAL", "number"),
        ("", "any"),
        ("NUMERIC", "any"),
        ("TEXT COLLATE NOCASE", "text"),
        ("TEXT COLLATE RTRIM", "text"),
        ("VARCHAR(9) NOT NULL DEFAULT 'A'", "text"),
        ("NOT NULL DEFAULT (1)", "any"),
    )
    columns = [Column(label, *rng.choice(types)) for label in "abcdu"[: rng.randint(2, 5)]]
    labels = [c.label for c in columns]
    without_rowid = False
    constraints: list[str] = []
    targets: list[str] = []
    kind = rng.randrange(5)
    if kind == 0:
        columns.insert(rng.randrange(len(columns) + 1), ID)
        key: tuple[str, ...] = ("id",)
        targets.append("({id})")
    elif kind == 1:
        key = ()
    else:
        key = tuple(rng.sample(labels, rng.randint(1, 2)))
        terms = ", ".join(f"{{{c}}}{_collate(rng)}" for c in key)
        clause = rng.choice(("", "", "", " ON CONFLICT REPLACE"))
        constraints.append(f"PRIMARY KEY ({terms}){clause}")
        targets.append(f"({terms})")
        without_rowid = rng.random() < 0.5
    if rng.random() < 0.3:
        stored = rng.choice(("STORED", "VIRTUAL"))
        columns.insert(
            rng.randrange(len(columns) + 1),
            Column("g", f"AS ({{{labels[0]}}} || 'g') {stored}", ""),
        )
        labels.append("g")
    indexes = []
    for _ in range(rng.randint(0, 3)):
        terms = ", ".join(
            rng.choice((f"{{{c}}}", f"{{{c}}}", f"lower({{{c}}})", f"+{{{c}}} || ''"))
            + _collate(rng)
            for c in rng.sample(labels, rng.randint(1, 2))
        )
        partial = rng.choice(("", "", f" WHERE {{{rng.choice(labels)}}} > 0"))
        indexes.append(f"({terms}){partial}")
        targets.append(f"({terms}){partial}")
    return Shape(
        "composed",
        (
            TableShape(
                "t",
                tuple(columns),
                key,
                tuple(constraints),
                "WITHOUT ROWID" if without_rowid else "",
                tuple(indexes),
                tuple(targets),
            ),
            OTHER,
        ),
    )


def _collate(rng: random.Random) -> str:
    return rng.choice(("", "", "", " COLLATE NOCASE", " COLLATE RTRIM", " COLLATE BINARY"))


HOSTILE_TABLES: Final = (
    'we"ird',
    "new",
    "NEW",
    "OLD",
    "a b",
    "select",
    "ünï",
    "{x}",
    "{table}",
    "%s",
    "two\nlines",
    " ",
    "it's",
    "rowid",
    "k0",
    "[x]",
    "a.b",
    "--",
    "t;",
)
HOSTILE_COLUMNS: Final = (
    *HOSTILE_TABLES,
    "_cdc_t",
    "_cdc_m",
    "v0",
    "v1",
    "u0_0",
    "seq",
    "at",
    "op",
    "oid",
    "1",
    "'",
    "NULL",
    "main",
)


def names(shape: Shape, rng: random.Random, *, hostile: bool) -> dict[str, str]:
    """What everything in the shape is called."""
    fixed = dict(shape.fixed_names)
    tables = [t.label for t in shape.tables]
    if not hostile:
        return {label: fixed.get(label, label) for label in shape.labels}
    taken = {name.lower() for name in fixed.values()}
    chosen = {}
    for labels, pool in ((tables, HOSTILE_TABLES), (shape.column_labels, HOSTILE_COLUMNS)):
        used = set(taken)
        for label in labels:
            free = [name for name in pool if name.lower() not in used]
            chosen[label] = fixed.get(label) or rng.choice(free)
            used.add(chosen[label].lower())
    return chosen
