"""The legacy files for tests. No test of this folder replicates them: that would put a second
SQLite library on a file that this process opens with Python's."""

import shutil
from pathlib import Path

import pytest

from cdc.demo.fleet import make_history


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the history, for reading only."""
    directory = tmp_path_factory.mktemp("history")
    make_history(directory, seed=1)
    return directory


@pytest.fixture
def legacy(pristine: Path, tmp_path: Path) -> Path:
    """A copy of the history that a test may write to."""
    return Path(shutil.copytree(pristine, tmp_path / "rec_io"))
