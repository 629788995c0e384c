# SPDX-License-Identifier: MIT
"""One daemon, many databases, from a configuration (control.md 4, 5; cases.md 2.4, 5.5)."""
import http.server
import os
import re
import shutil
import signal
import socket
import stat
import sys
import threading
import time

import lib


def write(t, text, name="c.yml"):
    """Replaces the file in one go: the daemon may be reading it."""
    with open(t.path(name + ".new"), "w") as f:
        f.write(text)
    os.rename(t.path(name + ".new"), t.path(name))
    return t.path(name)


def entry(t, name, more=""):
    return "- path: %s\n  replica: {path: %s}\n%s" % (t.path(name), t.path("rep", name), more)


def configuration(t, *names, top=""):
    return write(t, top + "dbs:\n" + "".join(entry(t, name) for name in names))


def start(t, *words, config="c.yml", **more):
    return t.daemon("replicate", "-config", t.path(config), *words, **more)


def replicated(t, name, replica=None, timeout=30):
    """Waits until a restore of the replica holds what the database holds."""
    out = t.path("check.db")

    def same():
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(out + suffix):
                os.unlink(out + suffix)
        r = t.run("restore", "-o", out, "file://" + t.path(replica or os.path.join("rep", name)))
        return r.code == 0 and lib.dump(out) == lib.dump(t.path(name))
    t.wait(same, "all of %s in its replica" % name, timeout)


def no_errors(d, *allowed):
    bad = [line for line in d.text().splitlines()
           if ("level=ERROR" in line or "level=WARN" in line) and not any(word in line for word in allowed)]
    lib.equal(bad, [], "log")


# ---- the start ----

def test_several_databases(t):
    names = ["db%02d.db" % i for i in range(20)]
    for name in names:
        t.database(name, rows=3)
    configuration(t, *names)
    d = start(t)
    for name in names:
        replicated(t, name)
    for name in names[::3]:
        t.insert(t.path(name), 2)
    for name in names[::3]:
        replicated(t, name)
    t.insert(t.path(names[1]), 2)
    lib.equal(d.stop(), 0)
    replicated(t, names[1])
    no_errors(d)
    text = d.text()
    lib.check(text.splitlines()[0].endswith('msg=litestream version=%s level=""' % t.ok("version").strip()), text[:300])
    for part in ('msg="starting compaction monitor" system=store level=1 interval=30s',
                 'msg="starting compaction monitor" system=store level=9 interval=24h0m0s',
                 'msg="starting L0 retention monitor" system=store interval=15s retention=5m0s',
                 'msg="initialized db" system=store path=%s' % t.path(names[0]),
                 'msg="replicating to" type=file sync-interval=1s path=%s' % t.path("rep", names[0]),
                 'msg="signal received, litestream shutting down" signal=terminated', 'msg="litestream shut down"'):
        lib.contains(text, part)


def test_levels_of_the_configuration(t):
    t.database("a.db")
    configuration(t, "a.db", top="levels: [{interval: 500ms}, {interval: 1s}]\nsnapshot: {interval: 2s, retention: 10s}\n"
                                 "l0-retention: 1s\nl0-retention-check-interval: 500ms\n")
    d = start(t)

    def both():
        t.insert(t.path("a.db"))
        time.sleep(0.1)
        return all(os.path.isdir(t.path("rep", "a.db", "ltx", n)) and os.listdir(t.path("rep", "a.db", "ltx", n))
                   for n in ("1", "2", "9"))
    t.wait(both, "levels", 30)
    lib.equal(d.stop(), 0)
    replicated(t, "a.db")
    no_errors(d)


def test_nothing_to_do(t):
    write(t, "dbs: []\n")
    d = start(t)
    lib.contains(d.wait_log("no databases"), 'level=ERROR msg="no databases specified in configuration"')
    time.sleep(0.3)
    lib.check(d.alive())
    lib.equal(d.stop(), 0)
    r = t.run("replicate", "-once", "-config", "c.yml")
    lib.equal((r.code, r.err), (0, ""))
    lib.contains(r.out, 'level=ERROR msg="no databases specified in configuration"')


