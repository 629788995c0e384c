#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An application: a process of its own that commits numbered transactions and says which of them are committed.

usage: writer.py JSON        (oracle.Writer starts it; oracle.create makes the database)

Transaction k of writer w changes rows of its own in `data`, then adds row (w, k) to `log`, with the count and the sum of
its data as they are now and a hash over all its transactions so far. After COMMIT it appends "w k" to its side log. So a
copy of the database proves by itself which prefix of the history it is, and the side log says which it must be at least.
"""
import hashlib
import json
import os
import random
import signal
import sqlite3
import sys
import time
import zlib

DEFAULTS = {
    "w": 1, "seed": 1, "count": 0, "seconds": 0.0, "sleep_ms": 0.0,  # 0 = without end
    "autocheckpoint": None, "synchronous": None, "cache": None,
    "ops": "insert update delete", "rows": 4, "body": 300, "keep": 400,
    "reopen": 0,          # a new connection every so many transactions
    "attach": None,       # a second database of the same kind, changed in the same transactions
    "checkpoint": None,   # PASSIVE FULL RESTART TRUNCATE after every so many transactions, e.g. ["TRUNCATE", 7]
}


def hash_of(previous, k, n, s):
    return hashlib.sha256(("%s %d %d %d" % (previous, k, n, s)).encode()).hexdigest()[:24]


class Application:
    def __init__(self, o):
        self.o, self.random = o, random.Random(o["seed"] * 1000 + o["w"])
        self.k, self.previous, self.stopping = 0, {}, False
        self.side = os.open(o["side"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.connect()
        for name in self.names:  # an earlier process may have got this far
            row = self.db.execute("SELECT k, hash FROM %s.log WHERE w = ? ORDER BY k DESC LIMIT 1" % name,
                                  (o["w"],)).fetchone()
            if row:
                self.k, self.previous[name] = row

    def connect(self):
        self.db = sqlite3.connect(self.o["db"], timeout=20, isolation_level=None)
        if self.o["cache"] is not None:
            self.db.execute("PRAGMA cache_size = %d" % self.o["cache"])
        if self.o["synchronous"]:
            self.db.execute("PRAGMA synchronous = " + self.o["synchronous"])
        if self.o["autocheckpoint"] is not None:
            self.db.execute("PRAGMA wal_autocheckpoint = %d" % self.o["autocheckpoint"])
        self.names = ["main"]
        if self.o["attach"]:
            self.db.execute("ATTACH ? AS second", (self.o["attach"],))
            self.names.append("second")

    def body(self, size=None):
        size = self.random.randrange(self.o["body"] + 1) if size is None else size
        half = size // 2
        return self.random.randbytes(half) + b"%08d" % self.k * ((size - half) // 8)

    def insert(self, name, rows=None, size=None):
        for _ in range(rows or self.random.randrange(1, self.o["rows"] + 1)):
            body = self.body(size)
            self.db.execute("INSERT INTO %s.data SELECT ?, coalesce(max(id), 0) + 1, ?, ? FROM %s.data WHERE w = ?" %
                            (name, name), (self.o["w"], zlib.crc32(body), body, self.o["w"]))

    def some_id(self, name):
        low, high = self.db.execute("SELECT min(id), max(id) FROM %s.data WHERE w = ?" % name, (self.o["w"],)).fetchone()
        return self.random.randint(low, high) if low is not None else 0

    def update(self, name):
        body = self.body()
        self.db.execute("UPDATE %s.data SET v = ?, body = ? WHERE w = ? AND id BETWEEN ? AND ? + 2" % name,
                        (zlib.crc32(body), body, self.o["w"], self.some_id(name), self.some_id(name)))

    def delete(self, name):
        n = self.db.execute("SELECT count(*) FROM %s.data WHERE w = ?" % name, (self.o["w"],)).fetchone()[0]
        if n > self.o["keep"]:
            self.db.execute("DELETE FROM %s.data WHERE w = ? AND id < ?" % name, (self.o["w"], self.some_id(name)))

    def savepoint(self, name):
        self.db.execute("SAVEPOINT one")
        self.insert(name, 20)
        self.db.execute("SAVEPOINT two")
        self.insert(name, 40)
        self.db.execute("ROLLBACK TO two")
        self.update(name)
        self.db.execute("RELEASE one")

    def huge(self, name):
        self.insert(name, 1, self.random.randrange(1 << 20, 4 << 20))

    def rollback(self):
        """Frames without a commit, spilled from the cache before the end."""
        self.db.execute("BEGIN IMMEDIATE")
        for name in self.names:
            self.insert(name, 60, 2000)
            self.db.execute("DELETE FROM %s.data WHERE w = ? AND id %% 2" % name, (self.o["w"],))
        self.db.execute("ROLLBACK")

    def transaction(self):
        ops = self.o["ops"].split()
        if "rollback" in ops and self.random.random() < 0.3:
            self.rollback()
        if "vacuum" in ops and self.random.random() < 0.15:
            for name in self.names:
                self.db.execute("VACUUM " + name)
        self.db.execute("BEGIN IMMEDIATE")
        self.k += 1
        for name in self.names:
            for op in ops:
                if op in ("insert", "update", "delete", "savepoint") or op == "huge" and self.random.random() < 0.2:
                    getattr(self, op)(name)
            if "incremental" in ops and self.random.random() < 0.3:
                self.db.execute("PRAGMA %s.incremental_vacuum(20)" % name).fetchall()
        following = {}
        for name in self.names:
            n, s = self.db.execute("SELECT count(*), coalesce(sum(id * 31 + v), 0) FROM %s.data WHERE w = ?" % name,
                                   (self.o["w"],)).fetchone()
            following[name] = hash_of(self.previous.get(name, ""), self.k, n, s)
            self.db.execute("INSERT INTO %s.log VALUES (?, ?, ?, ?, ?)" % name,
                            (self.o["w"], self.k, following[name], n, s))
        self.db.execute("COMMIT")
        self.previous = following
        os.write(self.side, b"%d %d\n" % (self.o["w"], self.k))
        kind, every = self.o["checkpoint"] or ("", 0)
        if every and self.k % every == 0:
            # With a reader about (the daemon is one) these wait, and while they wait nobody writes.
            self.db.execute("PRAGMA busy_timeout = 20")
            self.db.execute("PRAGMA wal_checkpoint(%s)" % kind).fetchall()
            self.db.execute("PRAGMA busy_timeout = 20000")

    def run(self):
        began, last = time.monotonic(), self.k + self.o["count"]
        while not self.stopping:
            if self.o["count"] and self.k >= last or self.o["seconds"] and time.monotonic() - began >= self.o["seconds"]:
                break
            self.transaction()
            if self.o["reopen"] and self.k % self.o["reopen"] == 0:
                self.db.close()
                self.connect()
            if self.o["sleep_ms"]:
                time.sleep(self.o["sleep_ms"] / 1000)
        self.db.close()

    def stop(self, *_):
        self.stopping = True


if __name__ == "__main__":
    application = Application({**DEFAULTS, **json.loads(sys.argv[1])})
    signal.signal(signal.SIGTERM, application.stop)
    application.run()
