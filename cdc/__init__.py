"""Move a live SQLite system to PostgreSQL without stopping it, with proof, and with a way back."""

__version__ = "0.1.0"
