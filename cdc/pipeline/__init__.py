"""The ways from a SQLite file to PostgreSQL: the copy, then the tail.

Only this package, and the proof, know both sides.
"""
