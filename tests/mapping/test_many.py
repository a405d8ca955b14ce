"""What is made of many values at once is what is made of each by itself."""

import struct
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.mapping.codec import Options, Unfitting
from cdc.mapping.lanes import Division, lanes
from cdc.mapping.numeric import pack_scaled
from cdc.mapping.numerics import Numerics, rounding
from cdc.mapping.table import MappedTable, TargetColumn
from cdc.mapping.types import target_type
from cdc.postgres import encoding
from cdc.postgres.encoding import Encoding
from cdc.postgres.wire import load
from cdc.schema import Column, Table, UndecodableText

NEW_YORK = Options(timezone="America/New_York", ambiguous="earlier")
CAUTIOUS = Options(timezone="America/New_York")
ROUND = Options(instead="round")
NULL = Options(instead="null")

DECIMALS = st.decimals(-(10**9), 10**9, allow_nan=False, places=4).map(float)
REALS = st.one_of(
    DECIMALS,
    st.integers(-10_000, 10_000).map(lambda n: n / 100),
    st.integers(-20_001, 20_001).map(lambda n: n / 2 / 10**4),  # half-way cases
    st.floats(allow_nan=False),
    st.sampled_from([0.0, -0.0, 0.00005, -0.00005, 999_999.9999, 999_999.99995, 1e6, "$1", b""]),
)
MOMENTS = st.datetimes()
TEXTS = st.one_of(
    MOMENTS.map(lambda m: m.isoformat()),
    MOMENTS.map(lambda m: m.replace(microsecond=0).isoformat()),
    MOMENTS.map(lambda m: m.isoformat(" ", timespec="microseconds")),
    MOMENTS.map(lambda m: m.isoformat(timespec="milliseconds")),
    st.sampled_from(
        ["2025-11-02T01:30:00", "2025-03-09T02:30:00", "2025-08-01T09:30:00Z", "2025-08-01", "",
         "2025-08-01T09:30:00.+12345", "2025-08-01T09:30:00.12345²", "2025-08-01T09:60:00",
         "2025-08-01T09:30:00Z123456", "2025-08-01T24:00:00", "a\0", "é", "long" * 9, b"x", 7.5,
         UndecodableText(b"\xff")]
    ),
)  # fmt: skip
INTEGERS = st.one_of(
    st.integers(-40_000, 40_000), st.integers(-(2**63), 2**63 - 1), st.sampled_from([7.5, "x", b""])
)

REAL_TYPES = [
    target_type(spec, "REAL", options)
    for spec in ("numeric(10,4)", "numeric(10,2)", "numeric(5,4)", "numeric(5,5)", "numeric(9,0)",
                 "numeric(20,1)", "numeric(24,13)", "numeric(40,3)")
    for options in (Options(), ROUND, NULL)
]  # fmt: skip
TEXT_TYPES = [
    target_type("timestamptz", "TEXT", NEW_YORK),
    target_type("timestamptz", "TEXT", CAUTIOUS),
    target_type("timestamp", "TEXT"),
    target_type("timestamp", "TEXT", NULL),
    target_type("varchar(20)", "TEXT"),
    target_type("varchar(20)", "TEXT", Options(instead="truncate")),
    target_type("date", "TEXT", NULL),
]
INTEGER_TYPES = [
    target_type(spec, affinity, options)
    for spec in ("integer", "smallint")
    for affinity in ("INTEGER", "NUMERIC")
    for options in (Options(), NULL)
]
CASES = [
    *((type_, REALS) for type_ in REAL_TYPES),
    *((type_, TEXTS) for type_ in TEXT_TYPES),
    *((type_, INTEGERS) for type_ in INTEGER_TYPES),
]


def name(case):
    return f"{case.name}-{case.affinity}-{case.options.instead}" if hasattr(case, "name") else ""


def one_by_one(type_, values):
    """What is stored for each value, as a session reads it; the word of a refusal where it is."""
    try:
        packed = [None if value is None else type_.encode(value) for value in values]
    except Unfitting as exc:
        return str(exc)
    return [load(type_.wire, data) for data in packed]


def together(type_, encode, values):
    """The same by an Encoding, whose values go as they are where the type says so."""
    try:
        found = [value for (value,) in encode.rows([(value,) for value in values])]
    except Unfitting as exc:
        return str(exc)
    return [load(type_.wire, data) if isinstance(data, bytes) else data for data in found]


