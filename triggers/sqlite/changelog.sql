-- The tables that capture keeps in a source file. They hold no constraint that could fail: a
-- capture trigger must never be able to abort a write of the application.

-- One row: which log this is. A restored or foreign file is told by `id`; `target` names the one
-- target database that the file feeds, and is NULL until it feeds one.
CREATE TABLE _cdc_log (id TEXT, format INTEGER, created_at REAL, target TEXT);

-- What the values of an event are: the table and its columns at the time, as JSON, with the DDL and
-- the stretch of the log in which they were captured so. None ever goes: old events refer to old
-- layouts.
CREATE TABLE _cdc_layout (id INTEGER PRIMARY KEY, name TEXT, definition TEXT);

-- One row per table that is being captured, without a gap since its layout began: the text of each
-- of its triggers as installed (JSON), the unique sets that its mirror follows, and whether the
-- mirror holds every row yet. A capture that had a gap ends, and another begins with a new layout.
CREATE TABLE _cdc_capture (
    layout INTEGER PRIMARY KEY, name TEXT, triggers TEXT, unique_sets TEXT, mirrored INTEGER
);

-- The events. `seq` is not AUTOINCREMENT: that would create sqlite_sequence, which can never be
-- dropped again. SQLite has one writer, so seq is commit order without holes that fill in later.
-- The value columns v0, v1, … have no type, so that each value keeps its storage class; they are
-- added to fit the widest table.
CREATE TABLE _cdc_changelog (seq INTEGER PRIMARY KEY, at, op, layout, origin);
