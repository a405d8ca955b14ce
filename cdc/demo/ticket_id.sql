-- The column that trades got after it had rows: those rows keep the shorter record.
ALTER TABLE trades ADD COLUMN ticket_id TEXT