def table(type_):
    source = Table("t", (Column("v", "", type_.affinity),), ())
    return MappedTable(source, "s", "t", (TargetColumn("v", type_, 0),))


def server_refuses(type_, values):
    """Where values go as they are, the dumpers and the server look at the rest."""
    return type_.as_is is not None and any(
        isinstance(v, bytes) or (isinstance(v, str) and "\0" in v) for v in values
    )


@pytest.mark.parametrize(("type_", "values"), CASES, ids=name)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_an_encoding_is_that_of_each_value(type_, values, data):
    """Whether values are looked up, computed one by one, many at once, or go as they are."""
    batches = data.draw(st.lists(st.lists(values | st.none(), min_size=1), max_size=4))
    kept, patience, some = encoding.MOST_KEPT, encoding.MANY_NEW, encoding.SOME
    learning = encoding.FEW, encoding.LEARN_TIMES
    encoding.MOST_KEPT = data.draw(st.sampled_from([0, 3, kept]))
    encoding.MANY_NEW = data.draw(st.sampled_from([0, 3, patience]))
    encoding.SOME = data.draw(st.sampled_from([1, 3, some]))
    encoding.FEW, encoding.LEARN_TIMES = data.draw(st.sampled_from([(1, 1), (8, 1), learning]))
    try:
        encode = Encoding(table(type_))
        for batch in batches:
            if not server_refuses(type_, batch):
                assert together(type_, encode, batch) == one_by_one(type_, batch)
    finally:
        encoding.MOST_KEPT, encoding.MANY_NEW, encoding.SOME = kept, patience, some
        encoding.FEW, encoding.LEARN_TIMES = learning


@pytest.mark.parametrize(("type_", "values"), CASES, ids=name)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_many_are_what_each_is(type_, values, data):
    """But for those that are left to the long way."""
    if type_.many is None:
        return
    batch = data.draw(st.lists(values, min_size=1))
    made = type_.many(batch)
    if made is None:
        return
    packed, unclear = made
    for at in set(range(len(batch))).difference(unclear):
        assert load(type_.wire, packed[at]) == load(type_.wire, type_.encode(batch[at]))


