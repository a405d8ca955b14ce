"""No password leaves through a message."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cdc.redact import redact

SECRET = "s3cret"

CARRIERS = [
    "postgresql://u:{}@h/d",
    "postgres://u:{}@h:5432/d?sslmode=require",
    "POSTGRESQL://u:{}@[::1]:5432/d",
    "postgresql+psycopg://u:{}@h/d",
    "postgresql://:{}@/d?host=/run/postgresql",
    "postgresql://h/d?user=u&password={}&sslmode=require",
    "postgresql://u:p%40{}%2F@h/d",
    "postgresql://u:p@{}@h/d",
    "postgresql://u:p/{}@h/d",
    "postgresql://u:p:{}@h/d",
    "postgresql://u:a {} b@h/d",
    "postgresql://u:a'{}\"b@h/d",
    "first postgresql://u:{0}@h/d, then postgresql://v:{0}@i/e",
    "host=h password={} dbname=d",
    "host=h password={}",
    "host=h password = {} dbname=d",
    "host=h PASSWORD='{}' dbname=d",
    "host=h password='it\\'s {} now' dbname=d",
    "host=h password='back\\\\slash {}' dbname=d",
    "host=h password=blank\\ {} dbname=d",
    "host=h password='never closed {}",
    "host=h sslpassword={} dbname=d",
    "host=h oauth_client_secret={} dbname=d",
    "PGPASSWORD={} psql",
    "{{'user': 'u', 'password': '{}'}}",
    '{{"user": "u", "password": "a {} b"}}',
    'password: "{}"',
    'missing "=" after "{}" in connection info string',
    'invalid percent-encoded token: "%{}"',
]


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("dress", ["{}", "DSN is {}.", "{!r}", "'{}'", '"{}"', "(dsn={})"])
def test_the_password_is_gone(carrier: str, dress: str) -> None:
    """In every form that libpq takes, bare or as it stands in a sentence or in a repr."""
    text = dress.format(carrier.format(SECRET))
    assert SECRET not in redact(text)
    assert "***" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u@h:5432/d",
        "postgresql:///d",
        "postgresql://h:5432/d was asked by ops@example.org",
        'connection to server at "127.0.0.1", port 5432 failed: Connection refused',
        'FATAL:  password authentication failed for user "rec_writer"',
        "fe_sendauth: no password supplied",
        "host=h user=u dbname=d",
        "Copied trades: 129 rows @ 14:05:06.",
    ],
)
def test_what_holds_no_password_stays(text: str) -> None:
    assert redact(text) == text


def test_what_stands_around_it_stays() -> None:
    """The host and the database are what an operator needs to see."""
    assert (
        redact("No answer from postgresql://u:s3cret@db:5432/rec_io_db after 3 s.")
        == "No answer from postgresql://u:***@db:5432/rec_io_db after 3 s."
    )
    assert (
        redact("host=db password='a b' dbname=rec_io_db") == "host=db password=*** dbname=rec_io_db"
    )


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1))
@example("@")
@example("'@\"\\")
@example("5432")
@example("5432/")
def test_any_password_without_a_blank_is_gone_from_a_url(password: str) -> None:
    assert redact(f"postgresql://u:{password}@h/d") == "postgresql://u:***@h/d"


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_any_password_is_gone_from_a_conninfo(password: str) -> None:
    quoted = password.replace("\\", "\\\\").replace("'", "\\'")
    assert redact(f"password='{quoted}' host=h") == "password=*** host=h"


@given(st.text())
def test_redacting_twice_changes_nothing(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize("piece", ["a", "a://b:", "://:", "password", "password=", "'\"", "\\"])
def test_a_long_text_takes_no_long_time(piece: str) -> None:
    """A message may quote a whole statement: the time must not grow with its square.

    100,000 characters take about a second at most; the quadratic way took a minute.
    """
    started = time.process_time()
    redact(piece * (100_000 // len(piece)))
    assert time.process_time() - started < 5
