"""`cdc thaw`: the SQLite files take writes again."""

from cdc.cli.freeze import report
from cdc.cli.install import selected
from cdc.cli.options import ConfigOption, JsonOption, SourceOption, load_config
from cdc.sqlite import freeze


def thaw(
    config: ConfigOption = None, source: SourceOption = None, json: JsonOption = False
) -> None:
    """Let the captured tables take writes again. What is not frozen stays as it is."""
    report(selected(load_config(config), source), freeze.thaw, as_json=json)
