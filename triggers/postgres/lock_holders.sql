-- Who holds locks on a table, the oldest transaction first. Without pg_read_all_stats only the pid is
-- known of other roles' sessions.
SELECT a.pid, a.usename, a.application_name, a.state,
       extract(epoch FROM clock_timestamp() - a.xact_start)
FROM (SELECT DISTINCT l.pid FROM pg_locks l
      WHERE l.relation = to_regclass(%s) AND l.granted
        AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())) h
JOIN pg_stat_activity a USING (pid)
WHERE a.pid <> pg_backend_pid()
ORDER BY a.xact_start
