"""The switch from SQLite to PostgreSQL and the way back: gates, states, journal, hooks."""
