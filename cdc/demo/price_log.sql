-- The price of each second, for 30 days. The watcher runs this before every write.
CREATE TABLE IF NOT EXISTS price_log (
    timestamp TEXT PRIMARY KEY,
    price REAL
)
