-- Version 2: rows that the target could not hold, and what the commands ask of a running daemon.

-- One row per quarantined key: it has no row in its target table. Written by cdc/postgres/apply.py
-- in the transaction that advances the position past the row's event.
-- id is a digest of source, table and key, since a key itself may be too long for an index. `key`
-- and `image` (the values of `columns`, which is all of the row) are in the form of
-- cdc/postgres/keys.py. seq is the row's event, or where the log ended when the row was copied. position and column_name are those of the
-- value in SQLite; null where the row as a whole was refused. dropped_at: the operator has given
-- the row up; it is missing until it changes.
CREATE TABLE cdc.quarantine (
    id           text COLLATE "C" PRIMARY KEY,
    source       text COLLATE "C" NOT NULL,
    name         text COLLATE "C" NOT NULL,
    key          text NOT NULL,
    seq          bigint NOT NULL,
    position     integer,
    column_name  text,
    reason       text NOT NULL,
    columns      text[] NOT NULL,
    image        text NOT NULL,
    set_aside_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    dropped_at   timestamptz
);
CREATE INDEX quarantine_table ON cdc.quarantine (source, name);

-- What a command asks of the daemon that holds a source. The daemon answers in the row.
CREATE TABLE cdc.request (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      text COLLATE "C" NOT NULL,
    kind        text NOT NULL,
    argument    jsonb NOT NULL,
    asked_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    answered_at timestamptz,
    answer      jsonb
);
CREATE INDEX request_open ON cdc.request (source) WHERE answered_at IS NULL;
