-- A shop: the shapes of tables that one meets in SQLite files, with some history.
CREATE TABLE artist (artist_id INTEGER PRIMARY KEY NOT NULL, name NVARCHAR(120));
CREATE TABLE album (
    album_id INTEGER PRIMARY KEY NOT NULL,
    title NVARCHAR(160) NOT NULL,
    artist_id INTEGER NOT NULL REFERENCES artist (artist_id) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE TABLE track (
    track_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name NVARCHAR(200) NOT NULL,
    album_id INTEGER REFERENCES album (album_id) ON DELETE CASCADE,
    milliseconds INTEGER NOT NULL,
    unit_price NUMERIC(10, 2) NOT NULL,
    cents INTEGER GENERATED ALWAYS AS (CAST(unit_price * 100 AS INTEGER)) VIRTUAL,
    added TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    live BOOLEAN NOT NULL DEFAULT 0
);
CREATE INDEX track_album ON track (album_id);
CREATE TABLE customer (
    email TEXT COLLATE NOCASE PRIMARY KEY,
    full_name TEXT,
    country CHAR(2),
    photo BLOB,
    UNIQUE (full_name, country) ON CONFLICT REPLACE
);
CREATE TABLE playlist_track (
    playlist_id INTEGER, track_id INTEGER, place REAL, PRIMARY KEY (playlist_id, track_id)
) WITHOUT ROWID;
CREATE TABLE setting (name TEXT PRIMARY KEY, value ANY) STRICT;
CREATE TABLE visit (at REAL, page TEXT);
CREATE TABLE empty (id INTEGER PRIMARY KEY, text TEXT);
CREATE VIEW cheap AS SELECT name FROM track WHERE unit_price < 1;
CREATE TABLE change_count (table_name TEXT PRIMARY KEY, changes INTEGER NOT NULL);
INSERT INTO change_count VALUES ('album', 0);
CREATE TRIGGER count_albums AFTER INSERT ON album BEGIN
    UPDATE change_count SET changes = changes + 1 WHERE table_name = 'album';
END;

INSERT INTO artist
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 275)
SELECT i, CASE WHEN i % 25 = 0 THEN NULL ELSE 'Künstler ' || i || ' “🎵”' END FROM n;
INSERT INTO album
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 347)
SELECT i, 'Album "' || i || '"', i % 275 + 1 FROM n;
INSERT INTO track (name, album_id, milliseconds, unit_price, live)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3503)
SELECT 'Track ' || i || char(9) || '\N' || char(10), i % 347 + 1, i * 4294967297, 0.99 + i % 3, i % 2
FROM n;
INSERT INTO customer
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 59)
SELECT 'Person' || i || '@Example.com', 'Person ' || i, 'X' || i % 7,
    CASE WHEN i % 3 THEN zeroblob(i) || x'00ff' END FROM n;
INSERT INTO playlist_track SELECT track_id % 18, track_id, track_id / 7.0 FROM track;
INSERT INTO setting VALUES
    ('a', 1), ('b', 1.0), ('c', '1'), ('d', x'31'), ('e', NULL), ('f', -9223372036854775808),
    ('g', 1e308), ('h', 4.9e-324), ('i', 'it''s' || char(0) || 'odd'), ('j', CAST(x'ff41' AS TEXT)),
    ('k', 9e999), ('l', -0.0);
INSERT INTO visit SELECT track_id / 3.0, 'page ' || track_id % 10 FROM track;
