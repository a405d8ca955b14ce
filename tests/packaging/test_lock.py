"""`requirements.lock` fits `pyproject.toml` and holds nothing of the machine that made it."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

REQUIREMENTS = [
    Requirement(text)
    for text in [
        *PROJECT["dependencies"],
        *(text for extra in PROJECT["optional-dependencies"].values() for text in extra),
    ]
]


def _pins() -> dict[str, tuple[str, str]]:
    """Each locked package, with its version and the lines that belong to it."""
    blocks = re.findall(r"^([\w.-]+)==(\S+)(.*?)(?=^\S|\Z)", LOCK, re.MULTILINE | re.DOTALL)
    return {name: (version, rest) for name, version, rest in blocks}


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_every_requirement_is_locked_at_a_version_that_it_allows(requirement: Requirement) -> None:
    if requirement.name == PROJECT["name"]:
        assert requirement.extras <= PROJECT["optional-dependencies"].keys()
        return
    version, _ = _pins()[requirement.name]
    assert requirement.specifier.contains(version)


def test_every_package_has_hashes() -> None:
    assert all("--hash=sha256:" in rest for _, rest in _pins().values())
    assert len(_pins()) == LOCK.count("==") - LOCK.count(" == ")


def test_the_lock_names_no_host_and_no_path() -> None:
    """Which index the packages come from is the affair of whoever installs them."""
    assert "://" not in LOCK
    assert not re.search(r"^-", LOCK, re.MULTILINE)
    assert " @ " not in LOCK
