-- The schema `cdc`, version 12: replays into the target itself. Read and written by
-- cdc/postgres/replays.py.

-- One row per source whose target is being rebuilt from the event store: from the log `log_id`, and
-- from the baselines with these numbers, by layout (0: its capture began when the table had no
-- rows), of whose chunks so many are loaded. While it is there the target is of no use: nobody else
-- goes on with it.
CREATE TABLE cdc.replay (
    source     text COLLATE "C" PRIMARY KEY,
    log_id     text NOT NULL,
    baselines  jsonb NOT NULL,
    chunks     bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
