-- The schema `cdc`, version 8: what the drift watch has found. Read and written by
-- cdc/proof/drift.py.

-- One row for each row of a table that was found to differ: key in SQL literals of SQLite, columns
-- the values of both sides. times_seen counts passes in a row; gone_at: the last one found it equal.
CREATE TABLE cdc.drift (
    source        text COLLATE "C" NOT NULL,
    name          text COLLATE "C" NOT NULL,
    key           text COLLATE "C" NOT NULL,
    what          text NOT NULL,
    columns       jsonb NOT NULL,
    times_seen    integer NOT NULL DEFAULT 1,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    gone_at       timestamptz
);
-- A key may be longer than an index takes.
CREATE UNIQUE INDEX drift_row ON cdc.drift (source, name, md5(key));
