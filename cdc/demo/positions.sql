-- The account's positions. The unique index is made at run time: see positions_ticker.sql.
CREATE TABLE IF NOT EXISTS positions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ticker TEXT,
    total_traded INTEGER,
    position INTEGER,
    market_exposure INTEGER,
    realized_pnl REAL,
    fees_paid REAL,
    last_updated_ts TEXT,
    raw_json TEXT
)
