-- After a DELETE: log the end of the key, and of another that the row had by the time it went.
CREATE TRIGGER {trigger} AFTER DELETE ON {table} BEGIN
{gone}{evicted}END