def test_errors_of_the_start(t):
    t.database("a.db")
    one = "dbs: [{path: a.db, replica: {path: rep}%s}]\n"
    for text, words, error in (
            (one % ", min-checkpoint-page-count: 0", [], "cannot open store: minimum checkpoint page count required"),
            (one % "" + "levels: [%s]\n" % ",".join(["{interval: 1h}"] * 9), [],
             "cannot open store: compaction level cannot exceed 8"),
            (one % "" + "addr: '9090'\n", [], 'must specify port for bind address: "9090"'),
            (one % "" + "exec: 'a (b'\n", [], "cannot parse exec command: invalid command line string"),
            (one % "" + "exec: /nonexistent\n", [],
             "cannot start exec command: fork/exec /nonexistent: no such file or directory"),
            (one % "" + "exec: x\n", ["-once"], "cannot specify -once flag with -exec"),
            (one % "", ["-force-snapshot"], "cannot specify -force-snapshot flag without -once"),
            (one % "", ["-enforce-retention"], "cannot specify -enforce-retention flag without -once"),
            (one % "", ["-ready-fd", "77"], "-ready-fd: descriptor 77: bad file descriptor"),
            ("dbs: [{path: a.db, replica: {url: 'gs://b/p'}}]", [], 'replicas of type "gs" are not supported'),
            ("dbs: [{dir: none, pattern: '*', replica: {path: R}}]", [],
             "failed to scan directory %s: lstat %s: no such file or directory" % (t.path("none"), t.path("none"))),
            ("dbs: [{dir: ., pattern: '*.x', replica: {path: R}}]", [],
             "no SQLite databases found in directory %s with pattern *.x" % t.dir),
            ("dbs: [{path: /a}]", [], "must specify replica for database")):
        write(t, text)
        r = t.run("replicate", *words, "-config", "c.yml")
        lib.equal((r.code, r.err), (1, "Error: %s\n" % error), text + repr(words))
    lib.equal(t.error("replicate", "-config", "none.yml"), ["Error: config file not found: " + t.path("none.yml")])


def test_log_levels(t):
    """Flag over environment over file; the first line shows the word that counts."""
    t.database("a.db")
    configuration(t, "a.db", top="logging: {level: debug}\n")
    for words, env, shown, debug in (([], {}, "debug", True), ([], {"LOG_LEVEL": "error"}, None, False),
                                     (["-log-level", "trace"], {"LOG_LEVEL": "error"}, "trace", True),
                                     (["-log-level", "bogus"], {}, "bogus", False)):
        t.insert(t.path("a.db"))
        out = t.ok("replicate", "-once", *words, "-config", "c.yml", env=env)
        if shown:
            lib.contains(out.splitlines()[0], "level=" + shown)
        lib.equal("level=DEBUG" in out, debug, repr(words))
    write(t, "logging: {type: json, stderr: true, source: true}\ndbs:\n" + entry(t, "a.db"))
    r = t.run("replicate", "-once", "-config", "c.yml")
    lib.equal(r.out, "")
    lib.check(re.search(r'"level":"INFO","source":\{"file":"applets/replicate.c","line":\d+\},"msg":"litestream"', r.err), r.err)


def test_enabled(t):
    t.database("a.db")
    t.database("b.db")
    write(t, "dbs:\n" + entry(t, "a.db", "  enabled: false\n") + entry(t, "b.db", "  auto-replicate: no\n"))
    d = start(t)
    for name in ("a.db", "b.db"):
        d.wait_log('msg="database registered but not auto-started" path=%s' % t.path(name))
    t.insert(t.path("a.db"))
    lib.equal(d.stop(), 0)
    lib.check(not t.exists("rep"), "replicated all the same")


# ---- -once ----

