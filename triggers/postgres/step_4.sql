-- The schema `cdc`, version 4: tables that wait for the operator while the others of their source
-- go on. `reason` says what happened, `remedy` what to do. Their events are passed over, so that
-- each is copied again when it goes on.

CREATE TABLE cdc.stopped_table (
    source     text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    reason     text NOT NULL,
    remedy     text NOT NULL,
    stopped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, name)
);
