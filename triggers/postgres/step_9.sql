-- The schema `cdc`, version 9: the switches between the two sides, forward and back.

-- One row for each run that came as far as to touch anything. `epoch` is the gate's before the switch.
-- state: begun, nothing is switched; switched, in the very transaction that turned the gate (on the
-- way back: once all is drained and proven), from which on there is no undoing, only going on; open,
-- all is done; aborted, the side that was master goes on. Who finds a run that died decides here
-- what becomes of it: begun becomes aborted under the row's lock, or it was switched.
CREATE TABLE cdc.switch (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run            text NOT NULL UNIQUE,
    direction      text NOT NULL CHECK (direction IN ('forward', 'back')),
    state          text NOT NULL DEFAULT 'begun'
                   CHECK (state IN ('begun', 'switched', 'open', 'aborted')),
    epoch          bigint NOT NULL,
    reason         text NOT NULL DEFAULT '',
    freeze_seconds double precision,
    started_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    switched_at    timestamptz,
    ended_at       timestamptz
);
