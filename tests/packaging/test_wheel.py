"""The wheel works on its own: installed elsewhere, with the source tree out of the way.

It is built from the source distribution, so that both are known to be complete.
"""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from cdc import __version__

ROOT = Path(__file__).parents[2]
TRIGGERS = ROOT / "triggers"

PRELUDE = """
import json, sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
import cdc.config, cdc.resources
"""

pytestmark = pytest.mark.packaging


@dataclass(frozen=True)
class Installed:
    """An environment into which nothing but the wheel was installed."""

    home: Path

    @property
    def packages(self) -> Path:
        return Path(sysconfig.get_path("purelib", "venv", {"base": str(self.home)}))

    def run(self, *command: str) -> str:
        """What a program of the environment prints, run in an empty directory."""
        work = self.home / "work"
        work.mkdir(exist_ok=True)
        program = self.home / "bin" / command[0]
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return _output(str(program), *command[1:], cwd=work, env=environ)

    def evaluate(self, expression: str) -> object:
        """The value of a Python expression there, by way of JSON."""
        return json.loads(self.run("python", "-c", f"{PRELUDE}print(json.dumps({expression}))"))


def _output(*command: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _build(target: str, source: Path, into: Path) -> Path:
    """Build without isolation: hatchling is a dependency of the tests, and no network is used."""
    _output(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(into), cwd=source)
    (built,) = into.iterdir()
    return built


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source distribution."""
    directory = tmp_path_factory.mktemp("source")
    with tarfile.open(_build("sdist", ROOT, directory / "dist")) as archive:
        # Not the argument `filter=`, which Python 3.11 has only since 3.11.4.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(directory)
    return directory / f"cdc_replicator-{__version__}"


@pytest.fixture(scope="module")
def wheel(source: Path) -> Path:
    return _build("wheel", source, source.parent / "wheel")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    environment = Installed(tmp_path_factory.mktemp("installed"))
    venv.create(environment.home, symlinks=True)
    python = environment.home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    _output(*pip, "--no-index", "--no-deps", "--no-compile", str(wheel), cwd=wheel.parent)
    # The dependencies are those of this environment, and come last: whatever `cdc` is installed
    # here does not count, and what makes it an editable one is not read behind a .pth file.
    (environment.packages / "zz_dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return environment


def _names(directory: Path) -> set[str]:
    """The files below a directory, without what Python and editors leave there."""
    return {
        path.relative_to(directory).as_posix()
        for path in directory.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_package_is_the_installed_one(installed: Installed) -> None:
    """Otherwise the other tests here would say nothing."""
    assert installed.evaluate("cdc.__file__") == str(installed.packages / "cdc" / "__init__.py")
    assert str(ROOT) not in installed.evaluate("sys.path")


def test_every_sql_file_of_triggers_is_found(installed: Installed) -> None:
    names = sorted(_names(TRIGGERS))
    assert names
    found = installed.evaluate(f"[cdc.resources.load_sql(name) for name in {names!r}]")
    assert found == [(TRIGGERS / name).read_text(encoding="utf-8") for name in names]


def test_the_demo_config_is_found_and_valid(installed: Installed) -> None:
    found = installed.evaluate("cdc.resources.demo_config()")
    assert found == (ROOT / "config.toml").read_text(encoding="utf-8")
    path = str(installed.packages / "cdc" / "_demo_config.toml")
    assert installed.evaluate(f"len(cdc.config.load(Path({path!r}), {{}}).sources)")


def test_every_module_can_be_imported(installed: Installed) -> None:
    """With the dependencies that the wheel declares, and the extra."""
    modules = installed.evaluate("[m.name for m in walk_packages(cdc.__path__, 'cdc.')]")
    assert isinstance(modules, list)
    assert "cdc.config.load" in modules
    assert installed.evaluate(f"[import_module(m).__name__ for m in {modules!r}]") == modules


def test_the_command_is_there(installed: Installed) -> None:
    assert __version__ in installed.run("cdc", "--version")
    assert "SQLite" in installed.run("cdc", "--help")


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {f"cdc/{name}" for name in _names(ROOT / "cdc")}
    expected |= {f"cdc/_triggers/{name}" for name in _names(TRIGGERS)}
    assert names == expected | {"cdc/_demo_config.toml"}


def test_the_wheel_carries_licence_and_typing(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(f"cdc_replicator-{__version__}.dist-info/METADATA").decode()
    assert f"cdc_replicator-{__version__}.dist-info/licenses/LICENSE" in names
    assert "cdc/py.typed" in names
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata


def test_the_source_distribution_is_complete(source: Path) -> None:
    """Whoever has nothing else can build, test and change the product."""
    for name in (
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "requirements.lock",
        ".ci/run",
        "docs/configuration.md",
        "tests/packaging/test_wheel.py",
    ):
        assert (source / name).is_file(), name
    assert _names(source / "triggers") == _names(TRIGGERS)
