-- Lets no chunk of a copy past the first 5,000 rows of a table, as long as somebody holds the lock.
--
-- The trigger must be there before the copy begins, so an event trigger adds it as the table is made
-- that a chunk advances. ALWAYS: they fire under session_replication_role = replica as well.
CREATE SCHEMA held_copy;

CREATE FUNCTION held_copy.wait() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1);
    RETURN NEW;
END $$;

CREATE FUNCTION held_copy.attach() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands()
               WHERE object_identity = 'cdc.captured_table') THEN
        CREATE TRIGGER held_copy BEFORE UPDATE ON cdc.captured_table
            FOR EACH ROW WHEN (NEW.copied_rows > 5000) EXECUTE FUNCTION held_copy.wait();
        ALTER TABLE cdc.captured_table ENABLE ALWAYS TRIGGER held_copy;
    END IF;
END $$;
CREATE EVENT TRIGGER held_copy ON ddl_command_end WHEN TAG IN ('CREATE TABLE')
    EXECUTE FUNCTION held_copy.attach();
ALTER EVENT TRIGGER held_copy ENABLE ALWAYS;
