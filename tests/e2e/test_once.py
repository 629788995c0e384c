# SPDX-License-Identifier: MIT
"""`replicate -once` and what it says about each kind of input (cases.md 2.4, control.md 5.4)."""
import os
import re
import shutil

import lib
import oracle


def once(t, db, replica="replica", *flags):
    return t.run("replicate", "-once", *flags, db, oracle.url(t.path(replica)))


def good(t, db, replica="replica"):
    r = once(t, db, replica)
    lib.equal((r.code, r.err), (0, ""), repr(r))
    return r


def messages(text):
    return [re.search(r'msg=("[^"]*"|\S+)', line).group(1).strip('"') for line in text.splitlines()]


def refused(t, db, start, end="", made=()):
    """One line on standard error, exit status 1, nothing half-written, and the input as it was."""
    before = oracle.files_of(t)
    r = once(t, db)
    lib.equal(r.code, 1, repr(r))
    lib.equal(r.err.count("\n"), 1, "lines on standard error: " + r.err)
    lib.check(r.err.startswith("Error: " + start) and r.err.rstrip("\n").endswith(end), r.err)
    lib.check("level=ERROR" not in r.out, r.out)
    after = oracle.files_of(t)
    lib.equal({n: v for n, v in after.items() if n not in made}, before, "files")


def test_first(t):
    db = oracle.create(t)
    r = good(t, db)
    lines = r.out.splitlines()
    lib.equal(messages(r.out), ["litestream", "replicating to", "syncing database", "initialized db", "ltx file uploaded",
                                "replica sync", "one-shot replication complete",
                                "replication complete, litestream shutting down", "replica sync", "litestream shut down"],
              "messages")
    lib.check(re.fullmatch(r"time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d) level=INFO msg=litestream "
                           r"version=\S.* level=INFO", lines[0]), lines[0])
    lib.check(lines[1].endswith('msg="replicating to" type=file sync-interval=1s path=' + t.path("replica")), lines[1])
    lib.check(lines[2].endswith('msg="syncing database" path=' + db), lines[2])
    lib.check(re.search(r'msg="ltx file uploaded" system=store db=app.db replica=file level=0 minTXID=0{15}1 maxTXID=0{15}1 '
                        r"size=\d+$", lines[4]), lines[4])
    lib.check(lines[5].endswith('msg="replica sync" system=store db=app.db replica=file txid.replica=0000000000000001 '
                                "txid.db=0000000000000001"), lines[5])
    oracle.equals_source(t, t.path("replica"), db)


def test_nothing_new(t):
    db = oracle.create(t)
    c = t.connect(db)  # the application stays connected
    c.execute("INSERT INTO log VALUES (9, 1, '', 0, 0)")
    good(t, db)
    before = oracle.files_of(t)
    r = good(t, db)
    lib.equal(messages(r.out)[2:], ["syncing database", "initialized db", "replica sync", "one-shot replication complete",
                                    "replication complete, litestream shutting down", "replica sync",
                                    "litestream shut down"], "messages")
    lib.equal({n: v[0] for n, v in oracle.files_of(t).items()}, {n: v[0] for n, v in before.items()}, "files")
    c.close()


def test_each_commit_is_a_txid(t):
    """The image that is kept at each TXID is what a restore to it gives, whatever the application does in between."""
    db = oracle.create(t, page_size=1024)
    c = t.connect(db)
    images = {}
    steps = ["INSERT INTO data SELECT 1, value, 0, randomblob(200) FROM generate_series(1, 50)",
             "CREATE TABLE more (x)", "PRAGMA wal_checkpoint(PASSIVE)", "INSERT INTO more VALUES (randomblob(100000))",
             "PRAGMA wal_checkpoint(FULL)", "DELETE FROM more", "UPDATE data SET body = randomblob(300) WHERE id % 3 = 0",
             "PRAGMA wal_checkpoint(RESTART)", "INSERT INTO more VALUES (randomblob(3000))", "VACUUM",
             "PRAGMA wal_checkpoint(TRUNCATE)", "INSERT INTO more VALUES (randomblob(5000))", "DROP TABLE more", "VACUUM"]
    for sql in steps:
        if "generate_series" in sql:
            c.executemany("INSERT INTO data VALUES (1, ?, 0, randomblob(200))", [(i,) for i in range(50)])
        else:
            c.execute(sql).fetchall()
        good(t, db)
        images[oracle.txids(t, t.path("replica"))[-1]] = oracle.image(t, db)
    c.close()
    lib.check(len(images) >= 9, "only %d TXIDs" % len(images))
    for txid, want in images.items():
        oracle.same_bytes(lib.read_file(oracle.restore(t, t.path("replica"), txid=txid)), want, 1024, "TXID %d" % txid)


