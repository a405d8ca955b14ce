-- Watches the target from the inside, so that an event that is applied twice shows.
--
-- Every write to a row of `accounts` carries a version above all that the row's key had before (see
-- storm.py). An event applied again writes a version that is not; that is noted in audit.twice, as
-- is a position that goes back. Deletions leave audit.last alone.
--
-- The triggers must be there from the first row on, so an event trigger adds them to the tables as
-- these are made. ALWAYS: they fire under session_replication_role = replica as well.
CREATE SCHEMA audit;
CREATE TABLE audit.last (id bigint PRIMARY KEY, version bigint, writes bigint DEFAULT 1);
CREATE TABLE audit.twice (what text, was bigint, became bigint);

CREATE FUNCTION audit.look_at_account() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was bigint;
BEGIN
    SELECT l.version INTO was FROM audit.last l WHERE l.id = NEW.id;
    IF was IS NULL THEN
        INSERT INTO audit.last VALUES (NEW.id, NEW.version);
        RETURN NULL;
    END IF;
    IF NEW.version <= was THEN
        INSERT INTO audit.twice VALUES ('account ' || NEW.id, was, NEW.version);
    END IF;
    UPDATE audit.last l SET version = NEW.version, writes = l.writes + 1 WHERE l.id = NEW.id;
    RETURN NULL;
END $$;

CREATE FUNCTION audit.look_at_position() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.applied_seq < OLD.applied_seq THEN
        INSERT INTO audit.twice VALUES ('position', OLD.applied_seq, NEW.applied_seq);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION audit.attach() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
    made text;
BEGIN
    FOR made IN SELECT object_identity FROM pg_event_trigger_ddl_commands()
                WHERE command_tag = 'CREATE TABLE' LOOP
        IF made = 'public.accounts' THEN
            CREATE TRIGGER audit AFTER INSERT OR UPDATE ON public.accounts
                FOR EACH ROW EXECUTE FUNCTION audit.look_at_account();
            ALTER TABLE public.accounts ENABLE ALWAYS TRIGGER audit;
        ELSIF made = 'cdc.source' THEN
            CREATE TRIGGER audit AFTER UPDATE ON cdc.source
                FOR EACH ROW EXECUTE FUNCTION audit.look_at_position();
            ALTER TABLE cdc.source ENABLE ALWAYS TRIGGER audit;
        END IF;
    END LOOP;
END $$;
CREATE EVENT TRIGGER audit ON ddl_command_end WHEN TAG IN ('CREATE TABLE')
    EXECUTE FUNCTION audit.attach();
ALTER EVENT TRIGGER audit ENABLE ALWAYS;
