-- The guard: until the cutover opens the gate, the target tables refuse every writer but cdc.
--
-- Two locks make it exact. Whoever writes holds the gate's advisory lock shared until the end of
-- the transaction; whoever opens or closes the gate takes it exclusively, and so waits for every
-- writer that saw the old state. All statements can be repeated: they run at every version change.

-- One row. `open` says who is master: false, SQLite; true, PostgreSQL. Each change adds one to the
-- epoch, so that a writer that slept through a switch and back is known by its old epoch.
CREATE TABLE IF NOT EXISTS cdc.gate (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    open   boolean NOT NULL DEFAULT false,
    epoch  bigint NOT NULL DEFAULT 1
);
INSERT INTO cdc.gate DEFAULT VALUES ON CONFLICT DO NOTHING;

-- The key of the gate's advisory lock ("cdc gate" in ASCII); inlined wherever it is called.
CREATE OR REPLACE FUNCTION cdc.gate_lock() RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 7161958298250474597;

-- The gate's epoch as it is by now, null while it is closed; for whoever holds the gate's lock. A
-- snapshot older than the lock could show the gate as it was, so above READ COMMITTED the row is locked
-- instead, which fails where it has changed since. VOLATILE: at READ COMMITTED it looks anew, whoever
-- calls it.
CREATE OR REPLACE FUNCTION cdc.open_epoch() RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found bigint;
BEGIN
    IF current_setting('transaction_isolation') = 'read committed' THEN
        SELECT g.epoch INTO found FROM cdc.gate g WHERE g.open;
    ELSE
        SELECT g.epoch INTO found FROM cdc.gate g WHERE g.open FOR SHARE;
    END IF;
    RETURN found;
END
$$;

-- Fires once per statement of a foreign session. SECURITY DEFINER: applications have no rights in
-- the schema cdc. STABLE: its own query sees what the statement sees that it guards. At READ COMMITTED a
-- statement that began before the switch, and had to wait, is let in behind it with its old snapshot, and
-- would pass over the rows that were applied in between without a word; so it has to see the gate
-- open, too.
CREATE OR REPLACE FUNCTION cdc.guard() RETURNS trigger
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    now_open bigint;
    seen_open bigint;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(cdc.gate_lock());
    now_open := cdc.open_epoch();
    SELECT g.epoch INTO seen_open FROM cdc.gate g WHERE g.open;
    IF now_open IS NULL OR seen_open IS DISTINCT FROM now_open THEN
        RAISE read_only_sql_transaction USING
            MESSAGE = format('%I.%I is a copy that cdc keeps and takes no other writes',
                             TG_TABLE_SCHEMA, TG_TABLE_NAME),
            HINT = 'Write to the SQLite file; after the cutover write here.';
    END IF;
    RETURN NULL;
END
$$;

-- Puts the guard on one table. ALWAYS: it fires under session_replication_role = replica too.
-- Partitions and inheritance children need a guard of their own.
CREATE OR REPLACE FUNCTION cdc.protect(target regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format(
        'CREATE TRIGGER _cdc_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s'
        ' FOR EACH STATEMENT'
        ' WHEN (current_setting(''cdc.session'', true) IS DISTINCT FROM ''on'')'
        ' EXECUTE FUNCTION cdc.guard()', target);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER _cdc_guard', target);
END
$$;

-- Whether a table carries the guard: only then is it a table of ours.
CREATE OR REPLACE FUNCTION cdc.is_protected(target regclass) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    RETURN EXISTS (
        SELECT FROM pg_trigger
        WHERE tgrelid = target AND tgname = '_cdc_guard' AND tgfoid = 'cdc.guard()'::regprocedure
    );

-- The first statement of every transaction that applies changes of a source. It passes the guard,
-- holds the gate as it is until the end of the transaction, and locks the source's position.
--   CD001  the position is not from_seq: somebody else has advanced it
--   CD002  the gate is open, or its epoch is not the one that the caller started from
-- READ COMMITTED is needed: each statement here sees what was committed before it began.
CREATE OR REPLACE FUNCTION cdc.enter(source text, from_seq bigint, epoch bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    gate cdc.gate;
    at_seq bigint;
BEGIN
    PERFORM set_config('cdc.session', 'on', true);
    PERFORM pg_advisory_xact_lock_shared(cdc.gate_lock());
    SELECT g.* INTO gate FROM cdc.gate g;
    IF gate.open IS NOT FALSE THEN
        RAISE EXCEPTION USING ERRCODE = 'CD002',
            MESSAGE = 'the gate is open: PostgreSQL takes the writes now';
    END IF;
    IF gate.epoch IS DISTINCT FROM enter.epoch THEN
        RAISE EXCEPTION USING ERRCODE = 'CD002',
            MESSAGE = format('the gate is at epoch %s, not at %s', gate.epoch, enter.epoch);
    END IF;
    SELECT s.applied_seq INTO at_seq FROM cdc.source s WHERE s.name = enter.source FOR UPDATE;
    IF at_seq IS DISTINCT FROM enter.from_seq THEN
        RAISE EXCEPTION USING ERRCODE = 'CD001',
            MESSAGE = format('the position of source %L is %s, not %s', enter.source,
                             coalesce(at_seq::text, 'not recorded'), enter.from_seq);
    END IF;
END
$$;

-- Opens or closes the gate, and returns its new epoch. It first waits, as long as lock_timeout allows,
-- for every transaction that has written under the old state; whoever writes next sees the new one.
-- READ COMMITTED is needed here, too.
CREATE OR REPLACE FUNCTION cdc.turn_gate(to_open boolean, from_epoch bigint) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    gate cdc.gate;
BEGIN
    PERFORM pg_advisory_xact_lock(cdc.gate_lock());
    SELECT g.* INTO gate FROM cdc.gate g;
    IF gate.epoch IS DISTINCT FROM from_epoch OR gate.open IS NOT DISTINCT FROM to_open THEN
        RAISE EXCEPTION USING ERRCODE = 'CD002',
            MESSAGE = format('the gate is %s, at epoch %s, not %s at %s',
                             CASE WHEN gate.open THEN 'open' ELSE 'closed' END, gate.epoch,
                             CASE WHEN to_open THEN 'closed' ELSE 'open' END, from_epoch);
    END IF;
    UPDATE cdc.gate g SET open = to_open, epoch = g.epoch + 1;
    RETURN gate.epoch + 1;
END
$$;

-- Who holds the gate as it is: the transactions that turning it waits for, the oldest first. Without
-- pg_read_all_stats only the pid is known of other roles' sessions.
CREATE OR REPLACE FUNCTION cdc.gate_holders()
    RETURNS TABLE (pid integer, role name, application text, state text, seconds float8)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.pid, a.usename, a.application_name, a.state,
           extract(epoch FROM clock_timestamp() - a.xact_start)
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.mode = 'ShareLock' AND l.objsubid = 1
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      AND (l.classid::bigint << 32) | l.objid::bigint = cdc.gate_lock()
    ORDER BY a.xact_start
$$;
