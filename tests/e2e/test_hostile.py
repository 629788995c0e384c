# SPDX-License-Identifier: MIT
"""A replica that was damaged, thinned out, doubled or mixed up: a restore gives an exact state that there was, or one
clear sentence, and leaves nothing behind."""
import os
import random
import shutil
import time

import lib
import oracle


def made(t, steps=6):
    """A replica of single TXIDs, with two compacted files and a snapshot; the image at each TXID."""
    db = oracle.create(t, page_size=1024)
    c, images = t.connect(db), {}
    for i in range(1, steps + 1):
        c.execute("BEGIN")
        c.executemany("INSERT INTO data VALUES (9, ?, 0, randomblob(700))", [(i * 100 + j,) for j in range(9)])
        c.execute("UPDATE data SET body = randomblob(900) WHERE id % 4 = ?", (i % 4,))
        if i == 4:
            c.execute("DELETE FROM data WHERE id % 2")
        c.execute("COMMIT")
        if i == 4:
            c.execute("VACUUM")
        r = t.run("replicate", "-once", db, oracle.url(t.path("replica")))
        lib.equal((r.code, r.err), (0, ""), repr(r))
        images[i] = oracle.image(t, db)
    c.close()
    lib.equal(oracle.txids(t, t.path("replica")), list(range(1, steps + 1)), "TXIDs")
    for n, image in images.items():
        lib.write_file(t.path("at", "%d.db" % n), image)
    for level, low, high in ((1, 2, 3), (1, 4, 6), (2, 2, 5)):
        before, _ = lib.database_pages(t.path("at", "%d.db" % (low - 1)))
        lib.put_change(t.path("replica"), before, t.path("at", "%d.db" % high), level, low, high)
    lib.put_snapshot(t.path("replica"), t.path("at/3.db"), 9, 3)
    os.rename(t.path("replica"), t.path("good"))
    return images


def copy(t):
    """A fresh replica to be harmed; its files by name below ltx/."""
    shutil.rmtree(t.path("replica"), ignore_errors=True)
    shutil.copytree(t.path("good"), t.path("replica"))
    return [n for n in t.files("replica/ltx")]


def outcome(t, images, what, target=None):
    """Restores; returns the TXID whose state it gave, or None for a proper refusal."""
    out = t.path("out/restored.db")
    r = t.run("restore", *(["-txid", "%016x" % target] if target else []), "-o", out, oracle.url(t.path("replica")))
    if r.code == 0:
        lib.equal(r.err, "", what + ": standard error")
        for line in r.out.splitlines():  # it may have gone around a file
            lib.check('level=WARN msg="restore: going on without a file that cannot be used"' in line or
                      'level=WARN msg="restore does not need a damaged file"' in line, what + ": " + line)
        got = lib.read_file(out)
        found = [n for n, image in images.items() if image == got]
        os.unlink(out)
        lib.equal(t.files("out"), [], what + ": what is left beside the output")
        lib.check(found, what + ": a state that there never was")
        if target:
            lib.equal(found, [target], what + ": state")
        return found[0]
    lib.equal((r.code, r.err.count("\n")), (1, 1), what + ": " + repr(r))
    lib.check("level=ERROR" not in r.out, what + ": " + r.out)
    lib.check(r.err.startswith("Error: ") and len(r.err) > 20, what + ": " + r.err)
    lib.equal(t.files("out") if t.exists("out") else [], [], what + ": what is left")
    return None


def test_untouched(t):
    images = made(t)
    copy(t)
    lib.equal(outcome(t, images, "newest"), 6, "newest state")
    for n in images:
        lib.equal(outcome(t, images, "TXID %d" % n, n), n, "state")


def test_one_file_missing(t):
    """There is mostly a way around; where there is none, the newest state is refused and not an older one given."""
    images = made(t)
    for name in copy(t):
        copy(t)
        os.unlink(t.path("replica/ltx", name))
        got = outcome(t, images, "without " + name)
        lib.equal(got, 6, "newest state without " + name)
        for n in images:
            outcome(t, images, "TXID %d without %s" % (n, name), n)


def test_two_files_missing(t):
    images = made(t)
    names = copy(t)
    for i, a in enumerate(names):
        for b in names[i + 1:]:
            copy(t)
            os.unlink(t.path("replica/ltx", a))
            os.unlink(t.path("replica/ltx", b))
            outcome(t, images, "without %s and %s" % (a, b))


