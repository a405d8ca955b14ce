"""An application that writes on while its schema is migrated: Python's sqlite3, in a process.

It knows no schema: before each transaction it looks at the tables that begin with the prefix given,
and writes rows that suit the declared types. Text is never the same twice, so that no unique
constraint that a migration adds can fail. What a migration pulls from under it is tried again.

    python application.py PATH PREFIX    writes until its input ends, then reports
"""

import json
import random
import select
import sqlite3
import sys
from contextlib import closing

PASSING = ("locked", "no such", "has no column", "schema has changed", "no column named")
ROWS_KEPT = 400


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


class Application:
    """One connection and what was done with it."""

    def __init__(self, path, prefix):
        self.db = sqlite3.connect(path, timeout=30, isolation_level=None)
        # What a crash of the machine would do to these data is of no interest.
        self.db.execute("PRAGMA synchronous = OFF")
        self.prefix = prefix
        self.random = random.Random(7)
        self.commits = self.retries = self.number = 0
        self.errors = []

    def run(self):
        print("ready", flush=True)
        while not select.select([sys.stdin], [], [], 0.003)[0]:
            try:
                self.transaction()
                self.commits += 1
            except sqlite3.Error as error:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                if any(word in str(error) for word in PASSING):
                    self.retries += 1
                else:
                    self.errors.append(f"{type(error).__name__}: {error}")

    def transaction(self):
        self.db.execute("BEGIN IMMEDIATE")
        tables = self.tables()
        parents = {parent for table in tables for parent in self.parents(table).values()}
        for table in tables:
            self.write(table, is_parent=table in parents)
        self.db.execute("COMMIT")

    def tables(self):
        rows = self.db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        return [name for (name,) in rows if name.startswith(self.prefix)]

    def parents(self, table):
        """The tables that its foreign keys refer to, by column."""
        keys = self.db.execute(f"PRAGMA foreign_key_list({quoted(table)})")
        return {row[3]: row[2] for row in keys}

    def write(self, table, *, is_parent):
        columns = self.db.execute(f"PRAGMA table_info({quoted(table)})").fetchall()
        plain = [(name, kind) for _, name, kind, _, _, key in columns if not key]
        parents = self.parents(table)
        values = {name: self.value(name, kind, name in parents) for name, kind in plain}
        for name in parents.keys() & values.keys():
            values[name] = self.parent(parents[name])
        name, chosen = self.random.choice(list(values.items()))
        kind = self.random.random()
        if kind < 0.5:
            names = ", ".join(map(quoted, values))
            marks = ", ".join("?" * len(values))
            self.db.execute(
                f"INSERT OR IGNORE INTO {quoted(table)} ({names}) VALUES ({marks})",
                list(values.values()),
            )
        elif kind < 0.9:
            self.db.execute(
                f"UPDATE {quoted(table)} SET {quoted(name)} = ? WHERE id % 50 = ?"
                f" AND id = (SELECT max(id) FROM {quoted(table)} WHERE id % 50 = ?)",
                (chosen, *[self.random.randrange(50)] * 2),
            )
        elif not is_parent:  # or a migration finds rows that refer to none
            self.db.execute(
                f"DELETE FROM {quoted(table)} WHERE id IN (SELECT id FROM {quoted(table)}"
                f" ORDER BY id LIMIT max(0, (SELECT count(*) FROM {quoted(table)}) - {ROWS_KEPT}))"
            )

    def parent(self, parent):
        """The key of a row that a foreign key may refer to, or NULL."""
        row = self.db.execute(f"SELECT max(id) FROM {quoted(parent)}").fetchone()
        return row[0]

    def value(self, name, kind, is_reference):
        self.number += 1
        kind = kind.lower()
        if is_reference:
            return None
        if "bool" in kind:
            return self.random.randrange(2)
        if "date" in kind:
            return f"2025-03-{self.number % 28 + 1:02} 12:00:{self.number % 60:02}.250000"
        if "int" in kind:
            return self.random.randrange(-(10**6), 10**6)
        if "dec" in kind or "num" in kind:
            return self.random.randrange(10**6) / 100
        if "real" in kind or "float" in kind or "double" in kind:
            return self.random.random()
        return f"{name} {self.number}"


def main():
    path, prefix = sys.argv[1:]
    application = Application(path, prefix)
    with closing(application.db):
        application.run()
    report = {name: getattr(application, name) for name in ("commits", "retries", "errors")}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
