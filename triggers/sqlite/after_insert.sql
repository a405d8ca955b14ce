-- After an INSERT: log the rows that it evicted, then the row itself.
CREATE TRIGGER {trigger} AFTER INSERT ON {table} BEGIN
{evicted}{mirrored}{image}END