def test_once(t):
    for name in ("a.db", "d/1.db", "d/s/2.db"):
        t.database(name)
    write(t, "dbs:\n" + entry(t, "a.db") +
          "- {dir: d, pattern: '*.db', recursive: true, watch: true, replica: {path: base}}\n")
    out = t.ok("replicate", "-once", "-config", "c.yml")
    for name in ("a.db", "d/1.db", "d/s/2.db"):
        lib.contains(out, 'msg="syncing database" path=%s' % t.path(name))
    lib.contains(out, 'msg="found databases in directory" dir=%s count=2 watch=true' % t.path("d"))
    replicated(t, "a.db")
    replicated(t, "d/1.db", "base/1.db")
    replicated(t, "d/s/2.db", "base/s/2.db")
    words = [re.search(r'msg=("[^"]*"|\S+)', line).group(1).strip('"') for line in out.splitlines()]
    lib.check(words.index("one-shot replication complete") < words.index("replication complete, litestream shutting down")
              < words.index("litestream shut down"), out)


def test_once_with_snapshot_and_retention(t):
    db = t.database("a.db")
    t.database("b.db")
    configuration(t, "a.db", "b.db", top="snapshot: {interval: 1h, retention: 1ms}\n")
    out = t.ok("replicate", "-once", "-force-snapshot", "-config", "c.yml")
    for name in ("a.db", "b.db"):
        lib.contains(out, 'msg="taking snapshot" path=%s' % t.path(name))
    lib.equal(t.files("rep", "a.db", "ltx", "9"), ["0000000000000001-0000000000000001.ltx"])
    t.insert(db)
    t.ok("replicate", "-once", "-force-snapshot", "-config", "c.yml")
    lib.equal(len(t.files("rep", "a.db", "ltx", "9")), 2)
    time.sleep(0.01)
    out = t.ok("replicate", "-once", "-enforce-retention", "-config", "c.yml")
    lib.contains(out, 'msg="enforcing retention" path=%s' % db)
    lib.equal(len(t.files("rep", "a.db", "ltx", "9")), 1)
    replicated(t, "a.db")


def test_once_stops_at_the_first_failure(t):
    t.database("a.db")
    lib.write_file(t.path("bad.db"), b"no database" * 1000)
    t.database("z.db")
    configuration(t, "a.db", "bad.db", "z.db")
    r = t.run("replicate", "-once", "-config", "c.yml")
    lib.equal((r.code, r.err), (1, "Error: sync database %s: file is not a database (26)\n" % t.path("bad.db")))
    replicated(t, "a.db")


def test_once_with_two_replicas(t):
    t.database("a.db")
    write(t, "dbs:\n- path: a.db\n  replicas: [{path: one}, {path: two}]\n")
    t.ok("replicate", "-once", "-force-snapshot", "-config", "c.yml")
    replicated(t, "a.db", "one")
    replicated(t, "a.db", "two")
    lib.equal(t.files("one"), t.files("two"))


# ---- restored first ----

def test_restore_of_what_is_missing(t):
    for name in ("a.db", "b.db", "there.db"):
        t.database(name, rows=5)
    write(t, "dbs:\n" + "".join(entry(t, n) for n in ("a.db", "b.db", "there.db")))
    t.ok("replicate", "-once", "-config", "c.yml")
    want = lib.dump(t.path("a.db"))
    for name in ("a.db", "b.db"):
        for suffix in ("", "-wal", "-shm"):
            if t.exists(name + suffix):
                os.unlink(t.path(name + suffix))
        shutil.rmtree(t.path("." + name + "-litestream"))
    write(t, "dbs:\n" + entry(t, "a.db", "  restore-if-db-not-exists: true\n") + entry(t, "b.db") + entry(t, "there.db") +
          entry(t, "new.db", "  restore-if-db-not-exists: true\n"))
    d = start(t)
    d.wait_log('msg="restore completed" path=%s' % t.path("a.db"))
    d.wait_log('msg="no backup found, starting fresh" path=%s' % t.path("new.db"))
    lib.equal(lib.dump(t.path("a.db")), want)
    d.wait_log('msg="initialized db" system=store path=%s' % t.path("a.db"))
    lib.equal(d.stop(), 0)
    lib.check(not t.exists("b.db"), "nobody asked for it")
    out = t.ok("replicate", "-once", "-restore-if-db-not-exists", "-config", write(t, "dbs:\n" + entry(t, "b.db") +
                                                                                  entry(t, "there.db")))
    lib.contains(out, 'msg="restore completed" path=%s' % t.path("b.db"))
    lib.contains(out, 'msg="database exists, skipping restore" path=%s' % t.path("there.db"))


