"""The ways from a SQLite file to PostgreSQL and back: the copy, the tail, the way back."""
