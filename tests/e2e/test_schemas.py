# SPDX-License-Identifier: MIT
"""The integrity check of databases whose schemas hold everything that SQLite knows: the program's own SQLite lacks the
statements that it never sends (scripts/sqlite-trim), and must not miss them here."""
import lib
import oracle

RELOAD = "PRAGMA schema_version = 9999"
SCHEMA = r"""
PRAGMA journal_mode = wal;
CREATE TABLE parent (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT COLLATE NOCASE UNIQUE ON CONFLICT REPLACE);
CREATE TABLE "odd ""name" (
	id INTEGER PRIMARY KEY,
	parent REFERENCES parent (id) ON DELETE CASCADE ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED,
	doc TEXT CHECK (json_valid(doc) AND json_extract(doc, '$.n') BETWEEN 0 AND 999),
	n INT GENERATED ALWAYS AS (json_extract(doc, '$.n')) VIRTUAL,
	day TEXT AS (strftime('%Y-%m-%d', doc ->> '$.t', 'unixepoch')) STORED,
	size INT NOT NULL DEFAULT (length('four') * 2),
	kind TEXT DEFAULT 'a' CHECK (kind IN ('a', 'b', 'c') OR kind LIKE 'x_%' ESCAPE '\' OR kind GLOB 'y*'),
	price REAL CHECK (typeof(price) IN ('real', 'null') AND round(coalesce(price, 1.5), 2) >= 0),
	CONSTRAINT pair CHECK (CASE WHEN size > 5 THEN printf('%03d', size) <> '' ELSE 1 END),
	FOREIGN KEY (parent) REFERENCES parent (id));
CREATE TABLE strict_table (a INT PRIMARY KEY, b BLOB, c ANY) STRICT, WITHOUT ROWID;
CREATE INDEX by_n ON "odd ""name" (n DESC, lower(kind) COLLATE NOCASE) WHERE n IS NOT NULL AND (price > 1 OR size = 8);
CREATE UNIQUE INDEX by_day ON "odd ""name" (day, id, abs(size), substr(doc, 2, 3));
CREATE VIEW windows AS
	SELECT n, row_number() OVER w, sum(size) FILTER (WHERE size > 1) OVER (PARTITION BY kind ORDER BY n
	ROWS BETWEEN 2 PRECEDING AND CURRENT ROW EXCLUDE TIES), lag(n, 1, 0) OVER (w ORDER BY n)
	FROM "odd ""name" WINDOW w AS (PARTITION BY kind);
CREATE VIEW trees (id, depth) AS
	WITH RECURSIVE t (id, depth) AS MATERIALIZED (VALUES (1, 0), (2, 0) UNION ALL
	SELECT p.id, t.depth + 1 FROM parent p LEFT JOIN t USING (id) WHERE depth < (SELECT max(id) FROM parent))
	SELECT * FROM t EXCEPT SELECT 3, 4 INTERSECT SELECT * FROM t ORDER BY 1 LIMIT 5 OFFSET 1;
CREATE VIEW joined AS SELECT * FROM parent NATURAL JOIN trees CROSS JOIN json_each('[1]') GROUP BY id HAVING count(*) > 0;
CREATE TRIGGER after_insert AFTER INSERT ON "odd ""name" FOR EACH ROW WHEN NEW.n > 1 BEGIN
	INSERT INTO parent (name) VALUES (NEW.kind), ('x') ON CONFLICT (name) DO UPDATE SET name = excluded.name WHERE 1;
	UPDATE OR IGNORE parent SET name = upper(name) WHERE id IN (SELECT id FROM parent WHERE name = 'none');
	DELETE FROM parent WHERE EXISTS (SELECT 1 FROM parent p WHERE p.id = -1);
	SELECT RAISE(IGNORE) WHERE 0;
END;
CREATE TRIGGER instead INSTEAD OF UPDATE OF depth ON trees BEGIN
	REPLACE INTO parent SELECT NEW.id, 'again' FROM trees WHERE OLD.depth IS NOT DISTINCT FROM NEW.depth;
END;
CREATE VIRTUAL TABLE search USING fts5 (body, content = '', tokenize = "porter unicode61");
CREATE VIRTUAL TABLE boxes USING rtree (id, x0, x1);
INSERT INTO search (body) VALUES ('some text'), ('more text');
INSERT INTO boxes VALUES (1, 2, 3);
INSERT INTO parent (name) VALUES ('A'), ('B');
WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
	INSERT INTO "odd ""name" (parent, doc, price, kind)
	SELECT 1, json_object('n', i, 't', i * 86400), i * 1.5, CASE i % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'xyz' ELSE 'yy' END FROM n;
INSERT INTO strict_table SELECT id, randomblob(20), n FROM "odd ""name";
ALTER TABLE strict_table ADD COLUMN late INT DEFAULT 5 CHECK (late > 0);
ANALYZE;
"""


