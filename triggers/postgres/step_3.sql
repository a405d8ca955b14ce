-- Version 3: what of a source's schema is not in the target, and why.

-- One row for each constraint, default or index that could not be carried over or not be made.
-- Written anew at each start of the source, and whenever something fails; for people.
CREATE TABLE cdc.left_out (
    source text COLLATE "C" NOT NULL,
    name   text COLLATE "C" NOT NULL,
    what   text NOT NULL,
    text   text NOT NULL,
    reason text NOT NULL
);
CREATE INDEX left_out_table ON cdc.left_out (source, name);