def test_restore_that_fails(t):
    os.makedirs(t.path("rep", "a.db", "ltx", "0"))
    lib.write_file(t.path("rep", "a.db", "ltx", "0", "%016x-%016x.ltx" % (1, 1)), b"junk" * 100)
    write(t, "dbs:\n" + entry(t, "a.db", "  restore-if-db-not-exists: true\n"))
    r = t.run("replicate", "-config", "c.yml")
    lib.equal(r.code, 1)
    lib.check(r.err.startswith("Error: restore failed: "), r.err)
    lib.check(not t.exists("a.db"))


# ---- folders ----

def test_watched_folder(t):
    os.mkdir(t.path("d"))
    t.database("d/1.db")
    write(t, "dbs:\n- {dir: d, pattern: '*.db', recursive: true, watch: true, replica: {path: base}}\n")
    d = start(t)
    d.wait_log('msg="found databases in directory" dir=%s count=1 watch=true' % t.path("d"))
    for i in range(20):
        t.database("d/n%02d.db" % i)
    t.database("d/s/t/deep.db")
    t.database("d/other.sqlite")
    for name in ["n%02d.db" % i for i in range(20)] + ["s/t/deep.db", "1.db"]:
        replicated(t, "d/" + name, "base/" + name)
    lib.check(not t.exists("base", "other.sqlite"))
    # renamed: goes on under its new name, at its new place
    os.rename(t.path("d", "n00.db"), t.path("d", "renamed.db"))
    replicated(t, "d/renamed.db", "base/renamed.db")
    # deleted: stops, without an error line
    for suffix in ("", "-wal", "-shm"):
        if t.exists("d", "n01.db" + suffix):
            os.unlink(t.path("d", "n01.db" + suffix))
    t.wait(lambda: re.search(r'msg="database removed[^"]*" path=\S*n01.db', d.text()), "its removal", 20)
    lib.equal(d.stop(), 0)
    lib.equal([line for line in d.text().splitlines() if "level=ERROR" in line], [])


def test_folder_that_is_not_watched(t):
    t.database("d/1.db")
    write(t, "dbs:\n- {dir: d, pattern: '*.db', replica: {path: base}, meta-dir: meta}\n")
    d = start(t)
    d.wait_log('msg="found databases in directory" dir=%s count=1 watch=false' % t.path("d"))
    replicated(t, "d/1.db", "base/1.db")
    lib.check(t.exists("meta", "1.db-litestream", "ltx"), str(t.files()))
    t.database("d/2.db")
    time.sleep(0.5)
    lib.check(not t.exists("base", "2.db"))
    d.send(signal.SIGHUP)  # looks again
    d.wait_log("configuration reloaded")
    replicated(t, "d/2.db", "base/2.db")
    os.unlink(t.path("d", "1.db"))
    d.send(signal.SIGHUP)
    t.wait(lambda: re.search(r'msg="database removed[^"]*" path=\S*1.db', d.text()), "its removal", 20)
    lib.equal(d.stop(), 0)


def test_an_entry_of_its_own_wins(t):
    t.database("d/1.db")
    t.database("d/special.db")
    write(t, "dbs:\n- {dir: d, pattern: '*.db', watch: true, replica: {path: base}}\n"
             "- {path: d/special.db, replica: {path: own}}\n")
    d = start(t)
    replicated(t, "d/special.db", "own")
    replicated(t, "d/1.db", "base/1.db")
    lib.equal(d.stop(), 0)
    lib.check(not t.exists("base", "special.db"))
    no_errors(d)


