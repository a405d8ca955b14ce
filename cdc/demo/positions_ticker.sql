-- With this index every INSERT OR REPLACE takes a new id and silently deletes the old row.
CREATE UNIQUE INDEX IF NOT EXISTS idx_positions_ticker ON positions (ticker)
