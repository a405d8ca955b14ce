"""REC.IO in miniature: the legacy trading system that `cdc demo` moves.

Everything that opens one of its SQLite files does so with Python's own `sqlite3`, in a process of
its own: `history` makes the files, `services` writes them, `regression` and `comparison` try and
read them. In the replicator's process are only `fleet`, which starts and stops those processes,
`premises`, `performance`, and what they need. Two SQLite libraries on one file in one process would
drop each other's POSIX locks.
"""
