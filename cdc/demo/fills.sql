-- Executions as the exchange reports them; `is_taker` was never given a type.
CREATE TABLE IF NOT EXISTS fills (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    trade_id TEXT UNIQUE,
    ticker TEXT,
    order_id TEXT,
    side TEXT,
    action TEXT,
    count INTEGER,
    yes_price INTEGER,
    no_price INTEGER,
    is_taker,
    created_time TEXT,
    raw_json TEXT
)
