"""The event store: what the changelogs said, and baselines of the tables, in files of their own."""