def test_prices_of_little_spread_are_looked_up_after_all():
    """The first block has hardly a price twice, all of them have few: NULL and both zeros too."""
    type_ = target_type("numeric(10,4)", "REAL", ROUND)
    encode = encoding._encoder(type_, type_.encode)
    prices = [*(n / 100 for n in range(-1_000, 1_000)), None, 0.0, -0.0]
    wanted = one_by_one(type_, prices)
    for _ in range(encoding.FEW * encoding.LEARN_TIMES // len(prices) + 2):
        assert [load(type_.wire, packed) for packed in encode(prices)] == wanted
    assert len(encode._memory) > len(prices) / 2


def test_usual_values_are_made_at_once():
    """Which is what it is for: prices, also rounded ones, negative ones and none; and moments."""
    prices = [116_003.57, 0.1, -0.25, 3.0, 99_999_999.99]
    for options in (Options(), ROUND):
        packed, unclear = target_type("numeric(10,2)", "REAL", options).many(prices)
        assert [float(load("numeric", data)) for data in packed] == prices
        assert unclear == ()
    packed, unclear = target_type("numeric(10,2)", "REAL", ROUND).many([0.123, 0.125, 7.0])
    assert unclear == [1]
    for type_ in TEXT_TYPES[:4]:
        assert type_.many(["2025-08-01T09:30:00", "2025-08-01 10:00:01"])[1] == ()
        assert type_.many(["2025-08-01T09:30:00.000001", "2025-08-01 10:00:01.500000"])[1] == ()


SHAPES = st.integers(1, 24).flatmap(lambda p: st.tuples(st.just(p), st.integers(0, p)))


def digits(packed):
    """A numeric as the server keeps it: sign, scale, weight, and groups without zeros around."""
    count, weight, sign, scale = struct.unpack_from(">hhHH", packed)
    groups = list(struct.unpack_from(f">{count}H", packed, 8))
    while groups and not groups[0]:
        del groups[0]
        weight -= 1
    while groups and not groups[-1]:
        del groups[-1]
    return sign, scale, weight if groups else 0, groups


@given(SHAPES, st.data())
def test_a_shape_holds_every_number(shape, data):
    """Of its precision and scale, whatever its sign."""
    precision, scale = shape
    limit = 10 ** min(precision, 15)
    numbers = data.draw(st.lists(st.integers(1 - limit, limit - 1), min_size=1))
    for number, packed in zip(
        numbers, Numerics(precision, scale, limit).of_numbers(numbers), strict=True
    ):
        assert digits(packed) == digits(pack_scaled(number, scale))


@settings(max_examples=300)
@given(SHAPES, st.data())
def test_reals_are_rounded_to_the_very_numeric(shape, data):
    """To the same bytes as one by one, or not at all: of either sign, near the middle of two
    numbers and near their limits."""
    precision, scale = shape
    round_all = rounding(precision, scale)
    if round_all is None:
        return
    encode = target_type(f"numeric({precision},{scale})", "REAL", ROUND).encode
    most = 10 ** min(precision, 11)
    reals = data.draw(
        st.lists(
            st.one_of(
                st.integers(-most, most).map(lambda n: n / 10**scale),
                st.integers(-2 * most, 2 * most).map(lambda n: n / (2 * 10**scale)),
                st.tuples(st.integers(-most, most), st.floats(-1, 1)).map(
                    lambda n: (n[0] + n[1] / 1000) / 10**scale
                ),
                st.floats(-most / 10**scale, most / 10**scale),
                st.sampled_from([0.0, -0.0, 5e-324, -1e-300]),
            ),
            min_size=1,
        )
    )
    made = round_all(reals)
    if made is None:
        assert max(map(abs, reals)) >= (most - 1) / 10**scale * (1 - 1e-9)
        return
    packed, unclear = made
    assert len(packed) == len(reals)
    for at, real in enumerate(reals):
        if at in unclear:
            assert abs(abs(Decimal(repr(real))) * 10**scale % 1 - Decimal("0.5")) < Decimal("0.06")
        else:
            assert digits(packed[at]) == digits(encode(real))


CHANGES = {
    "America/New_York": ("2025-03-09T07:00", "2025-11-02T06:00", "1883-11-18T17:00"),
    "Australia/Lord_Howe": ("2025-04-05T15:00", "2025-10-04T15:30"),  # by half an hour
    "Pacific/Apia": ("2011-12-30T10:00",),  # a day is left out
    "Africa/Freetown": ("1939-09-01T01:00", "1939-09-05T00:40"),  # four days apart
}


@pytest.mark.parametrize("name", CHANGES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_local_times_are_those_of_their_zone(name, data):
    """Around the moments at which clocks are set, as everywhere: the plain way is the yardstick."""
    zone = ZoneInfo(name)
    reading = st.sampled_from(["earlier", "later", "refuse"])
    options = Options(timezone=name, ambiguous=data.draw(reading), missing="forward")
    type_ = target_type("timestamptz", "TEXT", options)
    around = st.builds(
        lambda at, off: datetime.fromisoformat(at).replace(tzinfo=UTC) + off,
        st.sampled_from(CHANGES[name]),
        st.timedeltas(timedelta(days=-2), timedelta(days=2)),
    )
    shown = around.map(lambda at: at.astimezone(zone).replace(tzinfo=None, microsecond=0))
    texts = data.draw(st.lists(shown.map(datetime.isoformat), min_size=1))
    for text in texts:
        try:
            wanted = type_.forward(text)
        except Unfitting:
            assert type_.refusal(text)
            assert type_.many([text]) is None
            continue
        assert load("timestamptz", type_.encode(text)) == wanted
        made = type_.many([text])
        assert made is None or load("timestamptz", made[0][0]) == wanted


@given(st.integers(1, 10**4), st.integers(1, 10**15), st.data())
def test_lanes_are_divided_exactly(divisor, limit, data):
    """By every divisor, up to the limit."""
    divide = Division(divisor, limit)
    numbers = [*data.draw(st.lists(st.integers(0, limit - 1), min_size=1)), limit - 1]
    of = lanes(len(numbers), divide.least_width)
    quotients, rests = divide(of, of.load("q", numbers))
    width = divide.least_width
    for found, wanted in ((quotients, 0), (rests, 1)):
        each = of.bytes(found)
        assert [
            int.from_bytes(each[at : at + width], "little") for at in range(0, len(each), width)
        ] == [divmod(number, divisor)[wanted] for number in numbers]
