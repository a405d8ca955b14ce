-- A foreign key acts on the children of a row that REPLACE removes. One of them, or what the triggers
-- of one do, can be the end of the very row that is being updated; then the UPDATE goes on to the next
-- row and no AFTER trigger tells of the row that it removed. Its children can.
CREATE TRIGGER {trigger} AFTER {event} ON {child} BEGIN
{evicted}END
