"""`cdc health`: whether PostgreSQL does well as master."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import typer

from cdc.cli.options import ConfigOption, JsonOption, load_config, open_target
from cdc.cli.output import DATA, duration, put_json
from cdc.config import Config
from cdc.cutover import health as checks
from cdc.cutover.health import Health
from cdc.errors import TargetError
from cdc.postgres.health import KeptLook

STYLES: Final = {"pass": "green", "warn": "yellow", "unknown": "yellow", "fail": "bold red"}


def health(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Say whether PostgreSQL does well as master: PASS or FAIL, with what was found.

    The thresholds are those of [health] in the configuration; warnings are no FAIL. While
    PostgreSQL is master the daemon looks by itself, and `cdc status` shows what it has found. Exit
    code 0 for PASS, 1 for FAIL, also where PostgreSQL does not answer.
    """
    found = _look(load_config(config))
    findings = [asdict(finding) for finding in found.findings]
    if json:
        put_json(
            {
                "passed": found.passed,
                "verdict": found.verdict,
                "at": found.at.isoformat(),
                "findings": findings,
            }
        )
    else:
        style = STYLES[found.verdict]
        DATA.print("PASS" if found.passed else "FAIL", markup=False, style=style)
        print_findings(findings)
    raise typer.Exit(0 if found.passed else 1)


def _look(config: Config) -> Health:
    try:
        with open_target(config) as target:
            return checks.look(config, target)
    except TargetError as error:  # the embedded server does not start
        return checks.unreachable(config, error)


def print_findings(findings: Sequence[Mapping[str, Any]]) -> None:
    """What was found, a line each."""
    for each in findings:
        DATA.print(
            f"  {each['verdict']:7}  {each['name']}: {each['evidence']}",
            markup=False,
            style=STYLES[each["verdict"]],
        )


def kept_as_json(look: KeptLook | None) -> dict[str, Any] | None:
    """The daemon's last look, as `status --json` shows it; None without one."""
    if look is None:
        return None
    return {
        "passed": look.verdict != "fail",
        "verdict": look.verdict,
        "at": look.at.isoformat(),
        "age_seconds": round(look.age_seconds, 3),
        "findings": look.findings,
    }


def print_kept(look: KeptLook) -> None:
    """The daemon's last look, with what is not as it should be."""
    words = "FAIL" if look.verdict == "fail" else "PASS"
    DATA.print(
        f"health  {words}, {duration(look.age_seconds)} ago",
        markup=False,
        style=STYLES[look.verdict],
    )
    print_findings([each for each in look.findings if each["verdict"] != "pass"])
