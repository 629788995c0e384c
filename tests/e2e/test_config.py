# SPDX-License-Identifier: MIT
"""The configuration file as the commands see it: databases, status, reset, and the -config forms of restore and ltx
(control.md 3.4, 4; cases.md 2.1, 2.3, 3.1, 5)."""
import json
import os
import re
import shutil
import subprocess

import lib


def write(t, text, name="c.yml"):
    with open(t.path(name), "w") as f:
        f.write(text)
    return t.path(name)


def one(t, db, replica="rep", more=""):
    return write(t, "dbs:\n- path: %s\n  %s\n  replica: {path: %s}\n" % (db, more, t.path(replica)))


def table(text):
    return [re.split(r"  +", line) for line in text.splitlines()]


# ---- databases ----

def test_databases(t):
    config = write(t, "dbs:\n- path: /data/a.db\n  replica: {path: /r/a}\n- path: b.db\n  replica: {url: 's3://b/p'}\n"
                      "- {path: /data/long-name.db, replicas: [{path: /r/c}, {url: 'gs://x/y'}]}\n")
    rows = table(t.ok("databases", "-config", config))
    lib.equal(rows, [["path", "replica"], ["/data/a.db", "file"], [t.path("b.db"), "s3"],
                     ["/data/long-name.db", "file,gs"]])
    text = t.ok("databases", "-config", config, "-json")
    lib.equal(json.loads(text), [{"path": "/data/a.db", "replica": "file"}, {"path": t.path("b.db"), "replica": "s3"},
                                 {"path": "/data/long-name.db", "replica": "file,gs"}])
    lib.check(text.startswith('[\n  {\n    "path": "/data/a.db",\n    "replica": "file"\n  },\n'), text)


def test_databases_of_nothing(t):
    config = write(t, "")
    lib.equal(t.ok("databases", "-config", config), "path  replica\n")
    lib.equal(t.ok("databases", "-config", config, "-json"), "[]\n")
    lib.equal(t.error("databases", "x"), ["Error: too many arguments"])
    lib.equal(t.error("databases", "-config", t.dir), ["Error: read %s: is a directory" % t.dir])
    lib.equal(t.error("databases", "-config", "none.yml"), ["Error: config file not found: " + t.path("none.yml")])


def test_where_the_file_is(t):
    config = write(t, "dbs: [{path: /a, replica: {path: /r}}]")
    other = write(t, "dbs: [{path: /b, replica: {path: /r}}]", "other.yml")
    lib.contains(t.ok("databases", env={"LITESTREAM_CONFIG": config}), "/a")
    lib.contains(t.ok("databases", "-config", "other.yml", env={"LITESTREAM_CONFIG": config}), "/b")
    # a shell's <(…)
    p = subprocess.run(["sh", "-c", "cat %s | %s databases -config /dev/stdin" % (other, t.binary)], capture_output=True,
                       env=t.env, timeout=30)
    lib.contains(p.stdout.decode(), "/b")


def test_environment(t):
    config = write(t, "dbs: [{path: /a/$NAME, replica: {path: '${R}'}}] # $UNKNOWN ${")
    env = {"NAME": "x.db", "R": "/r"}
    lib.contains(t.ok("databases", "-config", config, env=env), "/a/x.db ")
    lib.contains(t.ok("databases", "-config", config, "-no-expand-env", env=env), "/a/$NAME ")


def test_folder_entries(t):
    t.database("d/1.db")
    t.database("d/2.sqlite")
    t.database("d/sub/4.db")
    t.database("d/sub/deep/6.db")
    write(t, "no database at all", "d/3.db")
    write(t, "", "d/0.db")
    os.mkdir(t.path("d", "d.db"))

    def found(rule):
        config = write(t, "dbs: [{dir: d, %s, replica: {path: R}}]" % rule)
        return [os.path.relpath(row[0], t.path("d")) for row in table(t.ok("databases", "-config", config))[1:]]

    lib.equal(found("pattern: '*.db'"), ["1.db"])
    lib.equal(found("pattern: '*.db', recursive: true"), ["1.db", "sub/4.db", "sub/deep/6.db"])
    lib.equal(sorted(found("pattern: '*', recursive: yes")), ["1.db", "2.sqlite", "sub/4.db", "sub/deep/6.db"])
    lib.equal(found("pattern: '*.x', watch: true"), [])
    for rule, message in (("pattern: '*.x'", "no SQLite databases found in directory %s with pattern *.x" % t.path("d")),
                          ("pattern: '[a'", "failed to scan directory %s: syntax error in pattern" % t.path("d"))):
        config = write(t, "dbs: [{dir: d, %s, replica: {path: R}}]" % rule)
        lib.equal(t.error("databases", "-config", config), ["Error: " + message])
    config = write(t, "dbs: [{dir: none, pattern: '*', replica: {path: R}}]")
    lib.equal(t.error("databases", "-config", config), [
        "Error: failed to scan directory %s: lstat %s: no such file or directory" % (t.path("none"), t.path("none"))])