def test_vanished_tree(t):
    """The others go on, and it is found again when it comes back."""
    t.database("d/1.db")
    t.database("a.db")
    write(t, "dbs:\n- {dir: d, pattern: '*.db', watch: true, replica: {path: base}}\n" + entry(t, "a.db"))
    d = start(t)
    replicated(t, "d/1.db", "base/1.db")
    # the daemon may be writing there
    t.wait(lambda: shutil.rmtree(t.path("d"), ignore_errors=True) or not t.exists("d"), "its end")
    t.wait(lambda: re.search(r'msg="database removed[^"]*" path=\S*1.db', d.text()), "its removal", 20)
    t.insert(t.path("a.db"))
    replicated(t, "a.db")
    t.database("d/2.db", rows=7)
    replicated(t, "d/2.db", "base/2.db", timeout=40)
    lib.equal(d.stop(), 0)


@lib.limit(120)
def test_two_hundred(t):
    for i in range(200):
        t.database("d/%03d.db" % i)
    write(t, "dbs:\n- {dir: d, pattern: '*.db', watch: true, replica: {path: base}}\n")
    d = start(t)
    t.wait(lambda: os.path.isdir(t.path("base")) and len(os.listdir(t.path("base"))) == 200, "200 replicas", 60)
    for i in range(0, 200, 40):
        t.insert(t.path("d", "%03d.db" % i), 3)
        replicated(t, "d/%03d.db" % i, "base/%03d.db" % i)
    lib.equal(d.stop(timeout=60), 0)
    no_errors(d)


# ---- SIGHUP ----

def reload(d, count):
    d.send(signal.SIGHUP)
    d.test.wait(lambda: len(re.findall("configuration reloaded|cannot reload", d.text())) == count, "a reload", 20)
    return [line for line in d.text().splitlines() if "configuration reloaded" in line or "cannot reload" in line][-1]


def test_reload(t):
    for name in ("a.db", "b.db", "c.db"):
        t.database(name)
    configuration(t, "a.db", "b.db")
    d = start(t)
    for name in ("a.db", "b.db"):
        replicated(t, name)
    configuration(t, "b.db", "c.db")
    t.insert(t.path("a.db"))
    lib.contains(reload(d, 1), "added=1 removed=1 changed=0")
    d.wait_log('msg="database removed" path=%s txid=' % t.path("a.db"))
    replicated(t, "a.db")  # its last sync took the row along
    replicated(t, "c.db")
    t.insert(t.path("a.db"))
    t.insert(t.path("b.db"))
    replicated(t, "b.db")
    # nothing new: other words, other order
    write(t, "# nothing new\ndbs:\n" + entry(t, "c.db", "  enabled: yes\n") + entry(t, "b.db"))
    lib.contains(reload(d, 2), "added=0 removed=0 changed=0")
    # another place
    write(t, "dbs:\n- path: b.db\n  replica: {path: elsewhere}\n" + entry(t, "c.db") + entry(t, "a.db"))
    lib.contains(reload(d, 3), "added=1 removed=0 changed=1")
    replicated(t, "b.db", "elsewhere")
    replicated(t, "a.db")
    lib.equal(d.stop(), 0)
    no_errors(d)


def test_reload_of_a_bad_file(t):
    t.database("a.db")
    t.database("b.db")
    configuration(t, "a.db")
    d = start(t)
    replicated(t, "a.db")
    for n, (text, why) in enumerate((
            ("dbs: [", "did not find expected node content"),
            ("dbs: [{path: a.db}]", "must specify replica for database"),
            ("dbs: [{path: b.db, replica: {path: r}}]\nlevels: [{interval: 0}]", "levels[0].interval"),
            ("dbs: [{path: b.db, replica: {path: r}}]\nlevels: [%s]" % ("{interval: 1s}," * 9), "compaction level"),
            ("dbs: [{dir: none, pattern: '*', replica: {path: r}}]", "failed to scan directory"))):
        write(t, text)
        line = reload(d, n + 1)
        lib.contains(line, 'level=ERROR msg="cannot reload configuration, nothing is changed"')
        lib.contains(line, why)
        t.insert(t.path("a.db"))
        replicated(t, "a.db")
    os.unlink(t.path("c.yml"))
    lib.contains(reload(d, 6), "config file not found: " + t.path("c.yml"))
    lib.equal(d.stop(), 0)
    lib.check(not t.exists("r"))


