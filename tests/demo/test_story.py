"""What passes ends no demo: it is asked, or tried, once more."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from cdc.cli.demo_story import ATTEMPTS, Story
from cdc.demo import performance
from cdc.demo.performance import CommandFailed, Stage
from cdc.errors import SourceBusy
from cdc.stop import Stop


class Commands:
    """A stage on which each command ends with the next of these exit codes."""

    def __init__(self, *codes):
        self.codes = list(codes)

    def run(self, command, output=None):
        return self.codes.pop(0)


def story(stage):
    return Story(Path("demo"), None, stage, None, 0.0)


@pytest.mark.parametrize("code", [1, 3])
def test_gates_are_looked_at_again(code):
    stage = Commands(*[code] * (ATTEMPTS - 1), 0)
    story(stage)._gates()
    assert stage.codes == []
    with pytest.raises(CommandFailed, match=f"dry-run ended with exit code {code}"):
        story(Commands(*[code] * ATTEMPTS))._gates()


def test_a_proof_that_could_not_be_made_is_made_again_and_one_that_fails_is_not():
    stage = Commands(3, 0)
    story(stage)._prove()
    assert stage.codes == []
    with pytest.raises(CommandFailed, match="exit code 1"):
        story(Commands(1, 0))._prove()


def test_a_file_that_is_locked_is_not_drained_yet(site, monkeypatch):
    answers = [SourceBusy("locked"), [SimpleNamespace(lag_events=1)], SourceBusy("locked"), []]

    def measure(config, target):
        answer = answers.pop(0)
        if isinstance(answer, SourceBusy):
            raise answer
        return answer

    monkeypatch.setattr(performance, "measure", measure)
    monkeypatch.setattr(performance, "LOOK_SECONDS", 0.01)
    site.configure()
    fleet = SimpleNamespace(failed=list)
    with site.target() as target:
        Stage(site.config, target, fleet, Stop()).drain()
    assert answers == []
