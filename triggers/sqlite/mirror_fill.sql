-- Entries for the rows that were there before the triggers. A row that a trigger has met meanwhile
-- has its entry already. A condition on _cdc_t that picks a range of rows is added at the end.
INSERT INTO {mirror} ({mirror_columns})
SELECT {key_columns}, {unique_values} FROM {table} AS _cdc_t
WHERE NOT EXISTS (SELECT 1 FROM {mirror} WHERE {is_row_mirror_key}){key_not_null}
