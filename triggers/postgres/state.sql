-- The schema `cdc`: what the target knows about its sources. Version 1; step_2.sql and those behind
-- it lead on from here, for a new schema as for an old one.
--
-- Read and written by cdc/postgres/state.py, which makes the schema itself and runs this file, the
-- steps and guard.sql in one transaction.
-- There are no foreign keys between these tables: cdc's sessions run, where they may, with
-- session_replication_role = replica, under which neither checks nor cascades happen.

-- Which target this is. Its id is kept in each source, so that a source never feeds two targets.
CREATE TABLE cdc.target (
    single     boolean PRIMARY KEY DEFAULT true CHECK (single),
    id         text NOT NULL,
    version    integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- One row per SQLite file. applied_seq, applied_digest and applied_at (a Julian day) tell the last
-- event that is in the target; they change in the transaction that writes the rows.
CREATE TABLE cdc.source (
    name           text COLLATE "C" PRIMARY KEY,
    path           text NOT NULL,
    log_id         text NOT NULL,
    applied_seq    bigint NOT NULL,
    applied_digest bytea,
    applied_at     double precision,
    updated_at     timestamptz NOT NULL DEFAULT now(),
    state          text NOT NULL DEFAULT 'new',
    message        text NOT NULL DEFAULT ''
) WITH (fillfactor = 10);  -- updated many times a second: leave room for it on the same page (HOT)

-- The positions at which the target held whole transactions of the source.
CREATE TABLE cdc.boundary (
    source text COLLATE "C" NOT NULL,
    seq    bigint NOT NULL,
    at     double precision,
    PRIMARY KEY (source, seq)
);

-- One row per target table of ours. `definition` is the mapping it was made from. last_key is the
-- end of the copied key range, in the form of cdc/postgres/keys.py; null before the first chunk
-- and after the last.
CREATE TABLE cdc.captured_table (
    source        text COLLATE "C" NOT NULL,
    name          text COLLATE "C" NOT NULL,
    target_schema text COLLATE "C" NOT NULL,
    target_name   text COLLATE "C" NOT NULL,
    definition    jsonb NOT NULL,
    state         text NOT NULL DEFAULT 'copying' CHECK (state IN ('copying', 'live')),
    since_seq     bigint NOT NULL,
    last_key      text,
    copied_rows   bigint NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, name),
    UNIQUE (target_schema, target_name)
) WITH (fillfactor = 50);
