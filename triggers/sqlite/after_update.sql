-- After an UPDATE: log the end of the old key, the rows that it evicted, then the row itself.
CREATE TRIGGER {trigger} AFTER UPDATE ON {table} BEGIN
{gone}{evicted}{mirrored}{image}END
