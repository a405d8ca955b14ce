"""The digest by which an event is known again."""

from cdc.event import LARGE, digest

SMALL = (7, 2460000.5, "i", 3, 0)


def test_large_values_are_told_apart():
    """By every byte, their kind and their length; a text that is not UTF-8 among them."""
    large = b"x" * LARGE
    values = [
        large,
        large + b"x",
        large[1:] + b"y",
        large.decode(),
        large.decode() + "\udcff",
        large.decode() + "\ud800",
        repr(("bytes", LARGE)),
    ]
    digests = {digest((*SMALL, value)) for value in values}
    assert len(digests) == len(values)


def test_columns_that_the_log_gains_later_change_nothing():
    """A value at the end that is NULL is as if it were not there, beside a large one as well."""
    for values in ((1, "a"), (b"x" * LARGE,)):
        assert digest((*SMALL, *values)) == digest((*SMALL, *values, None, None))
        assert digest((*SMALL, *values)) != digest((*SMALL, None, *values))
