"""How one value crosses from SQLite to PostgreSQL."""
