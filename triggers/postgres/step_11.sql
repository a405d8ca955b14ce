-- The schema `cdc`, version 11: what a cutover and the watch behind it want to know.

-- Under which terms the daemon replicates a source: what the configuration says of it, as JSON, and
-- where the schema of the file stood (its schema_version without moves of cdc's own). Written by
-- cdc/pipeline/session.py when it opens the source; what the cutover finds otherwise is a change.
CREATE TABLE cdc.term (
    source             text COLLATE "C" PRIMARY KEY,
    configuration      jsonb NOT NULL,
    application_schema bigint NOT NULL,
    at                 timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The row that tries the way back before anybody needs it: written here as others write, queued by the
-- triggers of cdc.follow(), and brought to _cdc_canary in the file; see cdc/pipeline/canary.py. It is
-- there for moments only.
CREATE TABLE cdc.canary (
    id     bigint PRIMARY KEY,
    sign   text NOT NULL,
    source text COLLATE "C" NOT NULL
);

-- What the health check has found while PostgreSQL was master: `findings` are its checks, `counted`
-- the server's counters of that moment, which the next look subtracts.
CREATE TABLE cdc.health (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    verdict  text NOT NULL CHECK (verdict IN ('pass', 'warn', 'fail')),
    findings jsonb NOT NULL,
    counted  jsonb NOT NULL
);
CREATE INDEX health_at ON cdc.health (at);
