"""REC.IO in miniature: the legacy trading system that `cdc demo` moves.

Everything that opens one of its SQLite files does so with Python's own `sqlite3`, in a process of
its own: `history` makes the files, `services` writes them, `fleet` starts and stops those
processes and is the only module here that the replicator's process may import beside `files`.
Two SQLite libraries on one file in one process would drop each other's POSIX locks.
"""