def made(t, name, settings, spoil=()):
    path = t.path(name + ".db")
    db = t.connect(path)
    db.executescript(settings + SCHEMA)
    for sql in spoil:
        db.execute(sql)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    pages, size = lib.database_pages(path)
    lib.put_ltx(t.path(name), 9, 1, 1, lib.ltx_bytes(pages, size, len(pages), 1, 1))
    return oracle.url(t.path(name))



def test_every_kind_of_schema_passes(t):
    for name, settings in (("plain", ""), ("vacuum", "PRAGMA page_size = 1024; PRAGMA auto_vacuum = FULL;"),
                           ("wide", "PRAGMA encoding = 'UTF-16le'; PRAGMA auto_vacuum = INCREMENTAL;")):
        url = made(t, name, settings)
        for mode in ("quick", "full"):
            r = t.run("restore", "-integrity-check", mode, "-o", t.path("out/%s-%s" % (name, mode)), url)
            lib.equal((r.code, r.err), (0, ""), repr(r))
            lib.contains(r.out, "post-restore integrity check passed")


def test_what_is_wrong_is_found(t):
    """One broken rule each, which only the check of that rule can see. (SQLite checks no CHECK in what it may not write.)"""
    schema = "UPDATE sqlite_schema SET sql = replace(sql, %s) WHERE name = %s"
    for name, spoil, complaint in (
            ("null", ["PRAGMA writable_schema = 1", schema % ("'INT NOT NULL DEFAULT', 'INT DEFAULT'", "'odd \"name'"),
                      RELOAD, "UPDATE \"odd \"\"name\" SET size = NULL WHERE id = 9",
                      schema % ("'INT DEFAULT', 'INT NOT NULL DEFAULT'", "'odd \"name'")],
             'NULL value in odd "name.size'),
            ("index", ["PRAGMA writable_schema = 1", schema % ("'lower(kind)', 'upper(kind)'", "'by_n'")],
             "values differ from index by_n"),
            ("unique", ["PRAGMA writable_schema = 1", schema % ("'UNIQUE INDEX', 'INDEX'", "'by_day'"), RELOAD,
                        "DROP INDEX by_day", "CREATE INDEX by_day ON parent (1)",
                        schema % ("'INDEX', 'UNIQUE INDEX'", "'by_day'")],
             "non-unique entry in index by_day"),
            ("strict", ["PRAGMA writable_schema = 1", schema % ("'STRICT, ', ''", "'strict_table'"), RELOAD,
                        "UPDATE strict_table SET b = 5 WHERE a = 4",
                        schema % ("'WITHOUT', 'STRICT, WITHOUT'", "'strict_table'")],
             "non-BLOB value in strict_table.b")):
        url = made(t, name, "", spoil)
        r = t.run("restore", "-integrity-check", "full", "-o", t.path("out/" + name), url)
        lib.equal((r.code, r.err.count("\n")), (1, 1), repr(r))
        lib.contains(r.err, "Error: post-restore integrity check")
        lib.contains(r.err, complaint)
