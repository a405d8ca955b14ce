"""States built again from the event store: in the target, beside it, or in a SQLite file."""
