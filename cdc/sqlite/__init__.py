"""All that touches a SQLite file. APSW is the only SQLite library of this process: a second one
on the same file would drop the POSIX locks of the first when it closes.
"""
