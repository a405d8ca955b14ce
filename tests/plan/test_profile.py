"""What a column is found to hold, value by value."""

from math import inf

import pytest

from cdc.plan import forms
from cdc.plan.profile import MOST_FEW, ColumnProfile
from cdc.schema import UndecodableText


def profile(*values):
    """The profile of these values, taken in two parts: the order of blocks may not matter."""
    made = ColumnProfile()
    made.add(values[::2])
    if values[1::2]:
        made.add(values[1::2])
    return made


def test_every_storage_class_is_counted():
    """Each value counts once, in its own storage class."""
    found = profile(None, 1, 2.5, "a", b"b", UndecodableText(b"\xff"), None, 7)
    assert (found.nulls, found.integers, found.reals) == (2, 2, 1)
    assert (found.texts, found.blobs, found.undecodable) == (1, 1, 1)
    assert found.present == 6


def test_texts_are_measured():
    """Characters and bytes differ; empty is not NULL; a zero byte is seen anywhere."""
    found = profile("", "a\0b", "größe", None)
    assert (found.empty_texts, found.zero_bytes, found.nulls) == (1, 1, 1)
    assert (found.longest_text, found.longest_text_bytes) == (5, 7)
    assert (found.least_text, found.greatest_text) == ("", "größe")


def test_numbers_are_spanned():
    """Integers up to SQLite's limits, and reals apart from them."""
    found = profile(-(2**63), 2**63 - 1, 0.5, -1e300)
    assert (found.least_integer, found.greatest_integer) == (-(2**63), 2**63 - 1)
    assert (found.least_real, found.greatest_real) == (-1e300, 0.5)


@pytest.mark.parametrize(
    ("value", "whole", "decimals"),
    [
        (0.1, 0, 1),
        (1 / 3, 0, 16),
        (12.25, 2, 2),
        (-117750.0, 6, 0),
        (5e-324, 0, 324),
        (1e22, 23, 0),
        (2.5e-7, 0, 8),
        (0.0, 0, 0),
    ],
)
def test_digits_are_those_of_the_shortest_decimal(value, whole, decimals):
    """The digits that a numeric would need, before the point and behind it."""
    found = profile(value)
    assert (found.whole, found.decimals) == (whole, decimals)


def test_reals_that_no_decimal_holds():
    """Infinities and minus zero are counted, and disturb no other figure."""
    found = profile(inf, -inf, -0.0, 0.0, 2.0)
    assert (found.infinities, found.negative_zeros, found.integral_reals) == (2, 1, 3)
    assert (found.least_real, found.greatest_real, found.whole) == (0.0, 2.0, 1)


FORMS = {
    "2025-11-02": forms.DATE,
    "01:30": forms.TIME,
    "01:30:00.123456": forms.TIME,
    "2025-11-02 01:30:00": forms.ZONELESS,
    "2025-11-02T01:30:00.5": forms.ZONELESS,
    "2025-11-02 01:30:00Z": forms.ZONED,
    "2025-11-02T01:30:00-05:00": forms.ZONED,
    "-12": forms.WHOLE,
    "1e5": forms.DECIMAL,
    ".5": forms.DECIMAL,
    "TRUE": forms.WORD,
    "no": forms.WORD,
    '{"a": [1, 2]}': forms.JSON,
    "[]": forms.JSON,
    "123e4567-e89b-12d3-a456-426614174000": forms.UUID,
    1_762_065_000: forms.EPOCH_SECONDS,
    1_762_065_000_123: forms.EPOCH_MILLISECONDS,
    1_762_065_000_123_456: forms.EPOCH_MICROSECONDS,
    1_762_065_000.25: forms.EPOCH_SECONDS,
    2_460_981.5: forms.JULIAN_DAY,
}

NO_FORMS = (
    "2025-02-30",
    "2025-11-02 25:00:00",
    "2025-11-02 01:30:00 EST",
    "99:99",
    "$117,750",
    "{not json}",
    "123e4567-e89b-12d3-a456-42661417400x",
    "",
    " ",
    7,
    0.5,
)


@pytest.mark.parametrize("value", FORMS, ids=str)
def test_forms_are_recognised(value):
    """What a value looks like, and only that."""
    assert profile(value).forms == {FORMS[value]: 1}


@pytest.mark.parametrize("value", NO_FORMS, ids=str)
def test_what_only_nearly_has_a_form_has_none(value):
    """A date that is in no calendar is no date."""
    assert profile(value).forms == {}


def test_forms_are_counted_exactly_in_a_mixture():
    """A column that was used in two ways shows it."""
    values = [*(f"2025-11-{day:02}" for day in range(1, 31)), "2025-11-31", "n/a", "12"]
    found = profile(*values)
    assert found.forms == {forms.DATE: 30, forms.WHOLE: 1}
    assert found.form is None


@pytest.mark.parametrize(
    ("values", "boolean"),
    [
        ((0, 1, 1, None), True),
        (("t", "f"), True),
        (("yes", "NO"), True),
        ((0, 1, 2), False),
        ((0, "t"), False),
        ((1.0,), False),
        ((None,), False),
    ],
)
def test_truth_values_are_recognised(values, boolean):
    """Numbers or words, but not both."""
    assert profile(*values).boolean is boolean


def test_memory_is_flat():
    """Values are listed as long as there are few, and never again after that."""
    found = ColumnProfile()
    for i in range(50):
        found.add([f"value {i} {j}" * 10 for j in range(1000)])
    assert found.few is None
    found.add(["a"])
    assert found.few is None
    assert len(found.least_text) <= 40
    assert set(profile(*range(MOST_FEW)).few) == set(range(MOST_FEW))