def test_reload_with_folders(t):
    t.database("d/1.db")
    t.database("e/2.db")
    rule = "- {dir: %s, pattern: '*.db', watch: true, replica: {path: base-%s}}\n"
    write(t, "dbs:\n" + rule % ("d", "d"))
    d = start(t)
    replicated(t, "d/1.db", "base-d/1.db")
    write(t, "dbs:\n" + rule % ("e", "e") + rule % ("d", "d"))
    reload(d, 1)
    replicated(t, "e/2.db", "base-e/2.db")
    t.database("d/3.db")
    replicated(t, "d/3.db", "base-d/3.db")
    write(t, "dbs:\n" + rule % ("e", "e"))
    lib.contains(reload(d, 2), "added=0 removed=1 changed=0")
    for name in ("1.db", "3.db"):
        d.wait_log('msg="database removed" path=%s txid=' % t.path("d", name))
    t.database("d/4.db")
    t.database("e/5.db")
    replicated(t, "e/5.db", "base-e/5.db")
    lib.check(not t.exists("base-d", "4.db"))
    lib.equal(d.stop(), 0)
    no_errors(d)


def test_reload_restores(t):
    t.database("a.db")
    t.database("b.db", rows=9)
    t.ok("replicate", "-once", t.path("b.db"), t.path("rep", "b.db"))
    want = lib.dump(t.path("b.db"))
    for name in os.listdir(t.dir):
        if name.startswith("b.db"):
            os.unlink(t.path(name))
    shutil.rmtree(t.path(".b.db-litestream"))
    configuration(t, "a.db")
    d = start(t)
    replicated(t, "a.db")
    write(t, "dbs:\n" + entry(t, "a.db") + entry(t, "b.db", "  restore-if-db-not-exists: true\n"))
    reload(d, 1)
    d.wait_log('msg="restore completed" path=%s' % t.path("b.db"))
    lib.equal(lib.dump(t.path("b.db")), want)
    t.insert(t.path("b.db"))
    replicated(t, "b.db")
    lib.equal(d.stop(), 0)


def test_many_reloads(t):
    """Signals that come faster than files can be read."""
    for name in ("a.db", "b.db", "c.db"):
        t.database(name)
    configuration(t, "a.db", "b.db")
    d = start(t)
    replicated(t, "a.db")
    for i in range(40):
        configuration(t, *[("a.db", "b.db"), ("b.db", "c.db"), ("c.db",)][i % 3])
        d.send(signal.SIGHUP)
        time.sleep(0.01)
    configuration(t, "a.db", "b.db", "c.db")
    d.send(signal.SIGHUP)
    for name in ("a.db", "b.db", "c.db"):
        t.insert(t.path(name))
        replicated(t, name)
    lib.equal(d.stop(), 0)
    no_errors(d)


def test_another_database_at_the_place_of_one_that_leaves(t):
    """Never two writers at one place: the new one begins when the last file of the old one is there."""
    for i in range(5):
        t.database("%d.db" % i, rows=i + 1)
    write(t, "dbs: [{path: 0.db, replica: {path: place}}]\n")
    d = start(t)
    replicated(t, "0.db", "place")
    for i in range(1, 5):
        t.insert(t.path("%d.db" % (i - 1)), 500)
        write(t, "dbs: [{path: %d.db, replica: {path: place}}]\n" % i)
        lib.contains(reload(d, i), "added=1 removed=1 changed=0")
        replicated(t, "%d.db" % i, "place")
    lib.equal(d.stop(), 0)
    files = t.files("place", "ltx", "0")
    lib.equal(len(files), len({f[:16] for f in files}), "a TXID means one thing")
    no_errors(d)