def test_bad_files(t):
    rows = [("hello", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `hello` into main.Config"),
            ("dbs:\n\t- path: /a\n", "yaml: line 2: found character that cannot start any token"),
            ("{", "yaml: line 1: did not find expected node content"),
            ("snapshot: {interval: 0}", "snapshot.interval: snapshot interval must be greater than 0 (got 0s)"),
            ("dbs: [{path: /a}]", "must specify replica for database"),
            ("dbs: [{path: /a, replica: {path: /r}}, {path: /a, replica: {path: /s}}]",
             "database /a is configured twice, in lines 1 and 1"),
            ("dbs: [{path: /a, replica: {path: /r}}, {path: /b, replica: {path: /r}}]",
             "databases /a and /b have their replicas in one place: file /r"),
            ("a" + "[" * 100000, "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `a[[[[[[...` into main.Config"),
            ("a: " + "[" * 100000, "yaml: line 1: nested more than 64 deep")]
    for text, message in rows:
        config = write(t, text)
        for command in (["databases"], ["status"]):
            lib.equal("\n".join(t.error(*command, "-config", config)), "Error: " + message, text[:100])
    lib.write_file(t.path("binary"), lib.read_file(t.binary)[:100000])
    lib.equal(t.error("databases", "-config", "binary"), ["Error: yaml: control characters are not allowed"])
    with open(t.path("big"), "wb") as f:
        f.truncate(100 << 20)
    lib.equal(t.error("databases", "-config", "big"),
              ["Error: config file %s is too large: more than 4194304 bytes" % t.path("big")])
    os.symlink("a.db", t.path("b.db"))
    t.database("a.db")
    config = write(t, "dbs: [{path: a.db, replica: {path: /r}}, {path: b.db, replica: {path: /s}}]")
    lib.equal(t.error("databases", "-config", config),
              ["Error: databases %s and %s are the same file" % (t.path("a.db"), t.path("b.db"))])


def test_kinds_that_are_not_built(t):
    """They are good configuration; only their use fails, and says why."""
    for settings, kind in (("url: 'gs://b/p'", "gs"), ("url: 'abs://a@b/p'", "abs"), ("url: 'sftp://u@h/p'", "sftp"),
                           ("url: 'webdavs://h/p'", "webdav"), ("url: 'nats://h/b'", "nats"), ("url: 'oss://b/p'", "oss"),
                           ("type: sftp, host: h, user: u, key-path: /k, concurrent-writes: false", "sftp")):
        config = write(t, "dbs: [{path: /a, replica: {%s}}]" % settings)
        lib.equal(table(t.ok("databases", "-config", config))[1], ["/a", kind])
        lib.equal(t.error("ltx", "-config", config, "/a"), ['Error: replicas of type "%s" are not supported' % kind])


# ---- status ----

def test_status(t):
    db = t.database("a.db")
    config = write(t, "dbs:\n- {path: a.db, replica: {path: rep}}\n- {path: none.db, replica: {path: r2}}\n")

    def status(*words):
        return table(t.ok("status", "-config", config, *words))

    head = ["database", "status", "local txid", "wal size"]
    lib.equal(status(), [head, [db, "not initialized", "-", "0 B"], [t.path("none.db"), "no database", "-", "-"]])
    t.ok("replicate", "-once", db, t.path("rep"))
    lib.equal(status("a.db")[1][:3], [db, "ok", "0000000000000001"])
    lib.equal(status("unknown.db"), [head])
    lib.equal(t.ok("status", "-config", config, "-json", "/unknown"), "[]\n")
    lib.equal(json.loads(t.ok("status", "-config", config, "-json", db, "ignored")),
              [{"database": db, "status": "ok", "local_txid": "0000000000000001",
                "wal_size": status("a.db")[1][3]}])
    shutil.rmtree(t.path(".a.db-litestream", "ltx", "0"))
    write(t, "in the way", ".a.db-litestream/ltx/0")
    lib.check(status("a.db")[1][1] in ("error", "not initialized"), status("a.db"))


def test_status_of_a_running_daemon(t):
    db = t.database("a.db", rows=100)
    config = one(t, db, more="meta-path: meta/m")
    app = t.connect(db)
    app.execute("SELECT count(*) FROM t")
    d = t.daemon("replicate", db, t.path("rep"))
    t.wait(lambda: os.path.isdir(t.path("rep", "ltx", "0")) and os.listdir(t.path("rep", "ltx", "0")), "a file")
    row = table(t.ok("status", "-config", config))[1]
    lib.equal(row[1:3], ["not initialized", "-"], "another meta-path")
    row = table(t.ok("status", "-config", one(t, db)))[1]
    lib.equal(row[1], "ok")
    d.stop()


# ---- reset ----

def test_reset(t):
    db = t.database("a.db")
    meta = t.path(".a.db-litestream")
    lib.equal(t.ok("reset", "a.db"), "No local state to reset for %s\nMeta directory does not exist: %s\n" % (db, meta))
    t.ok("replicate", "-once", db, t.path("rep"))
    files = [meta + "/ltx/0/0000000000000001-0000000000000001.ltx"]
    lib.equal(t.ok("reset", "-dry-run", db),
              "Dry run: local Litestream state would be reset for: %s\nWould remove: %s/ltx\nFiles that would be removed:\n"
              "  %s\nNo files were removed.\n" % (db, meta, files[0]))
    lib.check(os.path.exists(files[0]), "a dry run removed something")
    lines = t.ok("reset", db).splitlines()
    lib.equal([re.sub(r"^time=\S+ ", "", line) for line in lines],
              ["Resetting local Litestream state for: " + db, "Removing: %s/ltx" % meta,
               'level=INFO msg="resetting local litestream state" meta_path=%s' % meta,
               'level=INFO msg="local state reset complete, next sync will create fresh snapshot"',
               "Reset complete. Next replication sync will create a fresh snapshot."])
    lib.check(not os.path.exists(meta + "/ltx") and not os.path.exists(meta + "/position"), t.files(".a.db-litestream"))
    lib.contains(t.ok("reset", "-dry-run", db), "No local LTX files would be removed.\n")
    # and it goes on behind what the replica has
    t.insert(db)
    t.ok("replicate", "-once", db, t.path("rep"))
    t.ok("restore", "-o", "out.db", t.path("rep"))
    lib.equal(lib.dump(t.path("out.db")), lib.dump(db))
    lib.equal(t.files("rep"), ["ltx/0/%016x-%016x.ltx" % (i, i) for i in (1, 2)])


def test_reset_errors(t):
    lib.equal(t.error("reset", program=t.link("litestream")),
              ["Error: database path required", "Try: litestream reset /path/to/db"])
    lib.equal(t.error("reset", "a", "b"), ["Error: too many arguments"])
    lib.equal(t.error("reset", "a.db"), ["Error: database does not exist: " + t.path("a.db")])
    db = t.database("a.db")
    lib.equal(t.error("reset", "-config", "none.yml", db),
              ["Error: cannot read config: config file not found: " + t.path("none.yml")])


def test_reset_with_a_configuration(t):
    db = t.database("a.db")
    os.makedirs(t.path("m", "ltx", "0"))
    write(t, "x", "m/ltx/0/junk")
    config = one(t, db, more="meta-path: m")
    lib.contains(t.ok("reset", "-config", config, "-dry-run", db), "  %s\n" % t.path("m", "ltx", "0", "junk"))
    t.ok("reset", "-config", config, db)
    lib.check(not t.exists("m", "ltx"), "still there")


def test_reset_beside_a_daemon(t):
    db = t.database("a.db")
    d = t.daemon("replicate", db, t.path("rep"))
    meta = t.path(".a.db-litestream")
    t.wait(lambda: os.path.isdir(meta + "/ltx/0") and os.listdir(meta + "/ltx/0"), "a file")
    r = t.run("reset", db)
    lib.equal((r.code, r.err), (1, "Error: reset failed: another process replicates %s: it holds %s/lock\n" % (db, meta)))
    lib.check(os.listdir(meta + "/ltx/0"), "removed all the same")
    lib.equal(d.stop(), 0)


# ---- restore and ltx ----

def test_restore_of_a_configured_database(t):
    db = t.database("a.db", rows=20)
    config = one(t, db)
    t.ok("replicate", "-once", db, t.path("rep"))
    before = lib.dump(db)
    lib.equal(t.error("restore", "-config", config, "a.db"),
              ["Error: cannot restore, output path already exists and is not empty: %s. Use -force to overwrite" % db])
    lib.equal(t.error("restore", "-config", config, "b.db"), ["Error: database not found in config: " + t.path("b.db")])
    r = t.run("restore", "-config", config, "-if-db-not-exists", "a.db")
    lib.equal(r.code, 0)
    lib.contains(r.out, "database already exists, skipping")
    for name in ("a.db", "a.db-wal", "a.db-shm"):
        if t.exists(name):
            os.unlink(t.path(name))
    lib.equal(t.ok("restore", "a.db", env={"LITESTREAM_CONFIG": config}), "")
    lib.equal(lib.dump(db), before)
    t.ok("restore", "-config", config, "-o", "other.db", "a.db")
    lib.equal(lib.dump(t.path("other.db")), before)
    found = json.loads(t.ok("restore", "-config", config, "-json", "-o", "third.db", "a.db"))
    lib.equal((found["db_path"], found["replica"]), ("third.db", "file"))
    # no range check in this form
    lib.equal(t.error("restore", "-config", config, "-o", "x.db", "-timestamp", "2000-01-01T00:00:00Z", "a.db"),
              ["Error: no matching backup files available"])
    lib.equal(t.error("restore", "-o", "x.db", "-timestamp", "2000-01-01T00:00:00Z", "file://" + t.path("rep")),
              ["Error: timestamp does not exist"])
    lib.contains(t.ok("restore", "-config", config, "-dry-run", "a.db"), "  source: %s\n  target: %s\n" % (db, db))
    lib.equal(table(t.ok("ltx", "-config", config, "a.db"))[1][:3], ["0", "%016x" % 1, "%016x" % 1])


def test_restore_out_of_a_folder(t):
    db = t.database("d/sub/a.db", rows=20)
    config = write(t, "dbs: [{dir: d, pattern: '*.db', recursive: true, replica: {path: base}}]")
    t.ok("replicate", "-once", db, t.path("base", "sub", "a.db"))
    t.ok("restore", "-config", config, "-o", "out.db", "d/sub/a.db")
    lib.equal(lib.dump(t.path("out.db")), lib.dump(db))
    os.unlink(db)  # it need not be there
    t.ok("restore", "-config", config, "-o", "out2.db", "d/sub/a.db")
    lib.equal(t.error("restore", "-config", config, "-o", "x", "d/sub/a.sqlite"),
              ["Error: database not found in config: " + t.path("d", "sub", "a.sqlite")])
    url = write(t, "dbs: [{dir: d, pattern: '*.db', recursive: true, replica: {url: 'file://%s'}}]" % t.path("base"))
    t.ok("restore", "-config", url, "-o", "out3.db", "d/sub/a.db")
    lib.equal(lib.dump(t.path("out3.db")), lib.dump(t.path("out2.db")))


def test_restore_picks_a_healthy_replica(t):
    db = t.database("a.db", rows=20)
    t.ok("replicate", "-once", db, t.path("good"))
    write(t, "a file in the way", "broken")
    config = write(t, "dbs:\n- path: a.db\n  replicas:\n  - {name: broken, path: broken}\n  - {path: empty}\n"
                      "  - {name: good, path: good}\n")
    r = t.run("restore", "-config", config, "-o", "out.db", "a.db")
    lib.equal((r.code, r.err), (0, ""))
    lib.equal(len(re.findall(r"level=WARN msg=\"replica passed over\" replica=(?:broken|file) ", r.out)), 2, r.out)
    lib.equal(lib.dump(t.path("out.db")), lib.dump(db))
    lib.equal(t.ok("restore", "-config", config, "-replica", "good", "-o", "out2.db", "a.db"), "")
    lib.equal(t.error("restore", "-config", config, "-replica", "file", "-o", "x.db", "a.db"),
              ["Error: no matching backup files available"])
    lib.equal(t.error("restore", "-config", config, "-replica", "nobody", "-o", "x.db", "a.db"),
              ["Error: database %s has no replica called nobody" % db])
    lib.equal(t.error("restore", "-replica", "good", "-o", "x.db", "file:///x"),
              ["Error: cannot specify a replica URL and the -replica flag"])


def test_logging_of_the_file(t):
    db = t.database("a.db")
    config = write(t, "logging: {type: json, stderr: true}\ndbs: [{path: a.db, replica: {path: rep}}]")
    t.ok("replicate", "-once", db, t.path("rep"))
    r = t.run("restore", "-config", config, "-o", "out.db", "-integrity-check", "quick", "a.db")
    lib.equal((r.code, r.out), (0, ""))
    lib.equal(json.loads(r.err)["msg"], "post-restore integrity check passed")
