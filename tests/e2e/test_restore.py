# SPDX-License-Identifier: MIT
"""The command `restore`: options, what may lie in the place of the output, times, dry runs, damage, signals and follow
mode (cases.md 3.2)."""
import os
import pty
import re
import signal
import subprocess
import time

import lib
import oracle
from small_replica import T0, replica, same_content, url


def test_restore(t):
    rep = replica(t)
    os.umask(0o022)
    r = t.run("restore", "-o", "out.db", url(rep))
    lib.equal((r.code, r.out, r.err), (0, "", ""))
    same_content(t, "out.db", "at4.db")
    lib.equal(lib.read_file(t.path("out.db"))[18:20], b"\2\2", "journal mode")
    lib.equal(os.stat(t.path("out.db")).st_mode & 0o777, 0o644)
    lib.equal([f for f in t.files() if f.startswith("out")], ["out.db"])
    t.ok("restore", "-txid", "0000000000000003", "-o", "three.db", url(rep))
    same_content(t, "three.db", "at3.db")
    t.ok("restore", "-timestamp", "2023-11-14T22:13:25Z", "-o", "time.db", url(rep))
    same_content(t, "time.db", "at3.db")
    t.ok("restore", "-o", "folder.db", rep)
    same_content(t, "folder.db", "at4.db")
    t.ok("restore", "-o", "a/b/c.db", url(rep))
    same_content(t, "a/b/c.db", "at4.db")
    lib.equal(os.stat(t.path("a/b")).st_mode & 0o777, 0o700)


def test_restore_from_a_folder_needs_an_output(t):
    lib.equal(t.error("restore", replica(t))[0], "Error: -o is required when restoring from a replica URL")


def test_restore_json(t):
    rep = replica(t)
    r = t.run("restore", "-json", "-integrity-check", "full", "-o", "out.db", url(rep))
    lib.equal((r.code, re.sub(r'_ms": \d+', '_ms": 0', r.out)), (0, """{
  "db_path": "out.db",
  "replica": "file",
  "txid": "0000000000000004",
  "duration_ms": 0,
  "integrity_check": "full"
}
"""))
    lib.check(re.fullmatch(r'time=\S+ level=INFO msg="post-restore integrity check passed" replica=file\n', r.err), r.err)


def test_restore_integrity_check(t):
    rep = replica(t)
    for mode in ("quick", "full"):
        r = t.run("restore", "-integrity-check", mode, "-o", mode, url(rep))
        lib.check(re.fullmatch(r'time=\S+ level=INFO msg="post-restore integrity check passed" replica=file\n', r.out), r)
        lib.equal([f for f in t.files() if f.startswith(mode)], [mode])


def test_restore_output_guards(t):
    rep = replica(t)
    for name in ("full.db", "empty-with-wal.db-wal", "empty-with-shm.db-shm", "empty-with-journal.db-journal",
                 "gone.db-wal", "gone2.db-shm", "gone3.db-journal"):
        lib.write_file(t.path(name), b"x")
    for name in ("empty-with-wal.db", "empty-with-shm.db", "empty-with-journal.db", "empty.db", "stale.db-wal",
                 "stale.db-shm"):
        lib.write_file(t.path(name))
    os.mkdir(t.path("folder"))
    sidecar = "Error: cannot restore, SQLite sidecar path already exists: %s. Use -force to overwrite"
    for name, message in (
            ("full.db", "Error: cannot restore, output path already exists and is not empty: full.db. "
                        "Use -force to overwrite"),
            ("folder", "Error: cannot restore, output path is a directory: folder"),
            ("empty-with-wal.db", sidecar % "empty-with-wal.db-wal"),
            ("empty-with-shm.db", sidecar % "empty-with-shm.db-shm"),
            ("empty-with-journal.db", sidecar % "empty-with-journal.db-journal"),
            # Litestream restores beside these, and SQLite then mixes them in.
            ("gone.db", sidecar % "gone.db-wal"),
            ("gone2.db", sidecar % "gone2.db-shm"),
            ("gone3.db", sidecar % "gone3.db-journal"),
            ("full.db/x", "Error: cannot access output path: stat full.db/x: not a directory")):
        lib.equal(t.error("restore", "-o", name, url(rep)), [message], name)
    lib.equal(t.error("restore", "-force", "-o", "folder", url(rep)),
              ["Error: cannot restore, output path is a directory: folder"])
    lib.equal(lib.read_file(t.path("full.db")), b"x")
    for name in ("empty.db", "stale.db"):
        t.ok("restore", "-o", name, url(rep))
        same_content(t, name, "at4.db")
        lib.check(not t.exists(name + "-wal") and not t.exists(name + "-shm"), "sidecars of " + name)