def test_two_folders_with_one_replica(t):
    """Different names get along; where two want one place, the second is refused, and both are named."""
    for name in ("d/1.db", "d/2.db", "e/2.db", "e/3.db"):
        t.database(name)
    write(t, "dbs:\n- {dir: d, pattern: '*.db', watch: true, replica: {path: base}}\n"
             "- {dir: e, pattern: '*.db', replica: {path: base}}\n")
    d = start(t)
    replicated(t, "d/1.db", "base/1.db")
    replicated(t, "e/3.db", "base/3.db")
    line = d.wait_log('msg="cannot add database"')
    lib.contains(line, "have their replicas in one place: file " + t.path("base", "2.db"))
    for name in ("d/2.db", "e/2.db"):
        lib.contains(line, t.path(name))
    lib.equal(d.stop(), 0)


# ---- what it tells ----

def test_states(t):
    t.database("a.db")
    configuration(t, "a.db", "none.db")
    d = start(t)
    replicated(t, "a.db")
    t.wait(lambda: (d.send(signal.SIGUSR1), time.sleep(0.1)) and
           re.search(r'msg="database state" path=%s state=active txid=0{15}1 lag=0s replicas="file 0{15}1" reason=""'
                     % re.escape(t.path("a.db")), d.text()), "the state", 20)
    lib.contains(d.text(), 'msg="database state" path=%s state=waiting ' % t.path("none.db"))
    d.wait_log('msg="end of database states" count=2')
    lib.equal(d.stop(), 0)


def test_ready_descriptor(t):
    t.database("a.db")
    configuration(t, "a.db", "none.db")
    ours, theirs = os.pipe()
    d = start(t, "-ready-fd", str(theirs), fds=[theirs])
    os.close(theirs)
    os.set_blocking(ours, False)

    def told():
        try:
            return os.read(ours, 10)
        except BlockingIOError:
            return None
    lib.equal(t.wait(told, "readiness", 20), b"\n")
    lib.contains(d.text(), 'msg="initialized db" system=store path=%s' % t.path("a.db"))
    lib.equal(t.wait(lambda: told() == b"", "the end of the descriptor") or True, True)
    lib.equal(d.stop(), 0)


