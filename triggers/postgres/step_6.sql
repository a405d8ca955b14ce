-- Version 6: the way back. What others write here, once the gate is open, goes to SQLite from here.

-- One row for each row that was written, in the transaction that wrote it: append-only, so that no
-- write can hide another. op: i inserted, u updated, d deleted (or the old key of one that changed),
-- t the whole table was truncated. key: the values of the primary key in order, null for t; what
-- the row holds is read from the table when the entry is taken. Ids are not in the order of commits:
-- what has been taken is deleted by its very ids (cdc/postgres/queue.py).
CREATE TABLE cdc.queue (
    source text COLLATE "C" NOT NULL,
    id     bigint GENERATED ALWAYS AS IDENTITY,
    name   text COLLATE "C" NOT NULL,
    op     "char" NOT NULL,
    key    jsonb,
    at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- The last batch of each source that is known to be in SQLite; SQLite itself is ahead of it by one
-- at times.
CREATE TABLE cdc.reverse (
    source text COLLATE "C" PRIMARY KEY,
    epoch  bigint NOT NULL,
    batch  bigint NOT NULL,
    at     timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 10);

-- Rows that SQLite cannot hold as they are: they have no row there. column_name is that in
-- PostgreSQL, null where the row as a whole was refused.
CREATE TABLE cdc.reverse_quarantine (
    source       text COLLATE "C" NOT NULL,
    name         text COLLATE "C" NOT NULL,
    key          jsonb NOT NULL,
    column_name  text,
    reason       text NOT NULL,
    set_aside_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX reverse_quarantine_key ON cdc.reverse_quarantine (source, name, md5(key::text));
