# SPDX-License-Identifier: MIT
"""Real writers, and whether what was restored is what they committed (see writer.py for how a copy proves itself)."""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import zlib

import lib
import writer

WRITER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "writer.py")


def create(t, name="app.db", page_size=4096, auto_vacuum="NONE", without_rowid=False, wal=True, pad=0):
    """An empty database for writers, closed again; pad: that many KB of rows from the start."""
    path = t.path(name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    db = lib.Test.connect(path)
    db.execute("PRAGMA page_size = %d" % page_size)
    db.execute("PRAGMA auto_vacuum = " + auto_vacuum)
    if wal:
        db.execute("PRAGMA journal_mode = wal")
    end = ") WITHOUT ROWID" if without_rowid else ")"
    db.execute("CREATE TABLE log (w INT, k INT, hash TEXT, n INT, s INT, PRIMARY KEY (w, k)" + end)
    db.execute("CREATE TABLE data (w INT, id INT, v INT, body BLOB, PRIMARY KEY (w, id)" + end)
    if pad:
        db.execute("CREATE TABLE pad (x BLOB)")
        db.execute("BEGIN")
        for _ in range(pad):
            db.execute("INSERT INTO pad VALUES (randomblob(1000))")
        db.execute("COMMIT")
    db.close()
    return path


class Writer:
    """An application process; options are those of writer.py; before: a command to run it with."""

    def __init__(self, t, db, before=(), **options):
        t.writer_count = getattr(t, "writer_count", 0) + 1
        self.t, self.db, self.w = t, db, options.get("w", 1)
        self.side, self.err = t.path("side%d.log" % self.w), t.path("writer%d.err" % t.writer_count)
        options.update(db=db, side=self.side)
        with open(self.err, "wb") as err:
            self.process = subprocess.Popen([*before, sys.executable, "-B", WRITER, json.dumps(options)],
                                            stdin=subprocess.DEVNULL, stdout=err, stderr=err)

    def acknowledged(self):
        """The last transaction that is known to be committed."""
        if not os.path.exists(self.side):
            return 0
        lines = lib.read_file(self.side).split(b"\n")[:-1]
        return max([int(line.split()[1]) for line in lines], default=0)

    def wait_for(self, k, timeout=30):
        self.t.wait(lambda: self.acknowledged() >= k or self.process.poll() is not None, "transaction %d" % k, timeout)
        return self.acknowledged()

    def wait(self, timeout=60):
        code = self.process.wait(timeout)
        if code:
            lib.fail("the application failed (%d):\n%s" % (code, lib.read_file(self.err).decode()))
        return self.acknowledged()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()
        return self.acknowledged()


# ---- images ----

def image(t, path):
    """The bytes that a database file would have with its WAL checkpointed. Nobody may be writing; it is not touched."""
    copy = t.path(".image")
    for suffix in ("-wal", "", "-shm", "-journal"):
        if os.path.exists(copy + suffix):
            os.unlink(copy + suffix)
    for suffix in ("-wal", ""):
        if os.path.exists(path + suffix):
            shutil.copyfile(path + suffix, copy + suffix)
    db = sqlite3.connect(copy, isolation_level=None)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    db.close()
    return lib.read_file(copy)


def masked(image_bytes):
    """Without what the daemon's own frame changes in a database: two counters in its header and SQLite's version."""
    b = bytearray(image_bytes)
    b[24:28], b[92:100] = bytes(4), bytes(8)
    return bytes(b)


def same_bytes(got, want, page_size=4096, what="restored"):
    if got == want:
        return
    pages = [i // page_size + 1 for i in range(0, max(len(got), len(want)), page_size)
             if got[i:i + page_size] != want[i:i + page_size]]
    lib.fail("%s: %d bytes instead of %d, %d pages differ: %s" % (what, len(got), len(want), len(pages), pages[:20]))


def page_size_of(image_bytes):
    size = int.from_bytes(image_bytes[16:18], "big")
    return 65536 if size == 1 else size


# ---- restore ----

def url(path):
    return "file://" + path


def txids(t, replica):
    """The newest TXID of each file of level 0, ascending."""
    rows = json.loads(t.ok("ltx", "-json", url(replica)))
    return sorted(int(row["max_txid"], 16) for row in rows)


def restore(t, replica, name="restored.db", *flags, txid=None):
    """Restores, checks that nothing else is left, returns the path."""
    out = t.path(name)
    for suffix in ("", "-wal", "-shm", "-txid"):
        if os.path.exists(out + suffix):
            os.unlink(out + suffix)
    r = t.run("restore", *flags, *(["-txid", "%016x" % txid] if txid else []), "-o", out, url(replica))
    lib.equal((r.code, r.out, r.err), (0, "", ""), "restore")
    for suffix in ("-wal", "-shm", ".tmp", "-txid"):
        lib.check(not os.path.exists(out + suffix), "restore left %s%s" % (out, suffix))
    return out


def equals_source(t, replica, source, what="restored", name="restored.db"):
    """The newest state is the source's, byte for byte, and sound."""
    want = image(t, source)
    out = restore(t, replica, name)
    same_bytes(lib.read_file(out), want, page_size_of(want), what)
    integrity(out)
    return out


def integrity(path):
    db = sqlite3.connect(path)
    try:
        lib.equal(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)], "integrity of " + path)
    finally:
        db.close()


