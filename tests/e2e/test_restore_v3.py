# SPDX-License-Identifier: MIT
"""Backups of Litestream v0.3, laid out by hand (replication.md 7.4, cases.md 3.4)."""
import json
import os
import sqlite3
import struct
import time

import lib
import oracle

GENERATION = "0123456789abcdef"
START = 1_700_000_000


def rotl(value, bits):
    return (value << bits | value >> (32 - bits)) & 0xffffffff


def xxh32(data):
    a, b, c, d, e, mask = 0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f, 0x165667b1, 0xffffffff
    h, n = e, len(data) // 16 * 16
    if n:
        lanes = [a + b & mask, b, 0, -a & mask]
        for words in struct.iter_unpack("<4I", data[:n]):
            lanes = [rotl(lane + word * b & mask, 13) * a & mask for lane, word in zip(lanes, words)]
        h = sum(rotl(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18)))
    h, rest = h + len(data) & mask, data[n:]
    for i in range(0, len(rest) // 4 * 4, 4):
        h = rotl(h + struct.unpack_from("<I", rest, i)[0] * c & mask, 17) * d & mask
    for byte in rest[len(rest) // 4 * 4:]:
        h = rotl(h + byte * e & mask, 11) * a & mask
    h = (h ^ h >> 15) * b & mask
    h = (h ^ h >> 13) * c & mask
    return h ^ h >> 16


def frame(data, each=65536):
    """An LZ4 frame of stored blocks."""
    descriptor = b"\x64\x40"
    out = struct.pack("<I", 0x184d2204) + descriptor + bytes([xxh32(descriptor) >> 8 & 255])
    for at in range(0, len(data), each):
        block = data[at:at + each]
        out += struct.pack("<I", len(block) | 0x80000000) + block
    return out + struct.pack("<II", 0, xxh32(data))


class Backup:
    """A database whose every commit can become a WAL segment."""

    def __init__(self, t, generation=GENERATION, replica="replica"):
        self.t, self.generation, self.replica = t, generation, replica
        self.path = t.path("app.db")
        self.db = sqlite3.connect(self.path, isolation_level=None)
        self.db.executescript("PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0;"
                              "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x)")
        self.index, self.offset, self.states = 0, 0, []

    def put(self, kind, name, data, when):
        path = lib.write_file(self.t.path(self.replica, "generations", self.generation, kind, name), frame(data))
        os.utime(path, (when, when))

    def snapshot(self, when):
        self.put("snapshots", "%08x.snapshot.lz4" % self.index, lib.read_file(self.path), when)

    def segment(self, when):
        wal = lib.read_file(self.path + "-wal")
        self.put("wal", "%08x_%08x.wal.lz4" % (self.index, self.offset), wal[self.offset:], when)
        self.offset = len(wal)
        self.states.append((when, self.dump()))

    def insert(self, when, size=3000):
        self.db.execute("INSERT INTO t(x) VALUES(randomblob(%d))" % size)
        self.segment(when)

    def restart(self):
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.index, self.offset = self.index + 1, 0

    def dump(self):
        return list(self.db.iterdump())


def three_wals(t):
    b = Backup(t)
    b.restart()
    b.snapshot(START)
    for wal in range(3):
        for i in range(4):
            b.insert(START + 10 * (wal * 4 + i + 1))
        if wal < 2:
            b.restart()
    return b


def when(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def restore(t, *flags, out="out.db"):
    return t.run("restore", *flags, "-o", t.path(out), oracle.url(t.path("replica")))


def test_latest(t):
    b = three_wals(t)
    r = restore(t)
    lib.equal((r.code, r.out, r.err), (0, "", ""))
    lib.equal(lib.dump(t.path("out.db")), b.dump())
    r = restore(t, "-json", "-integrity-check", "full", out="json.db")
    lib.equal(r.code, 0)
    told = json.loads(r.out)
    lib.equal((told["txid"], told["replica"], told["integrity_check"]), ("", "file", "full"))
    lib.equal(lib.dump(t.path("json.db")), b.dump())
    # A plain folder is a replica, too; the database gets no companions.
    lib.equal(t.run("restore", "-o", t.path("folder.db"), t.path("replica")).code, 0)
    lib.equal(lib.dump(t.path("folder.db")), b.dump())
    lib.equal([name for name in os.listdir(t.path()) if name.startswith("out.db")], ["out.db"])


def test_times(t):
    b = three_wals(t)
    for at, want in b.states:
        for seconds in (at, at + 5) if at != b.states[-1][0] else (at,):
            os.path.exists(t.path("out.db")) and os.unlink(t.path("out.db"))
            r = restore(t, "-timestamp", when(seconds))
            lib.equal((r.code, r.err), (0, ""))
            lib.equal(lib.dump(t.path("out.db")), want, "state at %d" % seconds)
    os.unlink(t.path("out.db"))
    for seconds in (START - 1, b.states[-1][0] + 1):
        r = restore(t, "-timestamp", when(seconds))
        lib.equal((r.code, t.exists("out.db")), (1, False))
        lib.contains(r.err, "timestamp does not exist")


def test_what_only_ltx_files_can(t):
    three_wals(t)
    nothing = "no matching backup files available"
    for flags in (("-dry-run",), ("-txid", "%016x" % 1), ("-f",), ("-if-replica-exists", "-dry-run")):
        r = restore(t, *flags)
        lib.equal(r.code, 1, "exit status of %s" % (flags,))
        lib.contains(r.err, nothing)
    r = restore(t, "-if-replica-exists", "-txid", "%016x" % 1)
    lib.equal(r.code, 0)
    lib.check(not t.exists("out.db"))
    r = t.run("ltx", "-level", "all", oracle.url(t.path("replica")))
    lib.equal((r.code, len(r.out.splitlines())), (0, 1))


def test_gaps(t):
    b = three_wals(t)
    folder = t.path("replica", "generations", GENERATION, "wal")
    names = sorted(os.listdir(folder))
    for missing, message in ((names[1], "missing WAL segment"), (names[4], "missing WAL index"), (names[0], "missing WAL index")):
        os.rename(os.path.join(folder, missing), t.path("aside"))
        r = restore(t)
        lib.equal((r.code, t.exists("out.db"), t.exists("out.db.tmp")), (1, False, False))
        lib.contains(r.err, message)
        os.rename(t.path("aside"), os.path.join(folder, missing))
    # The end of the last one is missed by nobody.
    os.unlink(os.path.join(folder, names[-1]))
    lib.equal(restore(t).code, 0)
    lib.equal(lib.dump(t.path("out.db")), b.states[-2][1])


def test_damage(t):
    three_wals(t)
    for kind in ("snapshots", "wal"):
        folder = t.path("replica", "generations", GENERATION, kind)
        for name in sorted(os.listdir(folder))[:3]:
            path = os.path.join(folder, name)
            good = lib.read_file(path)
            for bad in (good[:len(good) // 2] + b"?" + good[len(good) // 2 + 1:], good[:-1], good + b"x", b"", b"text"):
                lib.write_file(path, bad)
                r = restore(t)
                lib.equal((r.code, t.exists("out.db"), t.exists("out.db.tmp")), (1, False, False))
                lib.contains(r.err, name)
            lib.write_file(path, good)
    lib.equal(restore(t).code, 0)


def test_two_generations(t):
    three_wals(t)
    os.unlink(t.path("app.db"))
    b = Backup(t, "00000000000000aa")
    b.db.execute("CREATE TABLE newer(x)")
    b.restart()
    b.snapshot(START + 1000)
    lib.equal(restore(t).code, 0)
    lib.equal(lib.dump(t.path("out.db")), b.dump())


def test_both_formats(t):
    """The newer one counts; with a time, the newer snapshot before it."""
    old = three_wals(t)
    new = t.database("new.db", rows=3)
    image = oracle.image(t, new)
    lib.write_file(t.path("image.db"), image)
    lib.put_snapshot(t.path("replica"), t.path("image.db"), 9, 1, START + 500)
    lib.equal(restore(t).code, 0)
    oracle.same_bytes(oracle.masked(lib.read_file(t.path("out.db"))), oracle.masked(image), 4096, "LTX is newer")
    os.unlink(t.path("out.db"))
    lib.equal(restore(t, "-timestamp", when(START + 200)).code, 0)
    lib.equal(lib.dump(t.path("out.db")), old.dump(), "before the first LTX file")
    os.utime(t.path("replica", "generations", GENERATION, "snapshots", "00000001.snapshot.lz4"), (START + 900, START + 900))
    os.unlink(t.path("out.db"))
    lib.equal(restore(t).code, 0)
    lib.equal(lib.dump(t.path("out.db")), old.dump(), "v0.3 is newer")


def test_large(t):
    """Blocks, segments and pages beyond every buffer."""
    b = Backup(t)
    b.restart()
    b.snapshot(START)
    for i in range(3):
        b.insert(START + i + 1, 1_500_000)
    b.db.execute("DELETE FROM t WHERE id < 3")
    b.db.execute("VACUUM")
    b.segment(START + 9)
    lib.equal(restore(t).code, 0)
    lib.equal(lib.dump(t.path("out.db")), b.dump())
    b.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    lib.equal(lib.read_file(t.path("out.db")), lib.read_file(b.path), "bytes of the database")


def test_from_s3(t):
    """The same backup as objects of a bucket, newest and at times; folders are what keys have in common."""
    from fake_s3 import FakeS3, Object
    b, s3 = three_wals(t), FakeS3()
    top = t.path("replica")
    for name in t.files("replica"):
        path = os.path.join(top, name)
        s3.objects["old/" + name] = Object(lib.read_file(path), {}, when=os.path.getmtime(path))
    s3.page_size = 5
    for flags, state in (((), b.dump()), (("-timestamp", when(b.states[4][0])), b.states[4][1])):
        t.ok("restore", *flags, "-o", t.path("s3.db"), s3.url("old"), env=s3.env)
        lib.equal(lib.dump(t.path("s3.db")), state, "restored with %r" % (flags,))
        os.unlink(t.path("s3.db"))
    del s3.objects["old/generations/%s/wal/00000001_00000000.wal.lz4" % GENERATION]
    r = t.run("restore", "-o", t.path("s3.db"), s3.url("old"), env=s3.env)
    lib.check(r.code == 1 and not t.exists("s3.db"), repr(r))
