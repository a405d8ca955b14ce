-- The triggers that keep others from writing to one target, by its source and the name of the captured
-- table, or queue what they write. `guard` is null where there is none, else whether it is the very
-- trigger that cdc.protect() makes; `always` says that it fires whatever session_replication_role is.
SELECT (SELECT g.tgfoid = 'cdc.guard()'::regprocedure
               AND g.tgtype = 62  -- before INSERT, UPDATE, DELETE and TRUNCATE, for each statement
               AND pg_get_triggerdef(g.oid) LIKE
                   '%%WHEN ((current_setting(''cdc.session''::text, true)'
                   ' IS DISTINCT FROM ''on''::text)) EXECUTE FUNCTION cdc.guard()'
        FROM pg_trigger g WHERE g.tgrelid = c.target AND g.tgname = '_cdc_guard') AS guard,
       coalesce((SELECT g.tgenabled = 'A'
                 FROM pg_trigger g WHERE g.tgrelid = c.target AND g.tgname = '_cdc_guard'),
                false) AS always,
       2 = (SELECT count(*) FROM pg_trigger q
            WHERE q.tgrelid = c.target AND q.tgname IN ('_cdc_queue', '_cdc_queue_all')
              AND q.tgenabled = 'A') AS queued
FROM cdc.captured_table t
CROSS JOIN LATERAL (
    SELECT to_regclass(format('%%I.%%I', t.target_schema, t.target_name)) AS target
) c
WHERE t.source = %s AND t.name = %s
