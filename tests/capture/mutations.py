"""The tricks of the capture, each with a way to turn it off."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

from cdc.resources import load_sql
from cdc.sqlite import introspect, triggers, verification
from cdc.sqlite.introspect import UniqueSet
from cdc.sqlite.mirrors import MirrorFill
from cdc.sqlite.triggers import _Renderer

Patch = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Mutation:
    """`trick` is what the patches turn off.

    The workloads over `shapes` need it most, with this many triggers of the application's. They are
    tried from seed `start` on: where few of them find the hole, one is known to come soon.
    """

    trick: str
    patches: tuple[Patch, ...]
    shapes: tuple[str, ...]
    triggers: tuple[int, int] = (0, 4)
    start: int = 0

    @contextmanager
    def applied(self) -> Iterator[None]:
        with ExitStack() as stack:
            for patch in self.patches:
                stack.enter_context(patch())
            yield


def template(name: str, old: str, new: str) -> Patch:
    """`new` instead of `old`, everywhere in one of the templates."""

    def load(asked: str) -> str:
        text = load_sql(asked)
        if asked != f"sqlite/{name}.sql":
            return text
        assert old in text, f"{name} has changed"
        return text.replace(old, new)

    return partial(mock.patch.object, triggers, "load_sql", load)


def method(name: str, instead: Callable[..., Any]) -> Patch:
    """Another method of the renderer."""
    return partial(mock.patch.object, _Renderer, name, instead)


def value(name: str, compute: Callable[[_Renderer], str]) -> Patch:
    """Another text for a placeholder, or one more placeholder."""

    def patch() -> AbstractContextManager[object]:
        # The original of this moment: two of these may be applied together.
        original = _Renderer.__init__

        def init(self: _Renderer, *arguments: Any) -> None:
            original(self, *arguments)
            self.values[name] = compute(self)

        return mock.patch.object(_Renderer, "__init__", init)

    return patch


def text(change: Callable[[str, str], str]) -> Patch:
    """Another text of every trigger: `change` is given the table's quoted name and the text."""
    original = _Renderer.trigger

    def trigger(self: _Renderer, event: str, **pieces: str) -> tuple[str, str]:
        name, sql = original(self, event, **pieces)
        return name, change(triggers.quote(self.source.name), sql)

    return method("trigger", trigger)


def unique_sets(keep: Callable[[UniqueSet], bool]) -> Patch:
    """Only some of a table's unique sets."""
    original = introspect._unique_sets

    def some(*arguments: Any) -> Iterator[UniqueSet]:
        return (each for each in original(*arguments) if keep(each))

    return partial(mock.patch.object, introspect, "_unique_sets", some)


def without_conditions(name: str, word: str) -> Patch:
    """The conditions that the renderer's method `name` gives, less those that hold `word`."""
    original = getattr(_Renderer, name)

    def instead(self: _Renderer, *arguments: Any) -> str:
        conditions = original(self, *arguments).split(" AND ")
        return " AND ".join(each for each in conditions if word not in each)

    return method(name, instead)


def _is_rowid(each: UniqueSet) -> bool:
    term = each.terms[0]
    return each.is_identity and term.column in introspect.ROWID_NAMES


def _no_alias(table: str, trigger: str) -> str:
    return trigger.replace(f"{table} AS _cdc_t", table).replace("_cdc_t.", f"{table}.")


def _on_new(renderer: _Renderer) -> list[str]:
    sets = renderer.source.unique_sets
    return [renderer._on_new(term, each) for each in sets for term in each.terms]


def _same_as_new(renderer: _Renderer) -> str:
    columns = renderer.values["mirror_columns"].split(", ")[len(renderer.table.key) :]
    same = zip(columns, _on_new(renderer), strict=True)
    return " AND ".join(f"{renderer.mirror}.{column} IS {new}" for column, new in same)


def _evicted_by_values_alone(self: _Renderer, *also: str) -> str:
    sets = [
        self._has_values(s, [self._on_new(term, each) for term in each.terms])
        for s, each in enumerate(self.source.unique_sets)
    ]
    return self._log_evicted(*sets, *also)


_log_gone_only = lambda self, op: self.piece("log_gone", op=op)  # noqa: E731

GONE_FROM_TABLE = "AND NOT EXISTS (SELECT 1 FROM {table} AS _cdc_t WHERE {is_mirror_key})"
KEY_IS_GONE = "WHERE NOT EXISTS (SELECT 1 FROM {table} AS _cdc_t WHERE {is_old_key})"
NO_ENTRY = "AND NOT EXISTS (SELECT 1 FROM {mirror} WHERE {is_row_mirror_key})"
SAME = "AND NOT EXISTS (SELECT 1 FROM {table} AS _cdc_t WHERE {is_mirror_key} AND {same_values})"

TICKER = "autoincrement with a unique ticker"
LOOSE = ("key that folds case in its constraint", "without rowid, folding case")