def test_restore_force(t):
    rep = replica(t)
    for name in ("full.db", "gone.db", "empty-with-wal.db"):
        for suffix in ("-wal", "-shm", "-journal"):
            lib.write_file(t.path(name + suffix), b"x" * 100)
    lib.write_file(t.path("full.db"), b"x")
    lib.write_file(t.path("empty-with-wal.db"))
    for name in ("full.db", "gone.db", "empty-with-wal.db"):
        t.ok("restore", "-force", "-o", name, url(rep))
        lib.equal([f for f in t.files() if f.startswith(name)], [name])
        same_content(t, name, "at4.db")


def test_restore_force_keeps_what_cannot_be_replaced(t):
    lib.write_file(t.path("old.db"), b"precious")
    for words in ([url(t.path("none"))], ["-txid", "0000000000000009", url(replica(t))],
                  ["-timestamp", "2023-11-14T22:13:25Z", "-txid", "0000000000000001", url(t.path("rep"))]):
        t.error("restore", "-force", "-o", "old.db", *words)
        lib.equal(lib.read_file(t.path("old.db")), b"precious")


def test_restore_if_db_not_exists(t):
    rep = replica(t)
    lib.write_file(t.path("empty"))
    lib.write_file(t.path("full"), b"x")
    os.mkdir(t.path("folder"))
    line = r'time=\S+ level=INFO msg="database already exists, skipping"\n'
    for name in ("empty", "full", "folder"):
        for more in ([], ["-force"], ["-dry-run"], ["-f"], ["-f", "-dry-run", "-txid", "0000000000000001"]):
            r = t.run("restore", "-if-db-not-exists", *more, "-o", name, url(rep))
            lib.check(r.code == 0 and re.fullmatch(line, r.out) and not r.err, r)
    r = t.run("restore", "-if-db-not-exists", "-json", "-o", "full", "zzz://not/even/looked/at")
    lib.check(r.code == 0 and re.fullmatch(line, r.err) and not r.out, r)
    lib.equal(lib.read_file(t.path("full")), b"x")
    t.ok("restore", "-if-db-not-exists", "-o", "new", url(rep))
    same_content(t, "new", "at4.db")


def test_restore_of_nothing(t):
    rep, none = replica(t), url(t.path("none"))
    message = ["Error: no matching backup files available"]
    lib.equal(t.error("restore", "-o", "out.db", none), message)
    lib.equal(t.error("restore", "-o", "out.db", "-txid", "00000000000000FF", url(rep)), message)
    lib.equal(t.error("restore", "-o", "out.db", "-dry-run", none), message)
    lib.equal(t.error("restore", "-o", "out.db", "-dry-run", "-if-replica-exists", none), message)
    r = t.run("restore", "-o", "out.db", "-if-replica-exists", none)
    lib.check(r.code == 0 and re.fullmatch(r'time=\S+ level=INFO msg="no matching backups found"\n', r.out), r)
    r = t.run("restore", "-o", "out.db", "-json", "-if-replica-exists", none)
    lib.check(r.code == 0 and not r.out and "no matching backups found" in r.err, r)
    r = t.run("restore", "-o", "out.db", "-if-replica-exists", none, env={"LOG_LEVEL": "error"})
    lib.equal((r.code, r.out, r.err), (0, "", ""))
    lib.check(not t.exists("out.db") and not t.exists("none"), t.files())


def test_restore_times(t):
    rep = replica(t)
    for words, message in (
            (["-timestamp", "2023-11-14T22:13:19Z", url(rep)], "timestamp does not exist"),
            (["-timestamp", "2023-11-14T22:13:31Z", url(rep)], "timestamp does not exist"),
            (["-if-replica-exists", "-timestamp", "2023-11-14T22:13:31Z", url(rep)], "timestamp does not exist"),
            (["-timestamp", "2023-11-14T22:13:20Z", url(rep)], "no matching backup files available"),
            (["-timestamp", "2023-11-14T22:13:25Z", url(t.path("none"))], "no backups found"),
            (["-if-replica-exists", "-timestamp", "2023-11-14T22:13:25Z", url(t.path("none"))], "no backups found"),
            (["-txid", "0000000000000001", "-timestamp", "2023-11-14T22:13:25Z", url(rep)],
             "cannot specify index & timestamp to restore"),
            (["-txid", "0000000000000001", "-timestamp", "2000-01-01T00:00:00Z", url(rep)], "timestamp does not exist"),
            (["-f", "-timestamp", "2023-11-14T22:13:25Z", url(rep)], "cannot use follow mode with -timestamp"),
            (["-f", "-timestamp", "2000-01-01T00:00:00Z", url(rep)], "timestamp does not exist"),
            (["-f", "-txid", "0000000000000001", url(rep)], "cannot use follow mode with -txid"),
            (["-f", "-dry-run", url(rep)], "cannot use -dry-run with -f")):
        lib.equal(t.error("restore", "-o", "out.db", *words), ["Error: " + message], repr(words))
    lib.check(not t.exists("out.db"), "there is an output")


