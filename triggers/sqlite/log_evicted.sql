-- Every key that last carried these unique values of the new row, and is gone from the table.
INSERT INTO _cdc_changelog (at, op, layout, origin, {key_values})
SELECT julianday('now'), 'r', {layout}, 0, {mirror_key} FROM {mirror} AS _cdc_m
WHERE {has_new_values}
AND NOT EXISTS (SELECT 1 FROM {table} AS _cdc_t WHERE {is_mirror_key});
DELETE FROM {mirror} WHERE {has_new_values_unaliased}
AND NOT EXISTS (SELECT 1 FROM {table} AS _cdc_t WHERE {is_mirror_key_unaliased});