MUTATIONS = (
    Mutation(
        "an image is read back from the table",
        (
            template("log_image", " FROM {table} AS _cdc_t WHERE {is_new_key}", ""),
            value("columns", lambda r: r.values["columns"].replace("_cdc_t.", "NEW.")),
        ),
        ("integer key", TICKER),
    ),
    Mutation(
        "a delete is logged only where the key is gone",
        (template("log_gone", KEY_IS_GONE, f"{KEY_IS_GONE} OR '{{op}}' = 'd'"),),
        ("integer key", TICKER),
        start=40,
    ),
    Mutation(
        "the end of an old key is logged only where it is gone",
        (template("log_gone", KEY_IS_GONE, f"{KEY_IS_GONE} OR '{{op}}' = 'k'"),),
        ("integer key", TICKER),
        start=95,
    ),
    Mutation(
        "an update logs the end of the old key",
        (template("after_update", "{gone}", ""),),
        ("integer key", "without rowid"),
    ),
    Mutation(
        "keys are compared byte for byte",
        (without_conditions("_matches", "COLLATE BINARY"),),
        LOOSE,
    ),
    Mutation(
        "keys without a type are compared with their classes",
        (without_conditions("_matches", "typeof"),),
        ("untyped key", "untyped key without another unique index", "blob key"),
    ),
    Mutation(
        "an entry of the mirror is forgotten only for a key of the same class",
        (method("_same_types", lambda self, values: ""),),
        ("untyped key", "untyped key without another unique index", "blob key"),
        start=270,
    ),
    Mutation(
        "a row without a key is logged, and has no entry",
        (value("key_not_null", lambda _: ""),),
        ("text key", "composite key"),
    ),
    Mutation(
        "evicted rows are looked for",
        (unique_sets(lambda _: False),),
        (TICKER, "several unique indexes"),
    ),
    Mutation(
        "the rowid is a unique value beside a declared key",
        (unique_sets(lambda each: not _is_rowid(each)),),
        ("text key", "composite key"),
    ),
    Mutation(
        "a key that compares loosely is a unique value of its own",
        (unique_sets(lambda each: not each.is_identity or _is_rowid(each)),),
        ("without rowid, folding case", "untyped key without another unique index"),
    ),
    Mutation(
        "the mirror's values are read from the table",
        (
            template("mirror_remember", "{unique_values}", "{new_unique_values}"),
            value("new_unique_values", lambda r: ", ".join(_on_new(r))),
            value("same_values", _same_as_new),
        ),
        (TICKER, "several unique indexes"),
    ),
    Mutation(
        "an entry of the mirror follows its row",
        (template("mirror_remember", SAME, "AND 0"),),
        (TICKER, "several unique indexes"),
    ),
    Mutation(
        "an entry of the mirror is compared byte for byte",
        (
            value(
                "same_values",
                lambda r: r.values["same_values"].replace(" COLLATE BINARY IS", " IS"),
            ),
        ),
        ("expressions with a collation inside",),
        triggers=(0, 0),
    ),
    Mutation(
        "an entry is made only where there is none",
        (template("mirror_remember", NO_ENTRY, ""),),
        (TICKER,),
    ),
    Mutation(
        "only a key that is gone was evicted",
        (template("log_evicted", GONE_FROM_TABLE, ""),),
        (TICKER,),
    ),
    Mutation(
        "an evicted key leaves the mirror",
        (
            template(
                "log_evicted", "DELETE FROM {mirror} WHERE", "DELETE FROM {mirror} WHERE 0 AND"
            ),
        ),
        (TICKER,),
    ),
    Mutation(
        "a key that is gone leaves the mirror",
        (method("gone", _log_gone_only),),
        (TICKER,),
    ),
    Mutation(
        "an old key that is there again stays in the mirror",
        (template("mirror_forget", GONE_FROM_TABLE, ""),),
        (TICKER, "integer key that is no alias of the rowid"),
        start=55,
    ),
    Mutation(
        "a new row can be evicted before its trigger has run",
        (method("evicted", _evicted_by_values_alone),),
        (TICKER, "several unique indexes"),
        start=810,
    ),
    Mutation(
        "a row can go under another key than its trigger is told",
        (method("was_old_row", lambda self: ()),),
        ("text key", "blob key", *LOOSE),
        start=100,
    ),
    Mutation(
        "the children of an evicted row tell of it",
        (method("child_triggers", lambda self: iter(())),),
        ("refers to itself, CASCADE", "two tables that refer to each other"),
    ),
    Mutation(
        "an expression is computed only inside its partial index",
        (partial(mock.patch.object, triggers, "_within", lambda unique_set, value: value),),
        ("expression that fails outside its partial index",),
    ),
    Mutation(
        "the table goes by an alias",
        (text(_no_alias),),
        ("integer key", TICKER),
    ),
    Mutation(
        "rows that were there before have entries in the mirror",
        (partial(mock.patch.object, MirrorFill, "run", lambda self, wait, stopped: None),),
        (TICKER,),
    ),
    Mutation(
        "our triggers are the newest",
        (partial(mock.patch.object, verification, "_run_first", lambda file, stored: True),),
        ("integer key", TICKER),
    ),
)
