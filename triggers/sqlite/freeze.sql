-- Refuses every write to one table until the file is thawed. ABORT undoes the whole statement of the
-- application and holds under OR IGNORE and OR REPLACE, in cascades and in triggers. The text is a
-- literal: older versions of SQLite take no expression here. A newer trigger runs before an older one,
-- so this one comes before the application's own.
CREATE TRIGGER {trigger} BEFORE {event} ON {table} BEGIN
SELECT RAISE(ABORT, {message});
END
