-- The row as it is now, read back from the table: a trigger of the application may have changed
-- it since, before or after us (SQLite defines no order). A row that is gone already logs nothing.
INSERT INTO _cdc_changelog (at, op, layout, origin, {values})
SELECT julianday('now'), '{op}', {layout}, 0, {columns} FROM {table} AS _cdc_t WHERE {is_new_key};
