-- The queue's triggers: they stand on every target table from its creation on, so that the cutover
-- arms them by turning the gate and not by DDL, which would wait behind a VACUUM.
--
-- They fire for every session but cdc's. While the gate is closed the guard has refused such a
-- session's statement before; so nothing here needs to ask whether the gate is open. All statements can
-- be repeated: they run at every version change.

-- What the trigger function of one table does. It is made for the table, with the names of the
-- key's columns in it: to find them in NEW at run time would cost several times as much. The keys go
-- as JSON, whose form of a date does not depend on the session's settings.
CREATE OR REPLACE FUNCTION cdc.queue_body(source text, name text, key text[]) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format($body$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO cdc.queue (source, name, op, key)
        VALUES (%1$L, %2$L, 'i', jsonb_build_array(%4$s));
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO cdc.queue (source, name, op, key)
        VALUES (%1$L, %2$L, 'd', jsonb_build_array(%3$s));
    ELSIF TG_OP = 'TRUNCATE' THEN
        INSERT INTO cdc.queue (source, name, op) VALUES (%1$L, %2$L, 't');
    ELSIF ROW(%3$s) IS NOT DISTINCT FROM ROW(%4$s) THEN
        INSERT INTO cdc.queue (source, name, op, key)
        VALUES (%1$L, %2$L, 'u', jsonb_build_array(%4$s));
    ELSE
        INSERT INTO cdc.queue (source, name, op, key)
        VALUES (%1$L, %2$L, 'd', jsonb_build_array(%3$s)),
               (%1$L, %2$L, 'i', jsonb_build_array(%4$s));
    END IF;
    RETURN NULL;
END
$body$,
        source, name,
        (SELECT string_agg(format('OLD.%I', c), ', ' ORDER BY n)
           FROM unnest(key) WITH ORDINALITY AS k (c, n)),
        (SELECT string_agg(format('NEW.%I', c), ', ' ORDER BY n)
           FROM unnest(key) WITH ORDINALITY AS k (c, n)))
$$;

-- Whether a table has the triggers that this source, name and key ask for.
CREATE OR REPLACE FUNCTION cdc.is_followed(target regclass, source text, name text, key text[])
    RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    RETURN 2 = (
        SELECT count(*) FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid = target AND t.tgname IN ('_cdc_queue', '_cdc_queue_all')
          AND t.tgenabled = 'A' AND p.prosrc = cdc.queue_body(source, name, key)
    );

-- Gives a table the triggers, in the place of those that it has. SECURITY DEFINER: applications have
-- no rights in the schema cdc. A double as text depends on a setting of the session, which is
-- therefore set.
CREATE OR REPLACE FUNCTION cdc.follow(target regclass, source text, name text, key text[])
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    maker text := 'cdc.queue_' || replace(gen_random_uuid()::text, '-', '');
BEGIN
    PERFORM cdc.unfollow(target);
    EXECUTE format(
        'CREATE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql VOLATILE SECURITY DEFINER'
        ' SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1 AS %L',
        maker, cdc.queue_body(source, name, key));
    EXECUTE format(
        'CREATE TRIGGER _cdc_queue AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW'
        ' WHEN (current_setting(''cdc.session'', true) IS DISTINCT FROM ''on'')'
        ' EXECUTE FUNCTION %s()', target, maker);
    EXECUTE format(
        'CREATE TRIGGER _cdc_queue_all AFTER TRUNCATE ON %s FOR EACH STATEMENT'
        ' WHEN (current_setting(''cdc.session'', true) IS DISTINCT FROM ''on'')'
        ' EXECUTE FUNCTION %s()', target, maker);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER _cdc_queue', target);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER _cdc_queue_all', target);
END
$$;

-- Takes the triggers off a table, and drops their functions and those of tables that are gone.
CREATE OR REPLACE FUNCTION cdc.unfollow(target regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    orphan regprocedure;
BEGIN
    EXECUTE format('DROP TRIGGER IF EXISTS _cdc_queue ON %s', target);
    EXECUTE format('DROP TRIGGER IF EXISTS _cdc_queue_all ON %s', target);
    FOR orphan IN
        SELECT p.oid::regprocedure FROM pg_proc p
        WHERE p.pronamespace = 'cdc'::regnamespace AND p.proname ~ '^queue_[0-9a-f]{32}$'
          AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgfoid = p.oid)
    LOOP
        EXECUTE format('DROP FUNCTION %s', orphan);
    END LOOP;
END
$$;
