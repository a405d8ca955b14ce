-- What the target says of one table, by its source and its name, in the snapshot of a proof.
SELECT s.applied_seq, s.log_id, t.state, t.updated_at, g.epoch,
       coalesce((SELECT tgenabled = 'A' FROM pg_trigger
                 WHERE tgrelid = to_regclass(format('%%I.%%I', t.target_schema, t.target_name))
                   AND tgname = '_cdc_guard'), false),
       g.open,
       (SELECT count(*) FROM cdc.quarantine q WHERE q.source = s.name AND q.name = t.name),
       (SELECT max(set_aside_at) FROM cdc.quarantine q WHERE q.source = s.name AND q.name = t.name)
FROM cdc.source s
JOIN cdc.captured_table t ON t.source = s.name
CROSS JOIN cdc.gate g
WHERE s.name = %s AND t.name = %s
