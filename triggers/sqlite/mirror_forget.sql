-- The old key leaves the mirror when no row has it any more.
DELETE FROM {mirror} WHERE {is_old_mirror_key}
AND NOT EXISTS (SELECT 1 FROM {table} AS _cdc_t WHERE {is_mirror_key});
