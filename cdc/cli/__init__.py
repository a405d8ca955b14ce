"""The command line: one small module per command. Printing lives here and nowhere else."""

from cdc.cli.main import main

__all__ = ["main"]
