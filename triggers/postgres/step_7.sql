-- The schema `cdc`, version 7: what is proven equal on both sides. Read and written by cdc/proof/.

-- A range of keys of one table: those behind after_key, up to end_key (null: the table's ends), in
-- the form of cdc/postgres/keys.py; the texts are the same values as PostgreSQL writes them. All its
-- rows were equal at `position`, in the copy of the table, the log and the epoch that are named.
CREATE TABLE cdc.proven_range (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source     text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    log_id     text NOT NULL,
    copied_at  timestamptz NOT NULL,
    epoch      bigint NOT NULL,
    after_key  text,
    after_text text[],
    end_key    text,
    end_text   text[],
    rows       bigint NOT NULL,
    digest     bytea NOT NULL,
    position   bigint NOT NULL,
    proven_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX proven_range_table ON cdc.proven_range (source, name);

-- Keys of rows that were written without an event in the log: added in the transaction that writes
-- them, removed by the proof that has compared them.
CREATE TABLE cdc.unproven (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text COLLATE "C" NOT NULL,
    name   text COLLATE "C" NOT NULL,
    key    text NOT NULL
);
CREATE INDEX unproven_table ON cdc.unproven (source, name);

-- One row per source for each run of the proof over all of its tables; `is_full` says that nothing
-- rested on an earlier one, `guarded` that every target table refused other writers at its end.
CREATE TABLE cdc.proof_run (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      text COLLATE "C" NOT NULL,
    is_full     boolean NOT NULL,
    guarded     boolean NOT NULL,
    converged   boolean NOT NULL,
    epoch       bigint NOT NULL,
    position    bigint NOT NULL,
    rows        bigint NOT NULL,
    differences bigint NOT NULL,
    in_flight   bigint NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX proof_run_source ON cdc.proof_run (source, finished_at);