def test_service_manager(t):
    t.database("a.db")
    configuration(t, "a.db")
    for name in (t.path("notify"), "@rivulet-test-%d" % os.getpid()):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.bind(name.replace("@", "\0"))
        s.settimeout(20)
        d = start(t, env={"NOTIFY_SOCKET": name})
        lib.equal(s.recv(100), b"READY=1")
        d.send(signal.SIGHUP)
        lib.check(re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", s.recv(100)))
        lib.equal(s.recv(100), b"READY=1")
        d.send(signal.SIGTERM)
        lib.equal(s.recv(100), b"STOPPING=1")
        lib.equal(d.wait(), 0)
        s.close()


class Heartbeats(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@lib.limit(120)
def test_heartbeat(t):
    server = http.server.HTTPServer(("127.0.0.1", 0), Heartbeats)
    server.seen, server.status = [], 500
    threading.Thread(target=server.serve_forever, daemon=True).start()
    t.database("a.db")
    configuration(t, "a.db", top="heartbeat-url: http://127.0.0.1:%d/beat?x=1\nheartbeat-interval: 1m\n" % server.server_port)
    d = start(t)
    lib.contains(d.wait_log("heartbeat monitor"), 'msg="starting heartbeat monitor" system=store interval=15s')
    t.wait(lambda: server.seen, "a heartbeat", 60)
    lib.equal(server.seen, ["/beat?x=1"])
    lib.contains(d.wait_log("heartbeat ping failed"), "level=ERROR")
    lib.equal(d.stop(), 0)
    server.shutdown()


# ---- the child ----

def test_exec_of_the_configuration(t):
    t.database("a.db")
    child = t.path("child.py")
    lib.write_file(child, b"import sqlite3, sys\ndb = sqlite3.connect('a.db', isolation_level=None)\n"
                          b"db.execute(\"INSERT INTO t (text) VALUES ('last')\")\ndb.close()\nsys.exit(4)\n")
    configuration(t, "a.db", top="exec: '%s %s'\n" % (sys.executable, child))
    r = t.run("replicate", "-config", "c.yml")
    lib.equal((r.code, r.err), (4, "Error: exit status 4\n"))
    replicated(t, "a.db")
    r = t.run("replicate", "-exec", "true", "-config", "c.yml")
    lib.equal((r.code, r.err), (0, ""), "the flag wins")


def test_second_signal(t):
    """An upload that cannot be: the first signal retries, the second gives up."""
    db = t.database("a.db")
    configuration(t, "a.db")
    d = start(t)
    d.wait_log("ltx file uploaded")
    shutil.rmtree(t.path("rep"))
    lib.write_file(t.path("rep"), b"a file in the way")
    t.insert(db)
    d.wait_log("monitor error")
    d.send(signal.SIGTERM)
    d.wait_log("shutdown sync failed, retrying")
    d.send(signal.SIGINT)
    lib.equal(d.wait(), 0)
    lib.contains(d.text(), "shutdown sync interrupted by signal")


# ---- bad ground ----

def test_a_replica_that_cannot_be_written(t):
    """One sentence, the others go on, nothing is lost."""
    t.database("a.db")
    t.database("b.db")
    os.makedirs(t.path("rep", "b.db"))
    os.chmod(t.path("rep", "b.db"), stat.S_IRUSR | stat.S_IXUSR)
    if os.getuid() == 0:  # root may write anywhere: let a file be in the way
        shutil.rmtree(t.path("rep", "b.db"))
        lib.write_file(t.path("rep", "b.db"), b"x")
    configuration(t, "a.db", "b.db")
    d = start(t)
    replicated(t, "a.db")
    d.wait_log("level=ERROR")
    for _ in range(5):
        t.insert(t.path("a.db"))
        t.insert(t.path("b.db"))
        time.sleep(0.2)
    replicated(t, "a.db")
    errors = [line for line in d.text().splitlines() if "level=ERROR" in line]
    lib.check(all("db=b.db" in line for line in errors), repr(errors))
    lib.check(len(errors) <= 2, repr(errors))  # at most every 30 s
    if os.path.isfile(t.path("rep", "b.db")):
        os.unlink(t.path("rep", "b.db"))
    else:
        os.chmod(t.path("rep", "b.db"), 0o700)
    t.insert(t.path("b.db"))
    replicated(t, "b.db", timeout=60)
    lib.equal(d.stop(), 0)


def test_two_replicas_one_broken(t):
    db = t.database("a.db")
    lib.write_file(t.path("broken"), b"x")
    write(t, "dbs:\n- path: a.db\n  replicas: [{name: bad, path: broken}, {name: good, path: good}]\n")
    d = start(t)
    for _ in range(3):
        t.insert(db)
        replicated(t, "a.db", "good")
    os.unlink(t.path("broken"))
    t.insert(db)
    replicated(t, "a.db", "broken", timeout=60)
    lib.equal(d.stop(), 0)
    lib.equal(lib.dump(db), lib.dump(t.path("check.db")))


def test_durations_without_a_unit_are_warned_of(t):
    t.database("a.db")
    configuration(t, "a.db", top="l0-retention: 0\nl0-retention-check-interval: 15s\nshutdown-sync-timeout: 10\n")
    said = t.ok("replicate", "-once", "-config", "c.yml")
    line = lib.read_file(t.path("c.yml")).decode().splitlines().index("shutdown-sync-timeout: 10") + 1
    lib.contains(said, 'level=WARN msg="durations without a unit are nanoseconds" count=1 line=%d\n' % line)


def test_mcp_is_not_built(t):
    t.database("a.db")
    configuration(t, "a.db", top="mcp-addr: ':3001'\n")
    lib.contains(t.ok("replicate", "-once", "-config", "c.yml"),
                 'level=WARN msg="this build has no MCP server; mcp-addr is ignored" addr=:3001')
