-- What each market paid when it was decided.
CREATE TABLE IF NOT EXISTS settlements (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ticker TEXT,
    market_result TEXT,
    yes_count INTEGER,
    yes_total_cost REAL,
    no_count INTEGER,
    no_total_cost REAL,
    revenue REAL,
    settled_time TEXT,
    raw_json TEXT,
    UNIQUE (ticker, settled_time)
)
