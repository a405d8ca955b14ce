-- The role that the services use once they write to PostgreSQL: rows, and nothing else.
CREATE ROLE rec_writer LOGIN;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO rec_writer;
