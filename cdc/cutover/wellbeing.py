"""One thing that a look at the health finds; and what the services tell of themselves.

A `health` hook ends with 0 where all is well, with 1 where not. What it prints as `NAME=NUMBER`,
each on a line of its own, is held against the thresholds of the names below.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from cdc.config import Config, HealthConfig
from cdc.cutover import hooks
from cdc.cutover.hooks import HookRun

UNWELL: Final = 1
"""The exit code of a hook by which the services are not well."""

_LINE: Final = re.compile(r"\s*(\w+)\s*=\s*(-?\d+(?:\.\d+)?)\s*")


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: `evidence` says what was found, and what the limit is."""

    name: str
    verdict: Literal["pass", "warn", "fail", "unknown"]
    evidence: str


def graded(
    name: str, value: float, words: str, *, warn: float | None = None, fail: float | None = None
) -> Finding:
    """A finding by its limits: beyond them it is a warning, or a failure.

    >>> graded("pool", 85, "85 % in use", warn=80, fail=90)
    Finding(name='pool', verdict='warn', evidence='85 % in use (more than 80)')
    """
    if fail is not None and value > fail:
        return Finding(name, "fail", f"{words} (more than {fail:g})")
    if warn is not None and value > warn:
        return Finding(name, "warn", f"{words} (more than {warn:g})")
    return Finding(name, "pass", words)


def of_services(config: Config) -> Iterator[Finding]:
    """What the health hooks say, one after another up to the first that is not well."""
    for ended in hooks.run_all(config, "health", {}):
        if ended.code == UNWELL:
            yield Finding("services", "fail", f"{ended.name} says so: {_last_line(ended)}")
        elif ended.problem:
            yield Finding("services", "unknown", f"{ended.name} {ended.problem}")
        else:
            yield Finding("services", "pass", f"{ended.name} is content")
        for line in ended.output.splitlines():
            if (match := _LINE.fullmatch(line)) and (
                found := _told(config.health, match[1].lower(), float(match[2]))
            ):
                yield found


def _told(settings: HealthConfig, name: str, value: float) -> Finding | None:
    """A value that a hook has told, None for a name that means nothing here."""
    limits: dict[str, tuple[str, str, float | None, float | None]] = {
        "pool_use_percent": (
            "pool",
            "% of a pool in use",
            settings.warn_connections_percent,
            settings.fail_connections_percent,
        ),
        "pool_queue": ("pool queue", "requests wait", settings.warn_pool_queue, None),
        "pool_wait_ms": ("pool wait", "ms for a connection", settings.warn_pool_wait_ms, None),
        "query_ms": ("queries", "ms for a query", settings.warn_query_ms, None),
        "error_percent": ("requests", "% of requests failed", settings.warn_error_percent, None),
    }
    if name not in limits:
        return None
    called, words, warn, fail = limits[name]
    return graded(called, value, f"{value:g} {words}", warn=warn, fail=fail)


def _last_line(ended: HookRun) -> str:
    lines = ended.output.strip().splitlines()
    return lines[-1] if lines else "nothing more"
