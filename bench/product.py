"""The product as an operator runs it: a configuration, and `cdc` as a process of its own."""

import compileall
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import psycopg

from cdc import __file__ as package

PATIENCE_SECONDS: Final = 600.0


def write_config(directory: Path, dsn: str, files: Sequence[Path], *, archive: bool = True) -> Path:
    """Write a configuration with nothing but defaults; each source is called as its file is.

    Where there are several, each has a schema of its own, for their tables are called alike.
    Without `archive` no event store is written, for the sake of a comparison.
    """
    sources = "".join(
        f'[[sources]]\nname = "{file.stem}"\npath = "{file}"\n'
        + (f'schema = "{file.stem}"\n' if len(files) > 1 else "")
        for file in files
    )
    config = directory / "config.toml"
    store = "" if archive else "[archive]\nenabled = false\n"
    config.write_text(f'[postgres]\ndsn = "{dsn}"\n{store}{sources}', encoding="utf-8")
    return config


def compile_modules() -> None:
    """Compile the product's modules, as installing it does; a checkout would be compiled by each
    process anew where Python is told to write no bytecode.
    """
    compileall.compile_dir(Path(package).parent, quiet=1)


def cdc(*arguments: str | Path) -> None:
    """Run `cdc` to its end. Raises with its last words when it fails."""
    command = [sys.executable, "-m", "cdc", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    if done.returncode:
        raise RuntimeError(f"cdc {' '.join(map(str, arguments))}: {done.stderr[-2000:]}")


class Daemon:
    """A `cdc run` that goes on in the background."""

    def __init__(self, config: Path, dsn: str) -> None:
        self._dsn = dsn
        self._log = config.with_suffix(".log")
        with self._log.open("w", encoding="utf-8") as output:
            command = [sys.executable, "-m", "cdc", "run", "-c", str(config)]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait_until_tailing(self, sources: int = 1) -> None:
        """Wait until so many sources are copied and follow their file."""
        self._wait_for("SELECT count(*) FROM cdc.source WHERE state = 'tailing'", sources)

    def wait_until_applied(self, seq: int) -> None:
        """Wait until the only source stands at event `seq`."""
        self._wait_for("SELECT max(applied_seq) FROM cdc.source", seq)

    def _wait_for(self, query: str, wanted: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        with psycopg.connect(self._dsn, autocommit=True) as conn:
            while time.monotonic() < deadline:
                try:
                    row = conn.execute(query.encode()).fetchone()
                except psycopg.errors.UndefinedTable:
                    row = None
                if row is not None and row[0] == wanted:
                    return
                if self._process.poll() is not None or _has_halted(conn):
                    log = self._log.read_text(encoding="utf-8")
                    raise RuntimeError(f"cdc run does not go on: {log[-2000:]}")
                time.sleep(0.05)
        raise TimeoutError(f"{query!r} did not become {wanted} in {PATIENCE_SECONDS:g} s")


def _has_halted(conn: psycopg.Connection) -> bool:
    try:
        row = conn.execute("SELECT count(*) FROM cdc.source WHERE state = 'halted'").fetchone()
    except psycopg.errors.UndefinedTable:
        return False
    return row is not None and row[0] > 0
