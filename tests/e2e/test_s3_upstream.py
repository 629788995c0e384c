# SPDX-License-Identifier: MIT
"""What the real Litestream writes into Swift, restored by us, and the reverse: the newest, and every TXID that is kept.

LITESTREAM names a litestream program; without it the tests are skipped.
"""
import hashlib
import os

import lib
import oracle
import s3_histories
import s3_servers

# Some of level 0 is let go of, and much of it is still there in the end.
LEVELS = """levels: [{interval: 2s}, {interval: 5s}]
snapshot: {interval: 5s, retention: 20s}
l0-retention: 4s
l0-retention-check-interval: 1s
"""


def programs():
    """(theirs, ours)"""
    program = os.environ.get("LITESTREAM")
    if not program:
        lib.skip("LITESTREAM does not name a litestream program")
    return program, lib.BINARY


def write(t, server, program, url, seconds=14):
    """A life of some levels, snapshots and retention, with a stop in the middle; returns the database."""
    db = oracle.create(t)
    file = s3_histories.config(t, [(db, url, ["sync-interval: 100ms"])], LEVELS)
    w = oracle.Writer(t, db, seconds=seconds, sleep_ms=30)
    for n in range(2):
        d = t.daemon("replicate", "-config", file, env=server.env, program=program)
        t.wait(lambda: w.acknowledged() > (n + 1) * 30 and "snapshot complete" in d.text(), "a snapshot", 60)
        if n == 1:
            w.wait(60)
        lib.equal(d.stop(timeout=60), 0, "exit status")
    return db


def restored(t, server, program, url, *flags):
    out = t.path("restored.db")
    for end in ("", "-wal", "-shm", "-txid"):
        if os.path.exists(out + end):
            os.unlink(out + end)
    r = t.run("restore", *flags, "-o", out, url, env=server.env, program=program, timeout=60)
    return hashlib.sha256(lib.read_file(out)).hexdigest() if r.code == 0 else r.err


def both_ways(t, writer):
    both = programs()
    server = s3_servers.swift(t)
    server.bucket("backup")
    url = server.url("backup", "one%202/app")
    db = write(t, server, both[writer], url)
    want = hashlib.sha256(oracle.image(t, db)).hexdigest()
    for program in both:
        lib.equal(restored(t, server, program, url), want, "the newest")
    rows = [r.split() for r in t.ok("ltx", "-level", "all", url, env=server.env).splitlines()[1:]]
    first = min(int(r[2], 16) for r in rows if r[0] == "9")
    kept = sorted({int(r[2], 16) for r in rows if int(r[2], 16) >= first})
    same = 0
    for txid in kept:
        theirs, ours = (restored(t, server, program, url, "-txid", "%016x" % txid) for program in both)
        lib.equal(ours, theirs, "TXID %d" % txid)
        same += len(ours) == 64
    print("%d files in the levels %s; %d TXIDs asked for, %d restored to the same bytes" % (
        len(rows), ",".join(sorted({r[0] for r in rows})), len(kept), same))
    lib.check(same > 5, "%d TXIDs restored" % same)


@lib.limit(300)
def test_what_they_wrote(t):
    both_ways(t, 0)


@lib.limit(300)
def test_what_we_wrote(t):
    both_ways(t, 1)
