"""Each type takes what comes back and gives it back; nothing is altered unless asked for."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.mapping.codec import Options, same
from cdc.mapping.types import target_type
from cdc.postgres.wire import load
from cdc.schema import UndecodableText

NEW_YORK = Options(timezone="America/New_York", ambiguous="earlier", missing="forward")

NUMBERS = ["numeric", "numeric(10,4)", "numeric(30,25)", "numeric(5,0)", "bigint", "integer",
           "smallint", "real", "double precision", "boolean"]  # fmt: skip
TEXTS = ["text", "varchar(5)", "date", "time", "timestamp", "timestamptz", "json", "uuid"]
TYPES = [
    *(target_type(name, affinity) for name in NUMBERS for affinity in ("REAL", "NUMERIC", "TEXT")),
    *(target_type(name, "TEXT") for name in TEXTS),
    target_type("bytea", "BLOB"),
    target_type("uuid", "BLOB"),
    target_type("literal", "BLOB"),
    target_type("timestamptz", "TEXT", NEW_YORK),
    target_type("timestamptz", "TEXT", Options(separator=" ")),
    target_type("timestamptz", "INTEGER", Options(epoch="ms")),
    target_type("timestamp", "REAL", Options(epoch="s")),
    target_type("timestamptz", "TEXT", Options(epoch="us")),
    target_type("boolean", "TEXT", Options(true=("yes", "y"), false=("no",))),
]

MOMENTS = st.datetimes()
DECIMALS = st.decimals(-(10**12), 10**12, allow_nan=False, places=4)
VALUES = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-40_000, 40_000),
    st.floats(allow_nan=False),
    DECIMALS.map(float),
    DECIMALS.map(lambda d: f"{d:f}"),
    st.sampled_from([0, 1, 0.0, -0.0, 1.0, 5e-324, "0", "1", "-0", "yes", "y", "no", "", "a\0"]),
    st.text(max_size=8),
    st.binary(max_size=4),
    st.binary(min_size=16, max_size=16),
    st.uuids().map(str),
    st.binary(max_size=3).map(lambda b: UndecodableText(b"\xff" + b)),
    st.dates().map(str),
    st.times().map(str),
    MOMENTS.map(str),
    MOMENTS.map(lambda m: m.isoformat()),
    MOMENTS.map(lambda m: m.isoformat() + "Z"),
    MOMENTS.map(lambda m: m.isoformat() + "-05:00"),
    st.sampled_from(["2025-11-02T01:30:00", "2025-03-09T02:30:00", "2025-11-02T06:30:00Z"]),
    st.recursive(st.none() | st.integers(), st.lists).map(repr),
)


def stored(type_, value):
    """What a session reads of what is sent for a value."""
    packed = value if type_.encode is None else type_.encode(value)
    return packed if type_.encode is None or type_.wire == "json" else load(type_.wire, packed)


@pytest.mark.parametrize("type_", TYPES, ids=lambda t: f"{t.name}-{t.affinity}")
@given(value=VALUES)
def test_what_comes_back_is_stored_as_the_same(type_, value):
    """forward(reverse(p)) == p for every p that forward makes."""
    if type_.accepts(value):
        there = stored(type_, value)
        if isinstance(there, bytes) and type_.wire == "json":
            there = there.decode()
        back = type_.decode(there)
        again = stored(type_, back)
        if isinstance(again, bytes) and type_.wire == "json":
            again = again.decode()
        assert again == there
        assert type(again) is type(there)


@pytest.mark.parametrize("type_", TYPES, ids=lambda t: f"{t.name}-{t.affinity}")
@given(value=VALUES)
def test_a_key_comes_back_bit_for_bit(type_, value):
    """A column of a key takes a value only where it comes back as itself."""
    if type_.name == "json":
        return  # never in a key
    keyed = target_type(type_.name, type_.affinity, type_.options, in_key=True)
    if keyed.accepts(value):
        assert same(keyed.decode(stored(keyed, value)), value)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 24))
def test_a_scaled_numeric_is_the_shortest_decimal_or_refused(value, scale):
    """No digit is added or lost, by the quick way and by the long one."""
    type_ = target_type(f"numeric(40,{scale})", "REAL")
    exact = Decimal(repr(value))
    refusal = type_.refusal(value)
    if refusal is None:
        assert load("numeric", type_.encode(value)) == exact
    elif str(value) != "-0.0" and abs(exact) < Decimal(10) ** (40 - scale):
        assert -exact.as_tuple().exponent > scale


@given(st.floats(-1e6, 1e6))
def test_rounding_is_half_away_from_zero_on_the_decimal_that_people_see(value):
    """The shortest decimal is rounded, not the binary fraction behind it."""
    type_ = target_type("numeric(10,2)", "REAL", Options(instead="round"))
    rounded = Decimal(repr(value)).quantize(Decimal("0.01"), "ROUND_HALF_UP")
    assert load("numeric", type_.encode(value)) == rounded
    assert type_.alters(value) == (str(value) == "-0.0" or rounded != Decimal(repr(value)))


@pytest.mark.parametrize(
    ("spec", "affinity", "options", "value", "reason"),
    [
        ("numeric(10,4)", "REAL", Options(), 0.12345, "more than 4 digits behind the point"),
        ("numeric(10,4)", "REAL", Options(instead="round"), "$117,750", "it is no number"),
        ("numeric(10,4)", "REAL", Options(), 1e6, "6 digits before the point"),
        ("numeric", "REAL", Options(), -0.0, "come back as 0.0"),
        ("numeric", "REAL", Options(), float("inf"), "infinity is no number"),
        ("numeric", "BLOB", Options(), 7.0, "come back as 7"),
        ("varchar(3)", "TEXT", Options(), "four", "4 characters, and the column takes 3"),
        ("text", "TEXT", Options(), "a\0", "zero byte"),
        ("text", "TEXT", Options(), UndecodableText(b"\xff"), "not UTF-8"),
        ("date", "TEXT", Options(), "2025-02-29", "day is out of range"),
        ("date", "TEXT", Options(), "20250801", "no date such as"),
        ("timestamptz", "TEXT", Options(), "2025-08-01T09:30:00", 'names no zone: set "timezone"'),
        ("timestamptz", "TEXT", Options(timezone="America/New_York"), "2025-11-02T01:30:00",
         "shows this time twice"),
        ("timestamptz", "TEXT", Options(timezone="America/New_York"), "2025-03-09T02:30:00",
         "never shows this time"),
        ("json", "TEXT", Options(), "{'a': 1}", "it is no JSON"),
        ("jsonb", "TEXT", Options(), '{"a": 1, "a": 2}', "one key twice"),
        ("smallint", "INTEGER", Options(), 40_000, "beyond the range of smallint"),
        ("real", "REAL", Options(), 0.1, "come back as 0.10000000149"),
    ],
)  # fmt: skip
def test_a_refusal_says_why(spec, affinity, options, value, reason):
    assert reason in (target_type(spec, affinity, options).refusal(value) or "")


@pytest.mark.parametrize(
    ("ambiguous", "missing", "text", "instant"),
    [
        ("earlier", "refuse", "2025-11-02T01:30:00", "2025-11-02T05:30:00Z"),
        ("later", "refuse", "2025-11-02T01:30:00", "2025-11-02T06:30:00Z"),
        ("refuse", "forward", "2025-03-09T02:30:00", "2025-03-09T07:30:00Z"),
        ("refuse", "backward", "2025-03-09T02:30:00", "2025-03-09T06:30:00Z"),
        ("refuse", "refuse", "2025-08-01 09:30:00.25", "2025-08-01T13:30:00.25Z"),
    ],
)
def test_the_hour_that_repeats_and_the_one_that_is_missing(ambiguous, missing, text, instant):
    """Each becomes the instant that the configuration says."""
    options = Options(timezone="America/New_York", ambiguous=ambiguous, missing=missing)
    local = target_type("timestamptz", "TEXT", options)
    assert local.encode(text) == target_type("timestamptz", "TEXT").encode(instant)


@pytest.mark.parametrize(
    "spec", ["numeric(0)", "numeric(5,6)", "varchar", "varchar(0)", "text(3)", "int4", ""]
)
def test_what_is_no_type_is_a_sentence(spec):
    with pytest.raises(ValueError, match=r"there is no target type|takes 1 to"):
        target_type(spec)


def test_a_key_is_never_altered():
    """Options that could make two keys one are refused."""
    with pytest.raises(ValueError, match="not for a column of the key"):
        target_type("varchar(3)", "TEXT", Options(instead="truncate"), in_key=True)
    with pytest.raises(ValueError, match="can not be of type json"):
        target_type("json", "TEXT", in_key=True)
