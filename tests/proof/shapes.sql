-- Tables of every shape that the proof treats in its own way, with values at the edges of each type.

CREATE TABLE plain (id INTEGER PRIMARY KEY, whole INTEGER, exact REAL, words TEXT, bytes BLOB);
INSERT INTO plain WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
SELECT i, CASE i % 7 WHEN 0 THEN NULL ELSE i * 922337203685477 END,
       CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN -0.0 WHEN 2 THEN i / 3.0 WHEN 3 THEN 5e-324 * i
       ELSE 1e308 * 10 END,
       CASE i % 6 WHEN 0 THEN '' WHEN 1 THEN NULL WHEN 2 THEN 'Grüße ' || i
       WHEN 3 THEN printf('%.*c', 1500, 'x') || i ELSE 'word ' || i END,
       CASE i % 4 WHEN 0 THEN X'' WHEN 1 THEN NULL WHEN 2 THEN zeroblob(1100) || X'01'
       ELSE CAST('bytes ' || i AS BLOB) END
FROM n;

-- Of the same shape, so that rows could be swapped between the two.
CREATE TABLE twin (id INTEGER PRIMARY KEY, whole INTEGER, exact REAL, words TEXT, bytes BLOB);
INSERT INTO twin SELECT id, whole + 1, exact / 2, words || '!', bytes FROM plain WHERE id <= 2500;

-- Keys of several columns, of texts, under NOCASE, of any class, and none at all.
CREATE TABLE composite (
    a TEXT NOT NULL, b INTEGER NOT NULL, c REAL, PRIMARY KEY (a, b)
) WITHOUT ROWID;
INSERT INTO composite SELECT 'group ' || (id % 9), id, exact FROM plain WHERE id <= 2000;
CREATE TABLE loose_key (a TEXT, b INTEGER, c TEXT, PRIMARY KEY (a, b));
INSERT INTO loose_key SELECT CASE id % 3 WHEN 0 THEN 'ä' ELSE 'b' END || (id / 700), id, words
FROM plain WHERE id <= 2000;
CREATE TABLE by_word (word TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID;
INSERT INTO by_word SELECT 'Wörter ' || id, id FROM plain WHERE id <= 2000;
CREATE TABLE nocase (word TEXT PRIMARY KEY COLLATE NOCASE, n REAL);
INSERT INTO nocase SELECT CASE id % 2 WHEN 0 THEN 'WORD ' ELSE 'word ' END || id, exact
FROM plain WHERE id <= 2000;
CREATE TABLE anything (k PRIMARY KEY, v);
INSERT INTO anything SELECT CASE id % 4 WHEN 0 THEN id WHEN 1 THEN id + 0.5 WHEN 2 THEN 'k' || id
       ELSE CAST('k' || id AS BLOB) END, CASE id % 3 WHEN 0 THEN id WHEN 1 THEN words ELSE bytes END
FROM plain WHERE id <= 1000;
CREATE TABLE keyless (a TEXT, b REAL);
INSERT INTO keyless SELECT words, exact FROM plain WHERE id <= 1000;

-- Mapped columns, lossy ones among them.
CREATE TABLE mapped (
    id INTEGER PRIMARY KEY, price REAL, name TEXT, day TEXT, clock TEXT, moment TEXT, epoch INTEGER,
    flag TEXT, document TEXT, small REAL, tag TEXT, cut TEXT, nulled TEXT
);
INSERT INTO mapped SELECT id, id / 7.0, 'näme ' || id, date('2024-01-01', '+' || (id % 700) || ' days'),
       time(id * 77, 'unixepoch'), datetime('2024-01-01', '+' || (id * 13) || ' hours'),
       1700000000000 + id * 1001, CASE id % 3 WHEN 0 THEN NULL WHEN 1 THEN 'yes' ELSE 'no' END,
       json_object('b', id, 'a', json_array(id / 8.0, NULL, 'ü'), 'n', 1e3), id / 4.0,
       lower(printf('%08x-0000-4000-8000-%012x', id, id)), 'a long text ' || id,
       CASE id % 2 WHEN 0 THEN 'n/a' ELSE '2024-05-05' END
FROM plain WHERE id <= 2000;
