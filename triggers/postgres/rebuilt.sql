-- What a replay keeps in the schema that it makes, beside the tables that it rebuilds. {state} and
-- {quarantine} are the names of the two tables, with their schema.

-- One row per source: which log the rows are of, and up to which event; how many chunks of baselines
-- are loaded; `tables` says of each table its capture's layout, its baseline and its mapping.
CREATE TABLE IF NOT EXISTS {state} (
    source     text COLLATE "C" PRIMARY KEY,
    log_id     text NOT NULL,
    seq        bigint NOT NULL,
    digest     bytea,
    at         double precision,
    chunks     bigint NOT NULL DEFAULT 0,
    tables     jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Rows that their tables cannot hold, as of cdc.quarantine.
CREATE TABLE IF NOT EXISTS {quarantine} (
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
