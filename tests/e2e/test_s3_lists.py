# SPDX-License-Identifier: MIT
"""Lists and deletes over S3, and buckets that Litestream filled."""
import hashlib
import os
import re

import lib
from fake_s3 import Object
from s3_kit import b64, failure, once, restore, setup, three_files


# ---- lists ----

def test_pages(t):
    s3, db = setup(t)
    three_files(t, s3, db)
    s3.page_size = 1
    lib.equal(lib.dump(restore(t, s3)), lib.dump(db))
    lib.check(s3.count("ListObjectsV2") >= 5)


def test_list_without_order(t):
    s3, db = setup(t)
    three_files(t, s3, db)

    def turn(body):
        parts = re.findall(rb"<Contents>.*?</Contents>", body)
        return body.replace(b"".join(parts), b"".join(reversed(parts + parts[:1])))
    s3.fault("ListObjectsV2", times=99, rewrite=turn)
    lib.equal(lib.dump(restore(t, s3)), lib.dump(db))


def test_list_in_url_encoding(t):
    s3, db = setup(t)
    once(t, s3, db, path="a%20b%2B")
    s3.fault("ListObjectsV2", times=99, rewrite=lambda b: b.replace(b"<KeyCount>", b"<EncodingType>url</EncodingType><KeyCount>")
             .replace(b"<Key>a b+/", b"<Key>a+b%2B%2F"))
    lib.equal(lib.dump(restore(t, s3, path="a%20b%2B")), lib.dump(db))


def test_list_that_repeats_its_token(t):
    s3, db = setup(t)
    three_files(t, s3, db)
    s3.page_size = 1
    s3.fault("ListObjectsV2", times=999, rewrite=lambda b: re.sub(rb"<NextContinuationToken>.*?</", b"<NextContinuationToken>same</", b))
    lib.contains(failure(t, "restore", "-o", t.path("o.db"), s3.url("db")), "again and again")


def test_list_without_token(t):
    s3, db = setup(t)
    three_files(t, s3, db)
    s3.page_size = 1
    s3.fault("ListObjectsV2", times=99, rewrite=lambda b: re.sub(rb"<NextContinuationToken>.*?</NextContinuationToken>", b"", b))
    text = failure(t, "restore", "-if-replica-exists", "-o", t.path("o.db"), s3.url("db"))
    lib.contains(text, "does not say where")


def test_answers_that_are_no_lists(t):
    s3, db = setup(t)
    once(t, s3, db)
    for body in (b"", b"<html><body>Please log in</body></html>", b"<!DOCTYPE html><html>portal</html>", b"{}",
                 b"<?xml version=\"1.0\"?><ListBucketResult></Other>"):
        s3.fault("ListObjectsV2", times=2, rewrite=lambda b, body=body: body)
        text = failure(t, "restore", "-if-replica-exists", "-o", t.path("o.db"), s3.url("db"))
        lib.contains(text, "s3: list")
        s3.faults.clear()
    lib.check(not t.exists("o.db"))


def test_foreign_keys_are_no_files(t):
    s3, db = setup(t)
    once(t, s3, db)
    key = next(iter(s3.objects))
    for stray in ("db/0000/x.ltx", "db/0000/sub/" + key.split("/")[-1], "db/000a/" + key.split("/")[-1], "db/0000x", key + ".tmp"):
        s3.objects[stray] = Object(b"stray", {})
    lib.equal(lib.dump(restore(t, s3)), lib.dump(db))
    lib.equal(len(t.ok("ltx", "-level", "all", s3.url("db")).splitlines()), 2)


def test_exact_times(t):
    s3, db = setup(t)
    once(t, s3, db)
    before = lib.dump(db)
    three = [next(iter(s3.objects.values()))]
    for _ in range(2):
        t.insert(db, 1)
        once(t, s3, db)
    three = [s3.objects[key] for key in sorted(s3.objects)]
    for n, o in enumerate(three):
        o.headers["x-amz-meta-litestream-timestamp"] = "2020-01-01T00:00:0%d.5Z" % n
    lib.equal(lib.dump(restore(t, s3, flags=("-timestamp", "2020-01-01T00:00:01.4Z"))), before)
    lib.contains(failure(t, "restore", "-timestamp", "2020-01-01T00:00:00.4Z", "-o", t.path("o2.db"), s3.url("db")),
                 "timestamp does not exist")
    # What cannot be had is told once, and the times of the listing stand in.
    s3.fault("HeadObject", times=9, status=403)
    out = failure(t, "restore", "-timestamp", "2020-01-01T00:00:01.4Z", "-o", t.path("o3.db"), s3.url("db"))
    lib.contains(out, "exact time")
    lib.equal(out.count("exact time"), 1)


def test_many_exact_times(t):
    s3, db = setup(t)
    for n in range(1, 121):
        s3.objects["db/0000/%016x-%016x.ltx" % (n, n)] = Object(b"x", {})
    failure(t, "restore", "-timestamp", "2020-01-01T00:01:30Z", "-o", t.path("o.db"), s3.url("db"))
    lib.equal(s3.count("HeadObject", 200), 120)


# ---- deletes ----

