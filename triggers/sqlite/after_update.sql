-- After an UPDATE: log the rows that it evicted, the end of the old key, then the row itself.
CREATE TRIGGER {trigger} AFTER UPDATE ON {table} BEGIN
{evicted}{gone}{mirrored}{image}END
