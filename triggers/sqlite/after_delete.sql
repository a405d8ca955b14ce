-- After a DELETE: log the end of the key.
CREATE TRIGGER {trigger} AFTER DELETE ON {table} BEGIN
{gone}END
