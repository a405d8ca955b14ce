"""Runs a service and writes every statement that SQLite executes for it to a file.

    python traced_service.py TRACE_FILE MODULE ARGUMENT…

A line is the number of the connection, a tab, and the statement with its values on one line.
"""

import itertools
import runpy
import sqlite3
import sys
from pathlib import Path

if __name__ == "__main__":
    trace_file, module, *arguments = sys.argv[1:]
    trace = Path(trace_file).open("w", buffering=1, encoding="utf-8")  # noqa: SIM115 (open until the end)
    numbers = itertools.count()
    connect = sqlite3.connect

    def traced_connect(*args, **kwargs):
        connection = connect(*args, **kwargs)
        number = next(numbers)
        connection.set_trace_callback(
            lambda statement: print(number, " ".join(statement.split()), sep="\t", file=trace)
        )
        return connection

    sqlite3.connect = traced_connect
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
