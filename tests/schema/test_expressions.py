"""What is translated means the same; what might not is refused with its reason."""

import pytest

from cdc.mapping.codec import Options
from cdc.mapping.expressions import condition
from cdc.mapping.table import TargetColumn
from cdc.mapping.terms import NotTranslatable, column_terms
from cdc.mapping.types import BIGINT, DOUBLE, LITERAL, TEXT, target_type
from cdc.schema import Column

SHAPES = (
    ("a", "INTEGER", BIGINT, "BINARY"),
    ("b", "INTEGER", BIGINT, "BINARY"),
    ("s", "TEXT", TEXT, "BINARY"),
    ("nc", "TEXT", TEXT, "NOCASE"),
    ("r", "REAL", DOUBLE, "BINARY"),
    ("d", "NUMERIC", TEXT, "BINARY"),
    ("l", "BLOB", LITERAL, "BINARY"),
    ("v", "TEXT", target_type("varchar(9)"), "BINARY"),
    ("n", "REAL", target_type("numeric(10,4)", "REAL"), "BINARY"),
    ("i", "INTEGER", target_type("integer"), "BINARY"),
    ("f", "INTEGER", target_type("boolean", "INTEGER"), "BINARY"),
    ("day", "TEXT", target_type("date", "TEXT"), "BINARY"),
    ("at", "TEXT", target_type("timestamptz", "TEXT"), "BINARY"),
    ("js", "TEXT", target_type("jsonb", "TEXT"), "BINARY"),
    ("w", "TEXT", target_type("boolean", "TEXT", Options(true=("y",))), "BINARY"),
    ("o", "REAL", target_type("numeric(9,2)", "REAL", Options(instead="round")), "BINARY"),
    ("t", "TEXT", target_type("bigint", "TEXT"), "BINARY"),
)
COLUMNS = column_terms(
    {
        name: (Column(name, "", affinity, own_collation=collation), TargetColumn(name, type_, i))
        for i, (name, affinity, type_, collation) in enumerate(SHAPES)
    }
)


@pytest.mark.parametrize(
    ("text", "translated"),
    [
        ("a > 0", '("a" > 0)'),
        ("a", '("a" <> 0)'),
        ("a == 1 and b <> 2", '(("a" = 1) AND ("b" <> 2))'),
        ('s = "x"', '("s" COLLATE "C" = \'x\' COLLATE "C")'),
        ("nc < 'A'", '(lower("nc" COLLATE "C") < lower(\'A\' COLLATE "C"))'),
        ("a + b <= 10", '(("a"::numeric + "b"::numeric) <= 10)'),
        ("s NOT NULL or a ISNULL", '(("s" IS NOT NULL) OR ("a" IS NULL))'),
        ("a NOT BETWEEN 1 AND -2", '(NOT (("a" >= 1) AND ("a" <= (-2))))'),
        ("a IS NOT 3", '("a" IS DISTINCT FROM 3)'),
        ("a NOT IN (1, NULL)", '(NOT (("a" = 1) OR (NULL::boolean)))'),
        ("d = 'open'", '("d" COLLATE "C" = \'open\' COLLATE "C")'),
        (
            "v IN ('a', 'b')",
            '((("v" COLLATE "C" = \'a\' COLLATE "C") OR ("v" COLLATE "C" = \'b\' COLLATE "C")))',
        ),
        ("n > 0 AND n <= 0.5", '(("n" > 0) AND ("n" <= 0.5))'),
        ("n < 0.1000000000000000055", '("n" < 0.1)'),
        ("abs(i) < 5", '(abs("i"::bigint) < 5)'),
        ("f IN (0, 1)", '(((NOT "f") OR "f"))'),
        ("f AND NOT f <> 1", '("f" AND (NOT (NOT "f")))'),
        ("f < 2", '("f"::integer < 2)'),
        ("day >= '2020-01-01'", "(\"day\" >= DATE '2020-01-01')"),
        ("at IS NULL OR l IS NOT NULL", '(("at" IS NULL) OR ("l" IS NOT NULL))'),
        ("json_valid(js)", '("js" IS NOT NULL OR NULL)'),
    ],
)
def test_what_means_the_same_is_translated(text: str, translated: str) -> None:
    assert condition(text, COLUMNS) == translated


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("s LIKE 'a%'", "case of ASCII letters"),
        ("s GLOB 'a*'", "GLOB has no equal"),
        ("s = 1", "converts by affinity"),
        ("d > '2020'", "looks like one"),
        ("r = a", "compared exactly only in SQLite"),
        ("a / b > 1", "division by zero"),
        ("a + b + a > 1", "overflow"),
        ("r + 1 > 2", "rounds or overflows"),
        ("s", "true or false is asked for"),
        ("l = 1", "becomes literal"),
        ("typeof(a) = 'integer'", "typeof"),
        ("CASE a WHEN 1 THEN 0 END", "CASE"),
        ("a = (b > 1)", "used as a number"),
        ("s > CURRENT_TIMESTAMP", "is text in SQLite"),
        ("day > '2020-1-1'", "converts by affinity"),
        ("at > '2020-01-01'", "becomes timestamptz"),
        ("json_valid(s)", "json_valid"),
        ("w = 'y'", "has words for true and false"),
        ("o > 0", "holds other values"),
        ("o IS NOT NULL", "holds other values"),
        ("t > 5", "becomes bigint"),
    ],
)
def test_what_might_differ_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(NotTranslatable, match=reason):
        condition(text, COLUMNS)
