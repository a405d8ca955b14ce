-- Version 5: what the event store (cdc/archive/) must remember outside of its own directory, and what
-- keeps events in the changelogs.

-- Where the chain of segments of each changelog begins and ends: so that a segment that is missing at
-- one of its ends is noticed. `first_previous` and `last_digest` are SHA-256 digests in hexadecimal;
-- both numbers are null while there are no segments. last_seq is the newest event that is archived.
CREATE TABLE cdc.archive (
    source         text COLLATE "C" NOT NULL,
    log_id         text COLLATE "C" NOT NULL,
    first_number   bigint,
    first_previous text,
    last_number    bigint,
    last_digest    text,
    last_seq       bigint NOT NULL DEFAULT 0,
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, log_id)
);

-- Who still reads which events: those behind `seq` stay in the changelog until it is let go, or has
-- expired, for who held it may have died.
CREATE TABLE cdc.hold_back (
    source     text COLLATE "C" NOT NULL,
    owner      text COLLATE "C" NOT NULL,
    seq        bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (source, owner)
);

-- How far each changelog was pruned, or is about to be: events up to `seq` may be gone.
CREATE TABLE cdc.pruned (
    source text COLLATE "C" PRIMARY KEY,
    seq    bigint NOT NULL
);

-- Tables of which a new baseline is wanted, whatever the store has of them.
CREATE TABLE cdc.baseline_wanted (
    source   text COLLATE "C" NOT NULL,
    name     text COLLATE "C" NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (source, name)
);
