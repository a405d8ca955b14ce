"""The services' environment file and the operator's hooks."""

import signal
import stat
import subprocess
import time

import pytest

from cdc.config import Config, HookConfig, SourceConfig
from cdc.cutover import envfile, hooks
from cdc.stop import interruptible
from tests.support.waiting import wait_until


@pytest.fixture
def env(tmp_path):
    path = tmp_path / ".env"
    path.write_text("# ours\nDB_ENGINE=sqlite\nSECRET='a b'\nexport LOCK_TRADING=false\n")
    path.chmod(0o640)
    return path


def test_only_what_is_named_changes_and_the_old_file_stays_beside_it(env):
    before = env.read_text()
    envfile.change(env, {"DB_ENGINE": "postgresql", "LOCK_TRADING": "true", "NEW": "it's"})
    assert env.read_text() == (
        "# ours\nDB_ENGINE=postgresql\nSECRET='a b'\nexport LOCK_TRADING=true\nNEW='it'\\''s'\n"
    )
    backup = env.with_name(".env.before-cdc")
    assert backup.read_text() == before
    assert {stat.S_IMODE(path.stat().st_mode) for path in (env, backup)} == {0o640}
    assert sorted(path.name for path in env.parent.iterdir()) == [".env", ".env.before-cdc"]


def test_what_is_set_already_changes_nothing(env):
    """So a cutover that goes on after a kill does not put its own work into the backup."""
    envfile.change(env, {"DB_ENGINE": "postgresql"})
    backup = env.with_name(".env.before-cdc").read_text()
    envfile.change(env, {"DB_ENGINE": "postgresql"})
    assert env.with_name(".env.before-cdc").read_text() == backup
    assert "DB_ENGINE=sqlite" in backup


def test_a_shell_reads_what_was_set(env):
    envfile.change(env, {"DB_ENGINE": "a $(b) 'c' \"d\""})
    script = '. "$0"; printf %s "$DB_ENGINE"'
    seen = subprocess.run(["sh", "-c", script, env], capture_output=True, text=True, check=True)
    assert seen.stdout == "a $(b) 'c' \"d\""


def test_a_file_that_is_not_there_says_what_to_set_by_hand(tmp_path):
    with pytest.raises(envfile.EnvFileError) as caught:
        envfile.change(tmp_path / "none", {"DB_ENGINE": "x"})
    assert "DB_ENGINE=x" in caught.value.hint


def test_a_file_that_cannot_be_looked_at(tmp_path):
    with pytest.raises(envfile.EnvFileError, match=r"cannot be reached \(File name too long"):
        envfile.check(tmp_path / ("x" * 300))


def config(folder, *made) -> Config:
    source = SourceConfig(name="a", path=folder / "a.db")
    return Config(path=folder / "config.toml", sources=(source,), hooks=made)


def sh(on, script, seconds=10.0) -> HookConfig:
    return HookConfig(on=on, command=("sh", "-c", script), timeout_seconds=seconds)


def test_hooks_run_in_order_up_to_the_first_that_fails(tmp_path):
    made = config(
        tmp_path,
        sh("stop", "echo one $CDC_RUN; pwd; echo two >&2"),
        sh("start", "echo not now"),
        sh("stop", "echo three; exit 7"),
        sh("stop", "touch never"),
    )
    first, second = hooks.run_all(made, "stop", {"RUN": "r1"})
    assert (first.problem, first.output) == ("", f"one r1\n{tmp_path}\ntwo\n")
    assert (second.problem, second.output) == ("ended with exit code 7", "three\n")
    assert not (tmp_path / "never").exists()


def test_a_hook_that_takes_too_long_is_killed_with_its_children(tmp_path, monkeypatch):
    class Begun(subprocess.Popen):
        def wait(self, timeout: float | None = None) -> int:
            wait_until((tmp_path / "begun").exists)
            return super().wait(timeout)

    monkeypatch.setattr(hooks.subprocess, "Popen", Begun)
    started = time.monotonic()
    script = "echo begun; sleep 60 & touch begun; sleep 60"
    (ended,) = hooks.run_all(config(tmp_path, sh("stop", script, 0.3)), "stop", {})
    assert ended.problem == "was killed after 0.3 s"
    assert ended.output == "begun\n"
    assert time.monotonic() - started < 50


def test_a_program_that_is_not_there_is_named(tmp_path):
    missing = HookConfig(on="stop", command=("./no-such-program",))
    (ended,) = hooks.run_all(config(tmp_path, missing), "stop", {})
    assert ended.problem == "./no-such-program is no program that this user may run"


def test_a_program_beside_the_configuration_is_found(tmp_path):
    program = tmp_path / "stop.sh"
    program.write_text("#!/bin/sh\necho stopped $1\n")
    program.chmod(0o755)
    hook = HookConfig(on="stop", command=("./stop.sh", "all"))
    (ended,) = hooks.run_all(config(tmp_path, hook), "stop", {})
    assert (ended.problem, ended.output) == ("", "stopped all\n")


def test_a_hook_that_ends_while_this_process_is_interrupted_changes_nothing_of_that(
    tmp_path, monkeypatch
):
    """It is waited for a little by Python itself, and is gone when it should be killed."""

    def interrupt(*_):
        (tmp_path / "interrupted").touch()
        raise KeyboardInterrupt

    class Interrupted(subprocess.Popen):
        def wait(self, timeout: float | None = None) -> int:
            if timeout is not None:  # not when it is killed
                signal.setitimer(signal.ITIMER_REAL, 0.1)
            return super().wait(timeout)

    monkeypatch.setattr(hooks.subprocess, "Popen", Interrupted)
    script = "until test -e interrupted; do sleep 0.01; done"
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(hooks.run_all(config(tmp_path, sh("stop", script, 60.0)), "stop", {}))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_hook_is_killed_though_the_interrupt_comes_while_it_is_started(tmp_path, monkeypatch):
    """When it runs already, and nobody has been told so yet."""
    started, popen = [], subprocess.Popen

    def start(*arguments, **options):
        started.append(popen(*arguments, **options))
        signal.raise_signal(signal.SIGTERM)
        return started[0]

    monkeypatch.setattr(hooks.subprocess, "Popen", start)
    made = config(tmp_path, sh("stop", "sleep 60"))
    with interruptible(), pytest.raises(KeyboardInterrupt):
        list(hooks.run_all(made, "stop", {}))
    assert started[0].returncode == -signal.SIGKILL


def test_a_hook_that_may_not_be_killed_is_told_of(tmp_path, monkeypatch):
    """As one that runs as root behind sudo."""
    started, popen = [], subprocess.Popen

    def start(*arguments, **options):
        started.append(popen(*arguments, **options))
        return started[0]

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(hooks, "DYING_SECONDS", 0.1)
    monkeypatch.setattr(hooks.subprocess, "Popen", start)
    monkeypatch.setattr(hooks.os, "killpg", refuse)
    (ended,) = hooks.run_all(config(tmp_path, sh("stop", "exec sleep 60", 0.1)), "stop", {})
    started[0].kill()
    started[0].wait()
    assert ended.problem == "could not be killed, and still runs, after 0.1 s"