def test_restore_dry_run(t):
    rep = replica(t)
    lib.write_file(t.path("out.db"), b"x")
    size9, size0 = (os.path.getsize(os.path.join(rep, "ltx", f)) for f in t.files("rep", "ltx")[::-1])
    lib.equal(len(str(size9)), len(str(size0)), "digits of the sizes")
    lib.equal(t.ok("restore", "-dry-run", "-o", "out.db", url(rep)), """Restore plan:
  source: %s
  target: out.db
  replica: file
  txid range: 0000000000000001 - 0000000000000004

Files to fetch:
level  file                                   min_txid          max_txid          size%s  timestamp
9      0000000000000001-0000000000000003.ltx  0000000000000001  0000000000000003  %d  2023-11-14T22:13:20Z
0      0000000000000004-0000000000000004.ltx  0000000000000004  0000000000000004  %d  2023-11-14T22:13:30Z
""" % (url(rep), " " * (len(str(size9)) - 4), size9, size0))
    lib.equal(t.ok("restore", "-dry-run", "-json", "-txid", "0000000000000003", "-o", "out.db", url(rep)), """{
  "source": "%s",
  "target_path": "out.db",
  "replica": "file",
  "min_txid": "0000000000000001",
  "max_txid": "0000000000000003",
  "files": [
    {
      "level": 9,
      "name": "0000000000000001-0000000000000003.ltx",
      "min_txid": "0000000000000001",
      "max_txid": "0000000000000003",
      "size": %d,
      "timestamp": "2023-11-14T22:13:20Z"
    }
  ]
}
""" % (url(rep), size9))
    lib.equal(lib.read_file(t.path("out.db")), b"x")


def test_restore_gap(t):
    rep = replica(t)
    lib.put_ltx(rep, 0, 6, 6, b"x" * 200)
    gap = "non-contiguous ltx files: have up to 0000000000000004 but next file starts at 0000000000000006"
    lib.equal(t.error("restore", "-dry-run", "-o", "out.db", url(rep)), ["Error: " + gap])
    lib.equal(t.error("restore", "-o", "out.db", url(rep)), ["Error: cannot calc restore plan: " + gap])
    t.ok("restore", "-txid", "0000000000000004", "-o", "out.db", url(rep))
    same_content(t, "out.db", "at4.db")


def test_restore_damaged(t):
    rep = replica(t)
    path = os.path.join(rep, "ltx/9", lib.ltx_name(1, 3))
    good = lib.read_file(path)
    for content, start in ((b"", "invalid ltx file: level=9 min=0000000000000001 max=0000000000000003 has size 0 bytes "
                                 "(minimum 100)"),
                           (good[:99], "invalid ltx file: level=9 min=0000000000000001 max=0000000000000003 has size 99 "
                                       "bytes (minimum 100)"),
                           (b"x" * 500, "decode database: "), (good[:-1], "decode database: "),
                           (good[:3000] + b"\xff" + good[3001:], "decode database: "), (good + b"x", "decode database: ")):
        lib.write_file(path, content)
        for words in ([], ["-f"]):
            lines = t.error("restore", *words, "-o", "out.db", url(rep))
            lib.check(len(lines) == 1 and lines[0].startswith("Error: " + start), lines)
            lib.equal([f for f in t.files() if f.startswith("out")], [])


# ---- restore: signals and follow mode ----

@lib.limit(120)
def test_restore_interrupted(t):
    """It leaves nothing and says so."""
    lib.put_large(t.path("rep"), 9, 1, 4000)
    for number in (signal.SIGINT, signal.SIGTERM):
        d = t.daemon("restore", "-o", "out.db", url(t.path("rep")))
        t.wait(lambda: t.exists("out.db.tmp"), "out.db.tmp")
        lib.equal((d.stop(number), d.text(), d.err_text()),
                  (1, "", "Error: restore interrupted, nothing was changed at out.db\n"))
        lib.equal([f for f in t.files() if f.startswith("out")], [])


