-- The mirror of a table with unique values besides its key: which key carries which of them now.
-- REPLACE deletes a conflicting row without firing any trigger; the mirror is how the trigger of the
-- row that took its place finds out whose key is gone. {unique} are columns u0_0, u0_1, u1_0, …, one
-- per term of each unique set, each with the collation of its index; {key} are k0, k1, …. Each has
-- the affinity of what it mirrors: an index is not used across two affinities.
CREATE TABLE {mirror} ({key}, {unique}, PRIMARY KEY ({key_names})) WITHOUT ROWID;
