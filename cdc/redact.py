"""Cut passwords out of text before anyone reads it.

The first line of defence is not to print a connection string at all; this is the second one, for
the messages of drivers and for what people type. It rather hides too much than too little.
"""

import re
from typing import Final

HIDDEN: Final = "***"

# scheme://user:password@host. A password may by mistake hold a bare `@` (so up to the last one) or
# a blank (so beyond it, unless what follows the colon is a port and there is no password at all).
# The bound keeps the time linear for a long text that is full of colons.
_URL: Final = re.compile(
    r"""(?P<before> :// [^\s:/@]* : )
        (?: \S{0,4096} | (?! \d+ (?: [/?,\s] | \Z ) ) [^@\n]{0,4096} )
        @""",
    re.VERBOSE,
)

# password=secret, sslpassword = 'it\'s', ?password=secret, PGPASSWORD=…, "password": "secret". A
# quote may itself be escaped where the text is a repr, and a backslash doubled, so that a quote in
# the middle of a word does not close; and the closing one may be missing.
_SETTING: Final = re.compile(
    r"""(?P<before> (?: password | passwd | client_secret ) ["']? \s* [=:] \s* )
        (?: \\*' (?: [^'\\] | \\. | '(?=\w) )* (?: ' | \Z )
          | \\*" (?: [^"\\] | \\. | "(?=\w) )* (?: " | \Z )
          | (?: [^\s\\] | \\+. )+ )""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)

# libpq quotes the piece of a connection string that it could not read: that may be the password.
_LIBPQ: Final = re.compile(
    r"""(?P<before> missing\ "="\ after\  | invalid\ percent-encoded\ token:\  ) ".*" """,
    re.VERBOSE,
)


def redact(text: str) -> str:
    r"""`text` with the password of every connection string in it replaced by `***`.

    >>> redact("postgresql://rec_writer:s3cret@db/rec_io_db")
    'postgresql://rec_writer:***@db/rec_io_db'
    >>> redact(r"host=db password='it\'s' dbname=rec_io_db")
    'host=db password=*** dbname=rec_io_db'
    >>> redact("postgresql://rec_writer@db:5432/rec_io_db")
    'postgresql://rec_writer@db:5432/rec_io_db'
    """
    text = _URL.sub(rf"\g<before>{HIDDEN}@", text)
    text = _SETTING.sub(rf"\g<before>{HIDDEN}", text)
    return _LIBPQ.sub(rf"\g<before>{HIDDEN}", text)
