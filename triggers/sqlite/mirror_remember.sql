-- The new row's unique values, read from the table, never from NEW. The entry is only written
-- where it differs; NOT EXISTS stands guard instead of a conflict clause, because inside a trigger
-- the clause of the application's own statement is in force.
DELETE FROM {mirror} WHERE {is_new_mirror_key}
AND NOT EXISTS (SELECT 1 FROM {table} AS _cdc_t WHERE {is_mirror_key} AND {same_values});
INSERT INTO {mirror} ({mirror_columns})
SELECT {key_columns}, {unique_values} FROM {table} AS _cdc_t WHERE {is_new_key}{key_not_null}
AND NOT EXISTS (SELECT 1 FROM {mirror} WHERE {is_row_mirror_key});
