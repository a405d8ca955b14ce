-- The role that the services use once they write to PostgreSQL: rows, and nothing else. A server has
-- one for all of its databases.
DO $$
BEGIN
    CREATE ROLE rec_writer LOGIN;
EXCEPTION WHEN duplicate_object THEN
    NULL;
END
$$;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO rec_writer;
