-- The old key, unless a row still has it: REPLACE may have put a new row in its place, and an
-- update need not change the key. Keys are compared byte for byte, as PostgreSQL will.
INSERT INTO _cdc_changelog (at, op, layout, origin, {key_values})
SELECT julianday('now'), '{op}', {layout}, 0, {old_key}
WHERE NOT EXISTS (SELECT 1 FROM {table} AS _cdc_t WHERE {is_old_key});
