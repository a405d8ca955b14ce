"""PostgreSQL's programs: the right version is found, and no secret is on a command line."""

import sys
from pathlib import Path

import pytest

from cdc.backup import room
from cdc.errors import BackupError, ConfigError, TargetRefused
from cdc.postgres import embedded, tools

FAKE = """#!{python}
import os, sys
if "--version" in sys.argv:
    print("pg_dump (PostgreSQL) {version}.4 (Debian {version}.4-1)")
else:
    with open({seen!r}, "w") as seen:
        seen.write(repr(sys.argv) + chr(10) + os.environ.get("PGPASSWORD", ""))
    print("pg_dump: error: as if", file=sys.stderr)
    sys.exit(1)
"""


def fake(folder: Path, version: int) -> Path:
    place = folder / str(version)
    place.mkdir()
    text = FAKE.format(python=sys.executable, version=version, seen=str(folder / "seen"))
    (place / "pg_dump").write_text(text, encoding="utf-8")
    (place / "pg_dump").chmod(0o755)
    return place


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """pg_dump of versions 18, 14 and 16, in that order, and no other."""
    folders = [fake(tmp_path, version) for version in (18, 14, 16)]
    monkeypatch.setenv("PATH", ":".join(map(str, folders)))
    monkeypatch.setattr(tools, "PLACES", ())
    monkeypatch.setattr(embedded, "program_folders", list)
    return tmp_path


def test_lowest_version_that_will_do_is_taken(installed):
    assert tools.find("pg_dump", 15).path == installed / "16" / "pg_dump"
    assert tools.find("pg_dump", 17).version == 18
    with pytest.raises(TargetRefused, match=r"no pg_dump of PostgreSQL 19 or later.*only 18 in"):
        tools.find("pg_dump", 19)


def test_password_is_on_no_command_line_and_in_no_message(installed, secret):
    tool = tools.find("pg_dump", 15)
    dsn = f"postgresql://me:{secret}@db.example/shop"
    with (
        pytest.raises(TargetRefused, match="pg_dump failed: pg_dump: error: as if") as failed,
        tools.Running(tool, dsn, ["--file=x"]) as running,
    ):
        running.wait(lambda: None)
    arguments, password = (installed / "seen").read_text(encoding="utf-8").splitlines()
    assert secret not in arguments
    assert "db.example" in arguments
    assert password == secret
    assert secret not in failed.value.line


def test_passphrase_of_a_key_is_refused(installed):
    tool = tools.find("pg_dump", 15)
    with pytest.raises(ConfigError, match="sslpassword"):
        tools.Running(tool, "host=db.example sslpassword=x", [])


def test_room_is_asked_for_before_anything_is_written(tmp_path):
    """Directories of one disk need it together; one that is not there yet counts, too."""
    room.check({tmp_path: 1, tmp_path / "not" / "there": 1})
    most = 2**62
    with pytest.raises(BackupError, match=r"MB free; this takes up to [\d,]+ MB"):
        room.check({tmp_path: 1, tmp_path / "not" / "there": most})