def test_hole_in_the_middle(t):
    """Only single TXIDs and one of them gone: what follows cannot be proven, so the newest state is not to be had."""
    images = made(t)
    copy(t)
    for level in ("1", "2", "9"):
        shutil.rmtree(t.path("replica/ltx", level))
    os.unlink(t.path("replica/ltx/0", lib.ltx_name(4, 4)))
    r = t.run("restore", "-o", t.path("out.db"), oracle.url(t.path("replica")))
    lib.equal((r.code, r.out), (1, ""), repr(r))
    lib.contains(r.err, "non-contiguous ltx files: have up to 0000000000000003 but next file starts at 0000000000000005")
    lib.equal(outcome(t, images, "up to the hole", 3), 3, "state before the hole")
    lib.equal(outcome(t, images, "behind the hole", 5), None, "state behind the hole")


def damage(rng, image, other):
    """(what, damaged bytes)"""
    b = bytearray(image)
    kind = rng.randrange(8)
    if kind == 0:
        at = rng.randrange(len(b))
        b[at] ^= 1 << rng.randrange(8)
        return "bit at %d" % at, bytes(b)
    if kind == 1:
        at = rng.randrange(len(b))
        return "cut at %d" % at, bytes(b[:at])
    if kind == 2:
        return "added bytes", bytes(b) + rng.randbytes(rng.randrange(1, 50))
    if kind == 3:
        at = rng.randrange(len(b))
        n = rng.randrange(1, 600)
        return "zeros at %d" % at, bytes(b[:at]) + bytes(len(b[at:at + n])) + bytes(b[at + n:])
    if kind == 4:
        return "another file's bytes", other
    if kind == 5:
        at = rng.randrange(100)
        b[at:at + 4] = b"\xff\xff\xff\xff"
        return "header at %d" % at, bytes(b)
    if kind == 6:
        return "nothing", b""
    at = rng.randrange(max(1, len(b) - 60), len(b))
    b[at] = rng.randrange(256)
    return "trailer or index at %d" % at, bytes(b)


@lib.limit(120)
def test_damaged_files(t):
    rng = random.Random(3)
    images = made(t)
    names = copy(t)
    good = {name: lib.read_file(t.path("good/ltx", name)) for name in names}
    refused = 0
    for i in range(150):
        name = rng.choice(names)
        what, bad = damage(rng, good[name], good[rng.choice(names)])
        if bad == good[name]:
            continue
        path = t.path("replica/ltx", name)
        os.unlink(path)
        lib.write_file(path, bad)
        target = rng.choice([None, None, *images])
        got = outcome(t, images, "%s of %s, target %s" % (what, name, target), target)
        refused += got is None
        os.unlink(path)
        lib.write_file(path, good[name])
    # With nothing but single files there is no way around; at most the damaged one is not needed, every page of it being
    # in newer ones.
    for level in ("1", "2", "9"):
        shutil.rmtree(t.path("replica/ltx", level))
    for i in range(60):
        name = "0/" + lib.ltx_name(*[rng.randrange(1, 7)] * 2)
        what, bad = damage(rng, good[name], good[rng.choice(names)])
        if bad == good[name]:
            continue
        lib.write_file(t.path("replica/ltx", name), bad)
        got = outcome(t, images, "%s of %s, alone" % (what, name))
        lib.check(got in (None, 6), "%s of %s, alone: an older state" % (what, name))
        refused += got is None
        lib.write_file(t.path("replica/ltx", name), good[name])
    lib.check(refused > 30, "only %d refusals: this test proves little" % refused)


def test_files_under_wrong_names(t):
    images = made(t)
    names = copy(t)
    rng = random.Random(4)
    for _ in range(40):
        a, b = rng.sample(names, 2)
        copy(t)
        os.rename(t.path("replica/ltx", a), t.path("replica/ltx/swap"))
        os.rename(t.path("replica/ltx", b), t.path("replica/ltx", a))
        os.rename(t.path("replica/ltx/swap"), t.path("replica/ltx", b))
        outcome(t, images, "%s and %s swapped" % (a, b))


