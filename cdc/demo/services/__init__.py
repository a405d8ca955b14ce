"""The services of the legacy system, a process each: `python -m cdc.demo.services.NAME DIRECTORY`.

They write as the real ones do: with Python's `sqlite3`, a new connection for each write, files in
the default rollback journal, and a log line and nothing else where a write fails.
"""