@lib.limit(120)
def test_restore_progress(t):
    """On a terminal, after a second; not for anybody else."""
    lib.put_large(t.path("rep"), 9, 1, 4000)
    master, slave = pty.openpty()
    with subprocess.Popen([t.binary, "restore", "-o", "out.db", url(t.path("rep"))], cwd=t.dir, stdout=subprocess.PIPE,
                          stderr=slave) as p:
        os.close(slave)
        t.wait(lambda: t.exists("out.db.tmp"), "out.db.tmp")
        p.send_signal(signal.SIGSTOP)
        time.sleep(1.1)
        p.send_signal(signal.SIGCONT)
        text = b""
        while b"\r\033[K" not in text:  # the line is wiped out at the end
            text += os.read(master, 4096)
        lib.equal((p.stdout.read(), p.wait()), (b"", 0), repr(text))
    os.close(master)
    os.unlink(t.path("out.db"))
    first = text.decode().split("\r")[1]
    lib.check(re.fullmatch(r"restoring: [\d.]+ [kM]?B of 1.2 MB, \d+%, [\d.]+ [kM]?B/s(, [\dmsh]+ left)?\033\[K", first),
              repr(text))


def test_follow(t):
    rep = replica(t)
    for number, name in ((signal.SIGTERM, "a.db"), (signal.SIGINT, "b.db")):
        d = t.daemon("restore", "-f", "-follow-interval", "50ms", "-o", name, url(rep))
        t.wait(lambda: t.exists(name + "-txid"), "the sidecar")
        d.wait_log("entering follow mode")
        lib.equal(lib.read_file(t.path(name + "-txid")), b"0000000000000004\n")
        lib.equal(d.stop(number), 0)
        lib.contains(d.text(), 'msg="follow mode stopped"')
        same_content(t, name, "at4.db")


def test_follow_applies_and_resumes(t):
    rep, db = replica(t), t.path("source.db")
    for txid in (5, 6):
        before, _ = lib.database_pages(db)
        t.insert(db, 7)
        d = t.daemon("restore", "-f", "-follow-interval", "50ms", "-force", "-o", "out.db", url(rep))
        d.wait_log("entering follow mode")
        lib.put_change(rep, before, db, 0, txid, txid, T0 + 10 * txid)
        d.wait_log("from_txid=%016x to_txid=%016x" % (txid - 1, txid))
        lib.equal(d.stop(), 0)
        lib.equal(lib.read_file(t.path("out.db-txid")), b"%016x\n" % txid)
        lib.equal(lib.dump(t.path("out.db")), lib.dump(db))
        lib.equal(lib.read_file(t.path("out.db"))[18:20], b"\1\1", "journal mode")
    lib.contains(d.text(), 'msg="resuming follow mode from crash recovery"')


def test_follow_refusals(t):
    rep = replica(t)
    lib.write_file(t.path("out.db"))
    lib.equal(t.error("restore", "-f", "-force", "-o", "out.db", url(rep)), [
        "Error: cannot resume follow mode: database exists but no -txid file found; delete the database to re-restore: "
        "out.db"])
    lib.write_file(t.path("stale.db-wal"), b"x")
    lib.equal(t.error("restore", "-f", "-o", "stale.db", url(rep)), [
        "Error: cannot restore, SQLite sidecar path already exists: stale.db-wal. Use -force to overwrite"])
    lib.equal(t.error("restore", "-f", "-o", "none.db", url(t.path("none"))),
              ["Error: no matching backup files available"])
    lib.equal(t.run("restore", "-f", "-if-replica-exists", "-o", "none.db", url(t.path("none"))).code, 0)


def test_two_restores_to_one_place(t):
    db = oracle.create(t, pad=60000)
    oracle.stop(oracle.start(t, db))
    words = ("restore", "-o", t.path("out.db"), oracle.url(t.path("replica")))
    first, second = t.daemon(*words), t.daemon(*words)
    codes = sorted((first.wait(), second.wait()))
    lib.equal(codes, [0, 1], "exit statuses")
    text = first.err_text() + second.err_text()
    lib.equal(text.count("\n"), 1, "lines on standard error")
    lib.check("another restore to" in text or "already exists" in text, text)
    oracle.same_bytes(lib.read_file(t.path("out.db")), oracle.image(t, db))
    lib.equal([n for n in t.files() if n.startswith("out")], ["out.db"], "files")