def delete_many(t, s3, db, **params):
    """A daemon whose first compaction lets go of several files at once."""
    lib.write_file(t.path("c.yml"), ("l0-retention: 1ms\nlevels: [{interval: 4s}]\nsnapshot: {interval: 240h}\ndbs:\n"
                                     "  - path: %s\n    replica: {url: '%s', sync-interval: 50ms}\n"
                                     % (db, s3.url("db", **params))).encode())
    d = t.daemon("replicate", "-config", t.path("c.yml"))
    d.wait_log("ltx file uploaded")
    for n in range(2, 8):
        t.insert(db, 1)
        t.wait(lambda: s3.count("PutObject", 200) >= n, "upload %d" % n)
    return d


@lib.limit(120)
def test_deletes_come_in_batches(t):
    s3, db = setup(t)
    d = delete_many(t, s3, db)
    t.wait(lambda: s3.count("DeleteObjects", 200) >= 1, "a batch", 30)
    r = s3.of("DeleteObjects")[0]
    lib.equal(r.headers["content-md5"], b64(hashlib.md5(r.body).digest()))
    lib.check(r.body.count(b"<Key>") > 1 and b"<Quiet>true</Quiet>" in r.body, r.body)
    d.stop()
    lib.equal(lib.dump(restore(t, s3)), lib.dump(db))


@lib.limit(120)
def test_deletes_without_md5(t):
    s3, db = setup(t)
    d = delete_many(t, s3, db, requireContentMD5="false")
    t.wait(lambda: s3.count("DeleteObjects", 200) >= 1, "a batch", 30)
    r = s3.of("DeleteObjects")[0]
    lib.check("content-md5" not in r.headers)
    lib.equal(r.headers["x-amz-sdk-checksum-algorithm"], "CRC32")
    d.stop()


@lib.limit(120)
def test_deletes_one_by_one_where_batches_are_unknown(t):
    s3, db = setup(t)
    s3.batch_delete = False
    d = delete_many(t, s3, db)
    t.wait(lambda: s3.count("DeleteObject", 204) >= 3, "single deletes", 30)
    lib.equal(s3.count("DeleteObjects"), 1, "batches tried")
    d.stop()


@lib.limit(120)
def test_keys_that_cannot_be_deleted(t):
    s3, db = setup(t)
    s3.denied = {"delete:db/0000/%016x-%016x.ltx" % (n, n) for n in range(2, 5)}
    d = delete_many(t, s3, db)
    d.wait_log("could not delete", 30)
    t.wait(lambda: "Access Denied" in d.text(), "the reason", 10)
    s3.denied = set()
    lib.check(d.alive())
    d.stop()
    lib.equal(lib.dump(restore(t, s3)), lib.dump(db))


# ---- what Litestream left ----

def golden_rows(folder, name):
    with open(os.path.join(folder, name)) as f:
        return [line.rstrip("\n").split("\t") for line in f if line.strip()]


def seconds(stamp):
    import datetime
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


@lib.limit(300)
def test_replicas_of_litestream(t):
    """Buckets that Litestream wrote: every TXID and time gives the bytes that Litestream restores."""
    golden = os.path.join(os.environ.get("RIVULET_SHARED") or os.path.join(lib.ROOT, "..", "shared"), "data", "golden")
    if not os.path.isdir(os.path.join(golden, "s3-levels")):
        lib.skip("there is no golden data in " + golden)
    s3, db = setup(t)
    tried = 0
    for case in ("s3-levels", "s3-retained"):
        folder = os.path.join(golden, case)
        for key, size, stamp, modified in golden_rows(folder, "s3.tsv"):
            data = lib.read_file(os.path.join(folder, "s3", key))
            lib.equal(len(data), int(size), key)
            s3.objects[key] = Object(data, {"x-amz-meta-litestream-timestamp": stamp}, when=seconds(modified))
        for flag, table in (("-txid", "expect.tsv"), ("-timestamp", "times.tsv")):
            for target, want, *_ in golden_rows(folder, table):
                args = [] if target == "latest" else [flag, target]
                r = t.run("restore", *args, "-force", "-o", t.path("g.db"), s3.url(case))
                tried += 1
                if want != "ERROR":
                    lib.check(r.code == 0, "%s %s %s" % (case, target, r))
                    lib.equal(hashlib.sha256(lib.read_file(t.path("g.db"))).hexdigest(), want, "%s %s" % (case, target))
                elif table == "expect.tsv":
                    lib.check(r.code == 1, "%s %s should fail: %s" % (case, target, r))
    lib.check(tried > 150, str(tried))


def test_v03_backups(t):
    """Generations of Litestream v0.3 beside LTX files, found through folders of keys."""
    golden = os.path.join(os.environ.get("RIVULET_SHARED") or os.path.join(lib.ROOT, "..", "shared"), "data", "golden", "v03")
    if not os.path.isdir(golden):
        lib.skip("there is no golden data in " + golden)
    s3, db = setup(t)
    top = os.path.join(golden, "replica")
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            s3.objects["old/" + os.path.relpath(path, top)] = Object(lib.read_file(path), {}, when=os.path.getmtime(path))
    rows = [r for r in golden_rows(golden, "expect.tsv") if r[0] == "latest"]
    restore(t, s3, path="old", name="v.db")
    lib.equal(hashlib.sha256(lib.read_file(t.path("v.db"))).hexdigest(), rows[0][1])