def prefix(path, at_least=None, at_most=None):
    """The oracle: what each writer {w: k} had done up to some transaction, no more, no less, and which that is."""
    db = sqlite3.connect(path, timeout=10, isolation_level=None)
    try:
        db.execute("BEGIN")  # one state, should somebody be writing
        lib.equal(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)], "integrity of " + path)
        reached = {}
        for (w,) in db.execute("SELECT DISTINCT w FROM log").fetchall():
            previous, k = "", 0
            for k_now, digest, n, s in db.execute("SELECT k, hash, n, s FROM log WHERE w = ? ORDER BY k", (w,)):
                k += 1
                lib.equal(k_now, k, "next transaction of writer %d" % w)
                previous = writer.hash_of(previous, k, n, s)
                lib.equal(digest, previous, "hash of transaction %d of writer %d" % (k, w))
            lib.equal(db.execute("SELECT count(*), coalesce(sum(id * 31 + v), 0) FROM data WHERE w = ?", (w,)).fetchone(),
                      (n, s), "data at transaction %d of writer %d" % (k, w))
            reached[w] = k
        for w, row, v, body in db.execute("SELECT w, id, v, body FROM data"):
            if zlib.crc32(body) != v:
                lib.fail("row %d of writer %d is damaged" % (row, w))
    finally:
        db.close()
    for w, k in (at_least or {}).items():
        lib.check(reached.get(w, 0) >= k, "writer %d: only %d of %d transactions are there" % (w, reached.get(w, 0), k))
    for w, k in (at_most or {}).items():
        lib.check(reached.get(w, 0) <= k, "writer %d: %d transactions, though only %d were made" % (w, reached.get(w, 0), k))
    return reached


def history(t, replica, last, most=25):
    """Every TXID that is there (or a choice of them) restores to a prefix, each no shorter than the one before."""
    numbers = txids(t, replica)
    lib.equal(numbers, list(range(1, len(numbers) + 1)), "TXIDs")
    step = max(1, len(numbers) // most)
    before = {}
    for n in numbers[::-1][::step][::-1]:
        now = prefix(restore(t, replica, "history.db", txid=n), at_least=before)
        before = now
    lib.equal(before, last, "transactions at the newest TXID")
    return numbers


# ---- daemons ----

def start(t, db, replica=None, *flags, **options):
    """A daemon over a database, up and replicating."""
    d = t.daemon("replicate", "-log-level", "debug", *flags, db, url(replica or t.path("replica")), **options)
    d.wait_log("replica sync")
    return d


def quiet(d, *allowed):
    """Nothing went wrong in the daemon's own eyes; `allowed`: parts of lines that may be there. What Python's SQLite does
    wrong (lib/wal/wal.h, published_end) is not the daemon's."""
    allowed += ("SQLite left frames without a checksum",)
    for line in d.text().splitlines():
        if ("level=ERROR" in line or "level=WARN" in line) and not any(part in line for part in allowed):
            lib.fail("in the log: " + line)
    lib.equal(d.err_text(), "", "standard error")


def stop(d, *allowed):
    lib.equal(d.stop(), 0, "exit status")
    quiet(d, *allowed)
    lib.contains(d.text(), "litestream shut down", "log")


def files_of(t, *parts):
    """{name: (size, mtime)} below a folder."""
    found = {}
    for name in t.files(*parts):
        st = os.stat(t.path(*parts, name))
        found[name] = (st.st_size, st.st_mtime_ns)
    return found