def test_last_connection_closed_since(t):
    """The WAL is gone, and with it the proof: a full copy."""
    db = oracle.create(t)
    good(t, db)
    c = t.connect(db)
    c.execute("SELECT * FROM log").fetchall()
    c.close()
    good(t, db)
    lib.equal(oracle.txids(t, t.path("replica")), [1, 2], "TXIDs")
    oracle.equals_source(t, t.path("replica"), db)


def test_no_wal_is_left_behind_by_force(t):
    """Our close neither checkpoints nor deletes the WAL."""
    db = oracle.create(t)
    good(t, db)
    lib.check(t.exists("app.db-wal"), "the WAL was deleted")


def test_absent(t):
    refused(t, t.path("nosuch.db"), "sync replica for %s: no position, waiting for data" % t.path("nosuch.db"))


def test_absent_folder(t):
    refused(t, t.path("no/such.db"), "sync replica for %s: no position, waiting for data" % t.path("no/such.db"))


def test_empty(t):
    db = lib.write_file(t.path("app.db"))
    refused(t, db, "sync replica for %s: no position, waiting for data" % db)


def test_random_bytes(t):
    db = lib.write_file(t.path("app.db"), os.urandom(20000))
    refused(t, db, "sync database %s: file is not a database (26)" % db)


def test_short_text(t):
    db = lib.write_file(t.path("app.db"), b"hello\n")
    r = once(t, db)
    lib.equal((r.code, r.err.count("\n")), (1, 1), repr(r))
    lib.equal(t.files(), ["app.db"], "files")


def test_directory(t):
    os.mkdir(t.path("app.db"))
    refused(t, t.path("app.db"), "sync database %s: " % t.path("app.db"), "is a directory, not a database")


def test_fifo(t):
    os.mkfifo(t.path("app.db"))
    refused(t, t.path("app.db"), "sync database %s: " % t.path("app.db"), "is not a regular file")


def test_header_of_nonsense(t):
    db = oracle.create(t)
    image = bytearray(lib.read_file(db))
    image[16:18] = b"\x03\x00"
    lib.write_file(db, bytes(image))
    r = once(t, db)
    lib.equal((r.code, r.err.count("\n")), (1, 1), repr(r))
    lib.contains(r.err, "sync database %s: " % db)
    lib.check(not t.exists("replica"), "something was made in the replica")


def test_journal_of_a_crash(t):
    """A hot rollback journal: SQLite rolls it back when we convert the database, as it would for the application."""
    db = oracle.create(t, wal=False)
    c = t.connect(db)
    c.execute("INSERT INTO log VALUES (1, 1, 'kept', 0, 0)")
    c.execute("PRAGMA cache_size = 2")
    c.execute("PRAGMA cache_spill = 2")
    c.execute("BEGIN")
    c.executemany("INSERT INTO data VALUES (1, ?, 0, randomblob(900))", [(i,) for i in range(200)])
    os.mkdir(t.path("crashed"))
    for suffix in ("", "-journal"):
        shutil.copyfile(db + suffix, t.path("crashed/app.db") + suffix)
    c.execute("ROLLBACK")
    c.close()
    good(t, t.path("crashed/app.db"))
    out = oracle.equals_source(t, t.path("replica"), t.path("crashed/app.db"))
    lib.equal([line for line in lib.dump(out) if "INSERT" in line], ["INSERT INTO \"log\" VALUES(1,1,'kept',0,0);"], "rows")


def test_symlink(t):
    """The WAL lies beside the target, and so does everything of ours."""
    db = oracle.create(t, "real/app.db")
    os.symlink(db, t.path("link.db"))
    good(t, t.path("link.db"))
    oracle.equals_source(t, t.path("replica"), db)


def test_odd_names(t):
    for name in ("with space.db", "per%20cent?mode=ro#x.db", "quote'\".db", "ünï.db", "-dash.db", "new\nline.db"):
        db = oracle.create(t, name)
        good(t, db, "r/" + str(len(name)))
        oracle.equals_source(t, t.path("r", str(len(name))), db)


