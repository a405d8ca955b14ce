"""A live file whose application is migrated by a framework, while another process writes to it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

# They only work where their framework runs them.
collect_ignore = ["alembic_site", "ledger", "django_site.py"]


class LiveFile:
    """A captured file of the site: migrated step by step, and written to all the time."""

    def __init__(self, site, tool, prefix):
        self.site = site
        self._tool = HERE / tool
        self._prefix = prefix
        self._writer = None

    def migrate(self, to, *, fails=""):
        """Migrate the file in a process of its own; `fails`: what it has to say when it cannot."""
        outcome = subprocess.run(
            [sys.executable, str(self._tool), str(self.site.file()), to],
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ | {"PYTHONWARNINGS": "default"},
        )
        if fails:
            assert outcome.returncode != 0
            assert fails in outcome.stderr
        else:
            assert outcome.returncode == 0, outcome.stderr

    def start_writer(self):
        self._writer = subprocess.Popen(
            [sys.executable, str(HERE / "application.py"), str(self.site.file()), self._prefix],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._writer.stdout.readline() == "ready\n"

    def stop_writer(self):
        """Stop it; it has written, and met nothing but locks and its own migrations."""
        output, _ = self._writer.communicate("", timeout=60)
        report = json.loads(output)
        assert report["errors"] == []
        assert report["commits"] > 0

    def let_it_write(self, daemon):
        """Go on when some of the changes have arrived that it makes from now on."""
        [(written,)] = self.site.sqlite("SELECT coalesce(max(seq), 0) FROM _cdc_changelog")
        applied = "SELECT applied_seq FROM cdc.source"
        daemon.wait_until(lambda: self.site.postgres(applied) > [(written + 100,)])

    def close(self):
        if self._writer is not None:
            self._writer.kill()
            self._writer.communicate()


@pytest.fixture
def live(site, request):
    """What a test's parameters `tool` and `prefix` say, under capture and without a daemon yet."""
    made = LiveFile(site, *request.param)
    yield made
    made.close()
