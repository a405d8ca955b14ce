-- Every key that the mirror knows by these values and that is gone from the table.
INSERT INTO _cdc_changelog (at, op, layout, origin, {key_values})
SELECT julianday('now'), 'r', {layout}, 0, {mirror_key} FROM {mirror} WHERE {has_values}
AND NOT EXISTS (SELECT 1 FROM {table} AS _cdc_t WHERE {is_mirror_key});
DELETE FROM {mirror} WHERE {has_values}
AND NOT EXISTS (SELECT 1 FROM {table} AS _cdc_t WHERE {is_mirror_key});