def test_unreadable(t):
    if os.geteuid() != 0:
        lib.skip("needs root to become somebody else")
    db = oracle.create(t, "data/app.db")
    os.chmod(t.dir, 0o755)
    os.chmod(os.path.dirname(t.dir), 0o755)
    os.chmod(t.path("data"), 0o777)
    os.mkdir(t.path("replica"))
    os.chmod(t.path("replica"), 0o777)
    shutil.copyfile(t.binary, t.path("rivulet"))
    os.chmod(t.path("rivulet"), 0o755)
    for mode, words in ((0o000, ("permission denied", "unable to open")), (0o444, ("cannot be written",))):
        os.chmod(db, mode)
        r = t.run("--reuid", "65534", "--regid", "65534", "--clear-groups", t.path("rivulet"), "replicate", "-once", db,
                  oracle.url(t.path("replica")), program="/usr/bin/setpriv")
        lib.equal((r.code, r.err.count("\n")), (1, 1), repr(r))
        lib.contains(r.err, "Error: sync database %s: " % db)
        lib.check(any(word in r.err for word in words), r.err)
        lib.equal(t.files("replica"), [], "files in the replica")


def test_owner_and_mode(t):
    """What we make belongs to the database's owner, in folders of its folder's mode."""
    if os.geteuid() != 0:
        lib.skip("needs root to give files away")
    db = oracle.create(t, "data/app.db")
    os.chmod(db, 0o640)
    os.chown(db, 4321, 4322)
    os.chown(t.path("data"), 4321, 4322)
    os.chmod(t.path("data"), 0o750)
    good(t, db)
    for name in ("data/.app.db-litestream/ltx/0/" + lib.ltx_name(1, 1), "replica/ltx/0/" + lib.ltx_name(1, 1)):
        st = os.stat(t.path(name))
        lib.equal((st.st_uid, st.st_gid, st.st_mode & 0o777), (4321, 4322, 0o640), name)
    st = os.stat(t.path("data/.app.db-litestream"))
    lib.equal((st.st_uid, st.st_gid, st.st_mode & 0o777), (4321, 4322, 0o750), "meta directory")


def corrupt_local(t, change, *words):
    """A local file that is not ours to trust: said so, with the way out; nothing is sent, nothing is deleted."""
    db = oracle.create(t)
    c = t.connect(db)
    good(t, db)
    c.execute("INSERT INTO log VALUES (1, 1, '', 0, 0)")
    good(t, db)
    newest = t.path(".app.db-litestream/ltx/0", lib.ltx_name(2, 2))
    image = bytearray(lib.read_file(newest))
    os.unlink(newest)  # the replica's file is the same one
    lib.write_file(newest, change(image))
    sent = t.files("replica")
    r = once(t, db)
    lib.equal((r.code, r.err.count("\n")), (1, 1), repr(r))
    for word in (newest, *words):
        lib.contains(r.err, word)
    lib.equal(t.files("replica"), sent, "files in the replica")
    lib.check(os.path.exists(newest), "the damaged file was deleted")
    shutil.rmtree(t.path(".app.db-litestream/ltx"))
    good(t, db)
    oracle.equals_source(t, t.path("replica"), db)
    c.close()


def test_local_file_cut(t):
    corrupt_local(t, lambda image: image[:-20], "delete", "start over")


def test_local_file_of_nothing(t):
    corrupt_local(t, lambda image: b"", "delete")


def test_local_file_of_another_kind(t):
    corrupt_local(t, lambda image: b"#!/bin/sh\n" * 100, "delete")


def test_damaged_local_file_is_not_sent(t):
    """Written by an earlier process, not uploaded yet, and damaged since."""
    db = oracle.create(t)
    c = t.connect(db)
    good(t, db)
    c.execute("INSERT INTO log VALUES (1, 1, 'abcdefghijkl', 0, 0)")
    good(t, db)
    c.execute("INSERT INTO log VALUES (1, 2, 'abcdefghijkl', 0, 0)")
    good(t, db)
    for n in (2, 3):
        os.unlink(t.path("replica/ltx/0", lib.ltx_name(n, n)))
    path = t.path(".app.db-litestream/ltx/0", lib.ltx_name(2, 2))
    image = bytearray(lib.read_file(path))
    image[130] ^= 0x40
    lib.write_file(path, bytes(image))
    r = once(t, db)
    lib.equal((r.code, r.err.count("\n")), (1, 1), repr(r))
    lib.contains(r.err, "sync replica for %s: " % db)
    lib.contains(r.err, path)
    lib.equal(t.files("replica/ltx/0"), [lib.ltx_name(1, 1)], "files in the replica")
    c.close()


