-- The sequence that belongs to a column, if any: its name, and the value that it would give next.
SELECT s.sequence::text,
       coalesce(pg_sequence_last_value(s.sequence) + q.seqincrement, q.seqstart)
FROM (SELECT pg_get_serial_sequence(%s, %s)::regclass AS sequence) s
JOIN pg_sequence q ON q.seqrelid = s.sequence