def test_files_of_another_replica(t):
    """The same TXIDs, another database: never a mixture under a good name, unless the chain itself says nothing."""
    images = made(t)
    copy(t)
    for junk in ("junk", lib.ltx_name(7, 7) + ".tmp", lib.ltx_name(7, 7).upper(), "0000000000000007.ltx", ".hidden"):
        lib.write_file(t.path("replica/ltx/0", junk), b"junk")
    os.mkdir(t.path("replica/ltx/0", lib.ltx_name(8, 8)))
    os.mkdir(t.path("replica/ltx/77"))
    lib.write_file(t.path("replica/notes.txt"), b"hello")
    lib.equal(outcome(t, images, "junk around"), 6, "state")


def test_doubled(t):
    """The same range twice on several levels, wide files that cover all."""
    images = made(t)
    copy(t)
    before, _ = lib.database_pages(t.path("at/1.db"))
    lib.put_change(t.path("replica"), before, t.path("at/6.db"), 1, 2, 6)
    lib.put_change(t.path("replica"), before, t.path("at/6.db"), 3, 2, 6)
    lib.put_change(t.path("replica"), before, t.path("at/4.db"), 2, 2, 4)
    for n in (1, 3, 5, 6):
        lib.put_snapshot(t.path("replica"), t.path("at/%d.db" % n), 9, n)
    lib.equal(outcome(t, images, "doubled"), 6, "state")
    for n in images:
        lib.equal(outcome(t, images, "TXID %d" % n, n), n, "state")


def test_snapshot_without_all_pages(t):
    """It says 1..6 and checks out, but a page is nowhere."""
    images = made(t)
    pages, size = lib.database_pages(t.path("at/6.db"))
    count = len(pages)
    del pages[count // 2]
    lib.put_ltx(t.path("replica"), 9, 1, 6, lib.ltx_bytes(pages, size, count, 1, 6))
    r = t.run("restore", "-o", t.path("out/x.db"), oracle.url(t.path("replica")))
    lib.equal((r.code, r.out, r.err.count("\n")), (1, "", 1), repr(r))
    lib.equal(t.files("out"), [], "what is left")
    lib.check(images)


def test_header_that_promises_too_much(t):
    """Four billion pages in a file of 600 bytes: no memory and no disk is taken for it."""
    images = made(t)
    pages, size = lib.database_pages(t.path("at/1.db"))
    lib.put_ltx(t.path("replica"), 9, 1, 6, lib.ltx_bytes({1: pages[1]}, size, 0xFFFFFFFF, 1, 6))
    r = t.run("restore", "-o", t.path("out/x.db"), oracle.url(t.path("replica")))
    lib.equal((r.code, r.out, r.err.count("\n")), (1, "", 1), repr(r))
    lib.equal(t.files("out"), [], "what is left")
    lib.check(images)


def test_integrity_check_keeps_a_bad_database_away(t):
    """Files that are sound and make up a database that is not."""
    db = oracle.create(t)
    oracle.Writer(t, db, count=30).wait()
    c = t.connect(db)
    c.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    c.close()
    pages, size = lib.database_pages(db)
    pages[len(pages) - 1] = os.urandom(size)
    lib.put_ltx(t.path("replica"), 9, 1, 1, lib.ltx_bytes(pages, size, len(pages), 1, 1))
    for mode in ("quick", "full"):
        r = t.run("restore", "-integrity-check", mode, "-o", t.path("out/x.db"), oracle.url(t.path("replica")))
        lib.equal((r.code, r.err.count("\n")), (1, 1), repr(r))
        lib.contains(r.err, "Error: post-restore integrity check")
        lib.equal(t.files("out"), [], "what is left")


def test_restore_killed(t):
    """A restore that is cut short leaves no output under its name, and the next one works."""
    images = made(t)
    copy(t)
    rng = random.Random(6)
    for _ in range(25):
        d = t.daemon("restore", "-o", t.path("out/restored.db"), oracle.url(t.path("replica")))
        time.sleep(rng.random() * 0.006)
        d.kill()
        if t.exists("out/restored.db"):
            oracle.same_bytes(lib.read_file(t.path("out/restored.db")), images[6], 1024)
            os.unlink(t.path("out/restored.db"))
        lib.check(set(t.files("out") if t.exists("out") else []) <= {"restored.db.tmp"}, "files: %r" % t.files("out"))
    lib.equal(outcome(t, images, "after the kills"), 6, "state")