def test_bad_words(t):
    db = oracle.create(t)
    for words, message in (([db], "must specify at least one replica URL for " + db),
                           ([db, "zzz://x"], 'unknown replica type in config: ""'),
                           ([db, "zzz"], "replica url scheme required: zzz"),
                           ([db, oracle.url(t.path("a")), oracle.url(t.path("b"))],
                            "multiple replicas on a single database are no longer supported"),
                           ([db, oracle.url(t.path("a")), "-exec", "y"],
                            'flag "-exec" must be positioned before DB_PATH and REPLICA_URL arguments')):
        r = t.run("replicate", *words)
        lib.equal((r.code, r.err), (1, "Error: %s\n" % message), repr(words))
    for words, message in ((["-once", "-exec", "true"], "cannot specify -once flag with -exec"),
                           (["-exec", "a (b"], "cannot parse exec command: invalid command line string"),
                           (["-exec", '"x'], "cannot parse exec command: invalid command line string"),
                           (["-exec", "nosuchcmd"],
                            'cannot start exec command: exec: "nosuchcmd": executable file not found in $PATH'),
                           (["-exec", "/nonexistent"],
                            "cannot start exec command: fork/exec /nonexistent: no such file or directory")):
        r = t.run("replicate", *words, db, oracle.url(t.path("a")))
        lib.equal((r.code, r.err), (1, "Error: %s\n" % message), repr(words))


# ---- restore before the start ----

def test_restore_first(t):
    db = oracle.create(t)
    last = {1: oracle.Writer(t, db, count=10).wait()}
    good(t, db)
    want = oracle.image(t, db)
    for name in ("app.db", "app.db-wal", "app.db-shm"):
        if t.exists(name):
            os.unlink(t.path(name))
    shutil.rmtree(t.path(".app.db-litestream"))
    r = once(t, db, "replica", "-restore-if-db-not-exists")
    lib.equal((r.code, r.err), (0, ""), repr(r))
    lib.equal(messages(r.out)[:3], ["litestream", "attempting restore before replication", "restore completed"], "messages")
    lib.contains(r.out, 'msg="detected database behind replica" system=store db=app.db db_txid=0000000000000000 '
                        "replica_txid=0000000000000001")
    lib.contains(r.out, "fetched latest L0 file from replica")
    lib.equal(oracle.txids(t, t.path("replica")), [1, 2], "TXIDs")
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)
    oracle.same_bytes(lib.read_file(oracle.restore(t, t.path("replica"), txid=1)), want)


def test_restore_first_but_it_is_there(t):
    db = oracle.create(t)
    r = once(t, db, "replica", "-restore-if-db-not-exists")
    lib.equal((r.code, r.err), (0, ""), repr(r))
    lib.equal(messages(r.out)[1], "database exists, skipping restore", "message")


def test_restore_first_but_there_is_no_backup(t):
    r = once(t, t.path("app.db"), "replica", "-restore-if-db-not-exists")
    lib.equal(messages(r.out)[1:3], ["attempting restore before replication", "no backup found, starting fresh"], "messages")
    lib.equal(r.code, 1, "exit status: there is no database to replicate")
    lib.check(not t.exists("app.db"), "a database was made")


def test_restore_first_from_a_damaged_replica(t):
    db = oracle.create(t, pad=50)
    good(t, db)
    for name in ("app.db", "app.db-wal", "app.db-shm"):
        if t.exists(name):
            os.unlink(t.path(name))
    shutil.rmtree(t.path(".app.db-litestream"))
    path = t.path("replica/ltx/0", lib.ltx_name(1, 1))
    image = bytearray(lib.read_file(path))
    image[len(image) // 2] ^= 1
    lib.write_file(path, bytes(image))
    r = once(t, db, "replica", "-restore-if-db-not-exists")
    lib.equal((r.code, r.err.count("\n")), (1, 1), repr(r))
    lib.contains(r.err, "Error: restore failed: ")
    lib.equal([n for n in t.files() if not n.startswith("replica")], [], "files")
