# SPDX-License-Identifier: MIT
"""S3 through the program: a fake server that verifies signatures and misbehaves (s3.md §9)."""

import base64
import hashlib
import os
import random
import re
import signal
import time

import lib
from fake_s3 import FakeS3, Object, Proxy

LEVEL0 = r"^db/0000/[0-9a-f]{16}-[0-9a-f]{16}\.ltx$"


def setup(t, rows=3, **options):
    s3 = FakeS3(**options)
    t.env.update(s3.env)
    return s3, t.database(rows=rows)


def once(t, s3, db, path="db", timeout=60, env=None, **params):
    return t.ok("replicate", "-once", db, s3.url(path, **params), timeout=timeout, env=env)


def restore(t, s3, path="db", name="out.db", timeout=60, env=None, flags=(), **params):
    if t.exists(name):
        os.remove(t.path(name))
    t.ok("restore", *flags, "-o", t.path(name), s3.url(path, **params), timeout=timeout, env=env)
    return t.path(name)


def round_trip(t, s3, db, **params):
    once(t, s3, db, **params)
    lib.equal(lib.dump(restore(t, s3, **params)), lib.dump(db), "the restored database")


def failure(t, *args, timeout=60, env=None):
    r = t.run(*args, timeout=timeout, env=env)
    lib.check(r.code == 1, "it should have failed: %r" % r)
    return r.out + r.err


def b64(data):
    return base64.b64encode(data).decode()


def blob(t, db, megabytes):
    """Rows that do not compress."""
    c = t.connect(db)
    for _ in range(megabytes):
        c.execute("INSERT INTO t (text) VALUES (randomblob(1048576))")
    c.close()


# ---- the plain way ----

def test_round_trip(t):
    s3, db = setup(t)
    round_trip(t, s3, db)
    lib.check(all(re.match(LEVEL0, key) for key in s3.objects), str(list(s3.objects)))
    put = s3.of("PutObject")[0]
    lib.equal(put.headers["content-type"], "application/octet-stream")
    lib.check(re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$", put.headers["x-amz-meta-litestream-timestamp"]))
    lib.equal(put.headers["x-amz-content-sha256"], hashlib.sha256(put.body).hexdigest())
    lib.check("content-encoding" not in put.headers and "accept-encoding" not in put.headers)
    lib.contains(t.ok("ltx", s3.url("db")), "0000000000000001")


def quiet(s3, seconds):
    """Nothing was asked for so long."""
    return not s3.requests or time.monotonic() - s3.requests[-1].when > seconds


@lib.limit(120)
def test_requests_are_few(t):
    """At rest none; a write is one PUT."""
    s3, db = setup(t)
    lib.write_file(t.path("c.yml"), ("levels: [{interval: 24h}]\nsnapshot: {interval: 240h}\ndbs:\n  - path: %s\n"
                                     "    replica: {url: '%s'}\n" % (db, s3.url("db"))).encode())
    d = t.daemon("replicate", "-config", t.path("c.yml"))
    d.wait_log("ltx file uploaded")
    t.wait(lambda: quiet(s3, 4), "four seconds without a request", 60)
    before = len(s3.requests)
    t.insert(db, 1)
    t.wait(lambda: len(s3.requests) > before, "the PUT")
    time.sleep(1)
    lib.equal([r.op for r in s3.requests[before:]], ["PutObject"], "requests for one write")
    lib.equal(d.stop(), 0)


def test_keys_of_odd_paths(t):
    for path, prefix in (("", "/0000/"), ("a%20b/%2B%25/%E6%96%87", "a b/+%/\u6587/0000/"), ("x/../y//z/", "y/z/0000/")):
        s3, db = setup(t) if not t.exists("app.db") else (FakeS3(), t.path("app.db"))
        round_trip(t, s3, db, path=path)
        lib.check(all(k.startswith(prefix) for k in s3.objects), "%r: %r" % (path, list(s3.objects)))
    s3 = FakeS3()
    url = "s3://bucket?endpoint=" + s3.endpoint
    t.ok("replicate", "-once", db, url)
    lib.check(all(k.startswith("./0000/") for k in s3.objects), str(list(s3.objects)))
    t.ok("restore", "-o", t.path("dot.db"), url)


def test_base_path_and_styles(t):
    s3, db = setup(t)
    s3.base_path = "/storage/v1/s3"
    round_trip(t, s3, db)
    lib.check(s3.requests[0].path.startswith("/storage/v1/s3/bucket"))


def test_config_keys(t):
    s3, db = setup(t)
    lib.write_file(t.path("c.yml"), ("""
access-key-id: key
secret-access-key: secret
dbs:
  - path: %s
    replica: {type: s3, bucket: bucket, path: a/b/, endpoint: "%s", storage-class: STANDARD_IA, region: us-east-1}
""" % (db, s3.endpoint)).encode())
    t.ok("replicate", "-config", t.path("c.yml"), "-once", env={"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None})
    lib.check(s3.objects and all(k.startswith("a/b//0000/") for k in s3.objects), str(list(s3.objects)))
    lib.equal(s3.of("PutObject")[0].headers["x-amz-storage-class"], "STANDARD_IA")


def test_litestream_s3_endpoint(t):
    s3, db = setup(t)
    t.ok("replicate", "-once", db, "s3://bucket/db", env={"LITESTREAM_S3_ENDPOINT": s3.endpoint})
    lib.equal(s3.count("PutObject", 200), 1)
    t.ok("restore", "-o", t.path("o.db"), "s3://bucket/db", env={"AWS_ENDPOINT_URL_S3": s3.endpoint})


def test_unsigned_payload(t):
    s3, db = setup(t)
    round_trip(t, s3, db, **{"sign-payload": "false"})
    lib.equal({r.headers["x-amz-content-sha256"] for r in s3.of("PutObject")}, {"UNSIGNED-PAYLOAD"})


def test_customer_key(t):
    s3, db = setup(t)
    key = {"sse-customer-key": "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="}
    round_trip(t, s3, db, **key)
    for r in s3.of("PutObject") + s3.of("GetObject"):
        lib.equal(r.headers["x-amz-server-side-encryption-customer-key-md5"], "dnF5x6K/8ZZRzpfSlMMM+w==")
    text = failure(t, "restore", "-o", t.path("no.db"), s3.url("db"))
    lib.contains(text, "SSE-C")
    lib.check("MTIzNDU2" not in text)


def test_kms_key(t):
    s3, db = setup(t)
    once(t, s3, db, sseKmsKeyId="alias/x")
    put = s3.of("PutObject")[0]
    lib.equal(put.headers["x-amz-server-side-encryption"], "aws:kms")
    lib.equal(put.headers["x-amz-server-side-encryption-aws-kms-key-id"], "alias/x")


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


# ---- sizes ----

def test_multipart(t):
    s3, db = setup(t)
    blob(t, db, 12)
    round_trip(t, s3, db, **{"storage-class": "GLACIER_IR", "sse-kms-key-id": "k"})
    lib.equal(s3.count("CreateMultipartUpload", 200), 1)
    lib.equal(s3.count("PutObject"), 0)
    lib.equal(s3.count("UploadPart", 200), 3)
    begin = s3.of("CreateMultipartUpload")[0]
    lib.check("x-amz-meta-litestream-timestamp" in begin.headers)
    lib.equal(begin.headers["x-amz-storage-class"], "GLACIER_IR")
    lib.equal(begin.headers["x-amz-server-side-encryption"], "aws:kms")
    lib.check("x-amz-server-side-encryption" not in s3.of("UploadPart")[0].headers)
    sizes = sorted(len(r.body) for r in s3.of("UploadPart"))
    lib.equal(sizes[1:], [5 << 20, 5 << 20])
    lib.equal([u["state"] for u in s3.uploads.values()], ["complete"])


def test_multipart_customer_key(t):
    s3, db = setup(t)
    blob(t, db, 6)
    round_trip(t, s3, db, sseCustomerKey="MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=")
    for op in ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "GetObject"):
        lib.check(all("x-amz-server-side-encryption-customer-key" in r.headers for r in s3.of(op)) and s3.of(op), op)


def test_four_megabytes_are_one_put(t):
    s3, db = setup(t)
    blob(t, db, 4)
    once(t, s3, db)
    lib.equal((s3.count("PutObject", 200), s3.count("CreateMultipartUpload")), (1, 0))
    lib.check(s3.of("PutObject")[0].headers.get("expect") == "100-continue")


def test_part_size_too_small(t):
    s3, db = setup(t)
    text = failure(t, "replicate", "-once", db, s3.url("db", partSize="1048576"))
    lib.contains(text, "part size must be at least")
    lib.equal(s3.count("PutObject") + s3.count("CreateMultipartUpload"), 0)


# ---- lists ----

def three_files(t, s3, db):
    once(t, s3, db)
    for _ in range(2):
        t.insert(db, 1)
        once(t, s3, db)
    lib.equal(len(s3.objects), 3)


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


# ---- a bad network, a bad server ----

def test_server_errors_are_tried_again(t):
    s3, db = setup(t)
    for fault in (dict(status=500), dict(status=408, code="RequestCanceled")):
        s3.fault("PutObject", **fault)
    for fault in (dict(status=503, code="SlowDown"), dict(before=True)):
        s3.fault("ListObjectsV2", **fault)
    round_trip(t, s3, db)
    bodies = {hashlib.sha256(r.body).hexdigest() for r in s3.of("PutObject")}
    lib.equal(len(bodies), 1, "the body is sent again as it was")


def test_retry_after(t):
    s3, db = setup(t)
    s3.fault("PutObject", status=429, code="TooManyRequests", headers={"Retry-After": "2"})
    once(t, s3, db)
    a, b = s3.of("PutObject")
    lib.check(b.when - a.when >= 2, "Retry-After is honoured: %g" % (b.when - a.when))


def test_refusals_are_final(t):
    s3, db = setup(t)
    for status, code in ((400, "InvalidArgument"), (401, ""), (403, "AccessDenied"), (405, ""), (501, "NotImplemented")):
        s3.requests.clear()
        s3.fault("PutObject", times=99, status=status, code=code)
        lib.contains(failure(t, "replicate", "-once", db, s3.url("db")), "s3: put db/0000/")
        lib.equal(s3.count("PutObject"), 1, "requests for %d %s" % (status, code))
        s3.faults.clear()


def test_answers_in_odd_forms(t):
    s3, db = setup(t)
    once(t, s3, db)
    for form in (dict(chunked=True), dict(split=True), dict(informational=True), dict(close=True)):
        s3.fault("*", times=99, **form)
        if "chunked" in form:  # an object must tell its length
            s3.faults[-1].op = "ListObjectsV2"
        lib.equal(lib.dump(restore(t, s3)), lib.dump(db), str(form))
        s3.faults.clear()


def test_list_cut_in_its_body(t):
    s3, db = setup(t)
    three_files(t, s3, db)
    s3.fault("ListObjectsV2", times=2, drop_after=400)
    lib.equal(lib.dump(restore(t, s3)), lib.dump(db))


def test_wrong_length(t):
    s3, db = setup(t)
    once(t, s3, db)
    s3.fault("ListObjectsV2", times=1, length_off=10)
    s3.fault("GetObject", times=1, length_off=10)
    lib.equal(lib.dump(restore(t, s3)), lib.dump(db))


def test_one_byte_at_a_time(t):
    s3, db = setup(t)
    once(t, s3, db)
    s3.fault("GetObject", slow=0.001)
    lib.equal(lib.dump(restore(t, s3)), lib.dump(db))


def test_range_ignored(t):
    s3, db = setup(t)
    blob(t, db, 6)
    once(t, s3, db)
    s3.ignore_range = True
    lib.equal(lib.dump(restore(t, s3)), lib.dump(db))
    s3.fault("GetObject", drop_after=3 << 20)
    lib.equal(lib.dump(restore(t, s3)), lib.dump(db))


def test_range_ignored_in_a_large_file(t):
    """Threads that fetch parts of it side by side soon notice, and what is left is read in one piece."""
    s3, db = setup(t)
    blob(t, db, 48)
    once(t, s3, db)
    s3.ignore_range, s3.sent = True, 0
    out = t.path("out.db")
    said = t.ok("restore", "-parallelism", "6", "-o", out, s3.url("db"))
    lib.equal(lib.dump(out), lib.dump(db))
    lib.equal(said.count("ignores ranges"), 1, said)
    size = sum(len(o.data) for o in s3.objects.values())
    # 48 MB are 24 parts: six and the rest. What lies before the six is sent in vain, and some on the way.
    lib.check(s3.count("GetObject") <= 8, "%d requests" % s3.count("GetObject"))
    lib.check(s3.sent < 4 * size, "%d bytes sent of %d" % (s3.sent, size))


def test_start_after_ignored(t):
    s3, db = setup(t)
    s3.ignore_start_after = True
    d = t.daemon("replicate", db, s3.url("db"))
    d.wait_log("ltx file uploaded")
    f = t.daemon("restore", "-f", "-o", t.path("follow.db"), s3.url("db"))
    t.wait(lambda: t.exists("follow.db"), "the first copy")
    t.insert(db, 5)
    t.wait(lambda: t.connect("file:" + t.path("follow.db")) is not None and
           t.connect(t.path("follow.db")).execute("SELECT count(*) FROM t").fetchone()[0] == 8, "the rows", 30)
    f.stop()
    d.stop()


def test_connections_cut_at_random(t):
    """20 MB up and down although no connection lives long."""
    s3, db = setup(t)
    blob(t, db, 20)
    once(t, s3, db)
    dice = random.Random(4)
    s3.cut_every = lambda: dice.randrange(20000, 3000000)
    lib.equal(lib.dump(restore(t, s3, timeout=120)), lib.dump(db))
    gets = s3.count("GetObject")
    lib.check(gets > 8, "%d GETs" % gets)


def test_object_replaced_while_it_is_read(t):
    s3, db = setup(t)
    blob(t, db, 8)
    once(t, s3, db)
    key = next(iter(s3.objects))

    def replace(body):
        s3.objects[key] = Object(bytes(len(s3.objects[key].data)), {})
        return body
    s3.fault("GetObject", rewrite=replace, drop_after=100000)
    failure(t, "restore", "-o", t.path("o.db"), s3.url("db"))
    lib.check(not t.exists("o.db"))


def test_put_without_etag(t):
    s3, db = setup(t)
    s3.fault("PutObject", times=99, no_etag=True)
    lib.contains(failure(t, "replicate", "-once", db, s3.url("db")), "without an ETag")


def test_answer_lost_after_put(t):
    s3, db = setup(t)
    s3.fault("PutObject", after=True)
    round_trip(t, s3, db)


def test_complete_with_error_under_200(t):
    s3, db = setup(t)
    blob(t, db, 6)
    error = b"\n \n<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
    s3.fault("CompleteMultipartUpload", status=200, body=error)
    s3.fault("CompleteMultipartUpload", status=200, body=b"")
    round_trip(t, s3, db)
    lib.equal([u["state"] for u in s3.uploads.values()], ["complete"])


def test_complete_unheard(t):
    """The upload is complete, the answer is lost, and the second attempt finds no such upload."""
    s3, db = setup(t)
    blob(t, db, 6)
    s3.fault("CompleteMultipartUpload", after=True)
    round_trip(t, s3, db)
    lib.equal(s3.count("HeadObject", 200), 1)


def test_failed_multipart_is_aborted(t):
    s3, db = setup(t)
    blob(t, db, 12)
    s3.fault("UploadPart", times=99, skip=1, status=403, code="AccessDenied")
    failure(t, "replicate", "-once", db, s3.url("db"))
    lib.check(s3.uploads and all(u["state"] == "aborted" for u in s3.uploads.values()), str(s3.uploads))


@lib.limit(120)
def test_sigterm_while_uploads_are_retried(t):
    s3, db = setup(t)
    blob(t, db, 12)
    s3.fault("UploadPart", times=9999, skip=1, status=503, code="SlowDown")
    lib.write_file(t.path("c.yml"), ("shutdown-sync-timeout: 1s\ndbs:\n  - path: %s\n    replicas:\n      - url: %s\n"
                                     % (db, s3.url("db"))).encode())
    d = t.daemon("replicate", "-config", t.path("c.yml"))
    t.wait(lambda: s3.count("UploadPart", 503) > 2, "parts that fail", 30)
    d.stop(timeout=20)
    lib.check(all(u["state"] == "aborted" for u in s3.uploads.values()), str([u["state"] for u in s3.uploads.values()]))


def test_outage_then_healing(t):
    s3, db = setup(t)
    d = t.daemon("replicate", db, s3.url("db"))
    d.wait_log("ltx file uploaded")
    s3.refuse = True
    for _ in range(5):
        t.insert(db, 1)
        time.sleep(0.3)
    s3.refuse = False
    t.wait(lambda: len(s3.objects) >= 2, "new uploads", 60)
    d.stop()
    lib.equal(lib.dump(restore(t, s3)), lib.dump(db))


# ---- regions, redirects, clocks ----

def test_region_from_the_answer(t):
    s3, db = setup(t, region="eu-west-3")
    round_trip(t, s3, db)
    lib.equal(sum(1 for r in s3.requests if r.status == 400), 2, "wrong regions, one for each run")


def test_region_from_a_header(t):
    s3, db = setup(t, region="eu-west-3")
    s3.fault("ListObjectsV2", status=301, headers={"x-amz-bucket-region": "eu-west-3"})
    once(t, s3, db)
    s3.fault("ListObjectsV2", status=400, headers={"x-amz-bucket-region": "eu-west-3"})
    restore(t, s3)


def test_redirect_to_the_same_host(t):
    s3, db = setup(t)
    other = FakeS3()
    other.objects = s3.objects
    s3.fault("PutObject", status=307, code="TemporaryRedirect", headers={"Location": other.endpoint + "/bucket/x"})
    once(t, s3, db)
    lib.equal((s3.count("PutObject", 307), other.count("PutObject", 200)), (1, 1))


def test_redirects_elsewhere_are_not_followed(t):
    s3, db = setup(t)
    for place in ("http://evil.example/x", "http://127.0.0.2:1/", "nonsense", ""):
        s3.fault("PutObject", times=9, status=307, headers={"Location": place})
        lib.contains(failure(t, "replicate", "-once", db, s3.url("db")), "TemporaryRedirect")
        s3.faults.clear()


def test_wrong_clock(t):
    s3, db = setup(t)
    s3.clock_offset = 3 * 86400
    out = once(t, s3, db)
    lib.contains(out, "clock")
    lib.equal(s3.count("ListObjectsV2", 403), 1)
    s3.clock_offset = -50 * 365 * 86400
    restore(t, s3)


# ---- credentials ----

def test_wrong_keys(t):
    s3, db = setup(t)
    text = failure(t, "replicate", "-once", db, s3.url("db"), env={"AWS_ACCESS_KEY_ID": "nobody"})
    lib.contains(text, "InvalidAccessKeyId")
    lib.contains(text, "access-key-id")
    text = failure(t, "replicate", "-once", db, s3.url("db"), env={"AWS_SECRET_ACCESS_KEY": "wrong"})
    lib.contains(text, "SignatureDoesNotMatch")
    lib.contains(text, "bucket bucket")
    text = failure(t, "restore", "-if-replica-exists", "-o", t.path("o.db"), s3.url("db"),
                   env={"AWS_ACCESS_KEY_ID": None, "HOME": t.dir})
    lib.contains(text, "no credentials")
    lib.contains(text, "LITESTREAM_ACCESS_KEY_ID")


def test_litestream_keys(t):
    s3, db = setup(t)
    t.env.pop("AWS_ACCESS_KEY_ID")
    t.env.pop("AWS_SECRET_ACCESS_KEY")
    once(t, s3, db, env={"LITESTREAM_ACCESS_KEY_ID": "key", "LITESTREAM_SECRET_ACCESS_KEY": "secret"})


def shared_file(t, name, text):
    return lib.write_file(t.path(name), text.encode())


def test_shared_files(t):
    s3, db = setup(t)
    s3.keys["shared"] = ("s2", "tok")
    env = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None,
           "AWS_SHARED_CREDENTIALS_FILE": shared_file(t, "credentials", "[default]\naws_access_key_id = nobody\n"
                                                      "aws_secret_access_key = x\n\n# c\n[work]\naws_access_key_id=shared\n"
                                                      "aws_secret_access_key = s2 \n  aws_secret_access_key = nested\n"
                                                      "aws_session_token=tok\n"),
           "AWS_CONFIG_FILE": t.path("nothing"), "AWS_PROFILE": "work"}
    once(t, s3, db, env=env)
    lib.contains(failure(t, "replicate", "-once", db, s3.url("db"), env=dict(env, AWS_PROFILE="absent")), "absent")


def test_rotated_file_and_expired_token(t):
    s3, db = setup(t)
    path = shared_file(t, "credentials", "[default]\naws_access_key_id=old\naws_secret_access_key=a\naws_session_token=expired\n")
    s3.keys["old"] = ("a", None)
    s3.keys["new"] = ("b", "fresh")
    env = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_SHARED_CREDENTIALS_FILE": path}
    s3.keys["old"] = ("a", "expired")
    lib.contains(failure(t, "replicate", "-once", db, s3.url("db"), env=env), "ExpiredToken")
    s3.keys["old"] = ("a", "good")
    shared_file(t, "credentials", "[default]\naws_access_key_id=old\naws_secret_access_key=a\naws_session_token=good\n")
    d = t.daemon("replicate", db, s3.url("db"), env=env)
    d.wait_log("ltx file uploaded")
    s3.keys.pop("old")
    shared_file(t, "credentials", "[default]\naws_access_key_id=new\naws_secret_access_key=b\naws_session_token=fresh\n")
    t.insert(db, 1)
    t.wait(lambda: s3.count("PutObject", 200) >= 2, "an upload with the new keys", 30)
    lib.check("InvalidAccessKeyId" not in d.text(), d.text())
    d.stop()


def test_credential_process(t):
    s3, db = setup(t)
    config = shared_file(t, "config", "[default]\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"key\","
                         "\"SecretAccessKey\":\"secret\",\"Expiration\":\"2199-01-01T00:00:00Z\"}'\n")
    env = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_CONFIG_FILE": config,
           "AWS_SHARED_CREDENTIALS_FILE": t.path("nothing")}
    once(t, s3, db, env=env)
    shared_file(t, "config", "[default]\ncredential_process = exit 3\n")
    lib.contains(failure(t, "replicate", "-once", db, s3.url("db"), env=env), "credential_process")


class Metadata:
    """An endpoint for keys: container, instance and STS."""

    def __init__(self):
        import http.server
        import threading
        outer = self
        self.asked, self.life = [], 3600

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                length = int(self.headers.get("content-length") or 0)
                outer.asked.append((self.command, self.path, dict(self.headers), self.rfile.read(length).decode()))
                status, body = outer.reply(self.command, self.path, self.headers)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())
            do_GET = do_PUT = do_POST = answer

            def log_message(self, *args):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]

    def keys(self):
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.life))
        return '{"Code":"Success","AccessKeyId":"key","SecretAccessKey":"secret","Expiration":"%s"}' % until

    def reply(self, method, path, headers):
        if path == "/latest/api/token":
            return (200, "tok") if method == "PUT" and headers["X-aws-ec2-metadata-token-ttl-seconds"] == "300" else (400, "")
        if path.startswith("/latest/") and headers["X-aws-ec2-metadata-token"] != "tok":
            return 401, ""
        if path == "/latest/meta-data/iam/security-credentials/":
            return 200, "role-name\n"
        if path in ("/latest/meta-data/iam/security-credentials/role-name", "/container"):
            return 200, self.keys()
        if path == "/":
            until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.life))
            return 200, ("<R xmlns='x'><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>key</AccessKeyId>"
                         "<SecretAccessKey>secret</SecretAccessKey><SessionToken>sts</SessionToken><Expiration>%s"
                         "</Expiration></Credentials></AssumeRoleWithWebIdentityResult></R>" % until)
        return 404, ""


NO_KEYS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent/a",
           "AWS_CONFIG_FILE": "/nonexistent/b"}


def test_container_keys(t):
    s3, db = setup(t)
    m = Metadata()
    token = shared_file(t, "token", "Basic abc\n")
    once(t, s3, db, env=dict(NO_KEYS, AWS_CONTAINER_CREDENTIALS_FULL_URI=m.url + "/container",
                             AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=token))
    lib.equal(m.asked[0][2]["authorization"], "Basic abc")
    text = failure(t, "replicate", "-once", db, s3.url("db"),
                   env=dict(NO_KEYS, AWS_CONTAINER_CREDENTIALS_FULL_URI="http://192.0.2.1/c"))
    lib.contains(text, "https")


def test_instance_keys(t):
    s3, db = setup(t)
    m = Metadata()
    once(t, s3, db, env=dict(NO_KEYS, AWS_EC2_METADATA_DISABLED="false", AWS_EC2_METADATA_SERVICE_ENDPOINT=m.url))
    lib.equal([path for _, path, _, _ in m.asked],
              ["/latest/api/token", "/latest/meta-data/iam/security-credentials/",
               "/latest/meta-data/iam/security-credentials/role-name"])


def test_web_identity(t):
    s3, db = setup(t)
    s3.keys["key"] = ("secret", "sts")
    m = Metadata()
    env = dict(NO_KEYS, AWS_WEB_IDENTITY_TOKEN_FILE=shared_file(t, "jwt", "a+b/c=\n"), AWS_ROLE_ARN="arn:aws:iam::1:role/x",
               AWS_ENDPOINT_URL_STS=m.url, AWS_ROLE_SESSION_NAME="me")
    once(t, s3, db, env=env)
    form = m.asked[0][3]
    lib.contains(form, "Action=AssumeRoleWithWebIdentity")
    lib.contains(form, "WebIdentityToken=a%2Bb%2Fc%3D")
    lib.contains(form, "RoleSessionName=me")
    lib.check("Authorization" not in m.asked[0][2])


def test_role_of_a_profile(t):
    s3, db = setup(t)
    s3.keys["key"] = ("secret", "sts")
    m = Metadata()
    config = shared_file(t, "config", "[profile base]\naws_access_key_id=b\naws_secret_access_key=c\n[profile  work]\n"
                         "role_arn=arn:aws:iam::1:role/x\nsource_profile = base\nexternal_id=e\nregion=eu-west-1\n")
    once(t, s3, db, env=dict(NO_KEYS, AWS_CONFIG_FILE=config, AWS_PROFILE="work", AWS_ENDPOINT_URL_STS=m.url))
    lib.contains(m.asked[0][3], "Action=AssumeRole&")
    lib.contains(m.asked[0][3], "ExternalId=e")
    lib.contains(m.asked[0][2]["authorization"], "/eu-west-1/sts/aws4_request")


def test_keys_that_expire_are_renewed(t):
    s3, db = setup(t)
    m = Metadata()
    m.life = 302  # five minutes early, so after two seconds
    d = t.daemon("replicate", db, s3.url("db"), env=dict(NO_KEYS, AWS_CONTAINER_CREDENTIALS_FULL_URI=m.url + "/container"))
    d.wait_log("ltx file uploaded")
    time.sleep(3)
    t.insert(db, 1)
    t.wait(lambda: s3.count("PutObject", 200) >= 2, "the second upload", 20)
    lib.check(len(m.asked) >= 2, "%d fetches of keys" % len(m.asked))
    d.stop()


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


# ---- TLS ----

def certificate(t, *names):
    """A certificate for those DNS names by a CA of the test; returns the server's context and the CA's file."""
    import shutil
    import ssl
    import subprocess
    if not shutil.which("openssl"):
        lib.skip("there is no openssl program to make certificates with")

    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, cwd=t.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=Test CA", "-keyout", "ca.key",
            "-out", "ca.pem")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "s.key", "-out", "s.csr")
    lib.write_file(t.path("ext"), ("subjectAltName=" + ",".join("DNS:" + name for name in names)).encode())
    openssl("x509", "-req", "-in", "s.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
            "-extfile", "ext", "-out", "s.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(t.path("s.pem"), t.path("s.key"))
    return context, t.path("ca.pem")


def test_over_tls(t):
    context, ca = certificate(t, "localhost")
    s3, db = setup(t, tls=context)
    blob(t, db, 6)
    url = s3.url("db").replace("127.0.0.1", "localhost")
    env = {"SSL_CERT_FILE": ca}
    t.ok("replicate", "-once", db, url, env=env)
    t.ok("restore", "-o", t.path("o.db"), url, env=env)
    lib.equal(lib.dump(t.path("o.db")), lib.dump(db))
    lib.contains(failure(t, "restore", "-o", t.path("no.db"), url), "certificate")
    lib.contains(failure(t, "restore", "-o", t.path("no.db"), s3.url("db"), env=env), "name")
    t.ok("restore", "-o", t.path("any.db"), s3.url("db", skipVerify="true"))


AMAZON = ("*.s3.us-east-1.amazonaws.com", "*.s3.eu-west-3.amazonaws.com", "*.s3-accesspoint.eu-west-3.amazonaws.com")


def amazon(t, **options):
    """Amazon's hosts, by way of a proxy."""
    context, ca = certificate(t, *AMAZON)
    s3, db = setup(t, tls=context, virtual_host=True, region="eu-west-3", **options)
    proxy = Proxy(s3.port)
    t.env.update(SSL_CERT_FILE=ca, HTTPS_PROXY=proxy.url)
    return s3, db, proxy


def test_region_is_found_out(t):
    s3, db, proxy = amazon(t)
    t.ok("replicate", "-once", db, "s3://bucket/db")
    t.ok("restore", "-o", t.path("o.db"), "s3://bucket/db")
    lib.equal(lib.dump(t.path("o.db")), lib.dump(db))
    lib.equal(s3.count("HeadBucket"), 2)
    lib.check("authorization" not in s3.of("HeadBucket")[0].headers)
    lib.equal(set(proxy.hosts), {"bucket.s3.us-east-1.amazonaws.com:443", "bucket.s3.eu-west-3.amazonaws.com:443"})
    lib.equal(sum(1 for r in s3.requests if r.status >= 400 and r.op != "HeadBucket"), 0)


def test_region_that_was_set_wrong(t):
    s3, db, proxy = amazon(t)
    out = t.ok("replicate", "-once", db, "s3://bucket/db?region=us-east-1")
    lib.contains(out, "another region")
    lib.equal(s3.count("PutObject", 200), 1)


def test_redirect_to_another_region(t):
    s3, db, proxy = amazon(t)
    s3.fault("ListObjectsV2", status=301, code="PermanentRedirect",
             extra="<Endpoint>bucket.s3.eu-west-3.amazonaws.com</Endpoint>")
    t.ok("replicate", "-once", db, "s3://bucket/db?region=us-east-1")
    lib.equal(s3.count("PutObject", 200), 1)


def test_region_from_the_environment(t):
    s3, db, proxy = amazon(t)
    s3.tells_region = False
    s3.denied = {"GetBucketLocation"}
    t.ok("replicate", "-once", db, "s3://bucket/db", env={"AWS_REGION": "eu-west-3"})
    lib.contains(failure(t, "restore", "-o", t.path("o.db"), "s3://bucket/db"), "region")


def test_access_point(t):
    s3, db, proxy = amazon(t, bucket="ap-123456789012")
    t.ok("replicate", "-once", db, "s3://arn:aws:s3:eu-west-3:123456789012:accesspoint/ap/db")
    lib.equal(set(proxy.hosts), {"ap-123456789012.s3-accesspoint.eu-west-3.amazonaws.com:443"})
    lib.check(all(re.match(LEVEL0, key) for key in s3.objects), str(list(s3.objects)))


# ---- what users see ----

def test_missing_rights_and_bucket(t):
    s3, db = setup(t)
    for op, right in (("ListObjectsV2", "s3:ListBucket"), ("PutObject", "s3:PutObject")):
        s3.denied = {op}
        lib.contains(failure(t, "replicate", "-once", db, s3.url("db")), right)
    s3.denied = set()
    once(t, s3, db)
    s3.denied = {"GetObject"}
    lib.contains(failure(t, "restore", "-o", t.path("o.db"), s3.url("db")), "s3:GetObject")
    s3.denied = set()
    s3.bucket = "other"
    text = failure(t, "restore", "-if-replica-exists", "-o", t.path("o.db"), s3.url("db").replace("other", "bucket"))
    lib.contains(text, "NoSuchBucket")
    lib.contains(text, "never created")


def test_quota(t):
    s3, db = setup(t)
    s3.quota = 10
    lib.contains(failure(t, "replicate", "-once", db, s3.url("db")), "quota")


def test_nothing_there_is_no_backup(t):
    s3, db = setup(t)
    t.ok("restore", "-if-replica-exists", "-o", t.path("o.db"), s3.url("db"))
    lib.check(not t.exists("o.db"))


def test_unreachable_is_not_empty(t):
    s3, db = setup(t)
    s3.fault("ListObjectsV2", times=99, status=400, code="Whatever")
    lib.contains(failure(t, "restore", "-if-replica-exists", "-o", t.path("o.db"), s3.url("db")), "Whatever")


def test_the_daemon_heals_and_does_not_flood(t):
    s3, db = setup(t)
    s3.denied = {"PutObject"}
    d = t.daemon("replicate", db, s3.url("db"))
    t.wait(lambda: "AccessDenied" in d.text(), "the complaint", 20)
    time.sleep(3)
    lib.check(d.text().count("AccessDenied") <= 3, d.text())
    s3.denied = set()
    t.wait(lambda: s3.count("PutObject", 200) >= 1, "an upload", 60)
    d.stop()


def test_debug_lines_hide_secrets(t):
    s3, db = setup(t)
    s3.keys["key"] = ("secret", "TOKENTOKEN")
    out = once(t, s3, db, env={"LITESTREAM_S3_DEBUG": "ALL,nonsense", "AWS_SESSION_TOKEN": "TOKENTOKEN"},
               sseCustomerKey="MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=")
    for secret in ("TOKENTOKEN", "MTIzNDU2", "Signature=", "AWS4-HMAC-SHA256 Credential"):
        lib.check(secret not in out, "%s in the log:\n%s" % (secret, out))
    lib.contains(out, "s3 request")
    lib.contains(out, "s3 response")
    lib.contains(out, "nonsense")


def test_settings_that_cannot_be(t):
    s3, db = setup(t)
    for url, part in (("s3://127.0.0.1:%d/db" % s3.port, "?endpoint="), ("s3://x--use1-az1--x-s3/p", "directory bucket"),
                      ("s3://arn:aws:s3:us-east-1:1:accesspoint/a/p?forcePathStyle=true",
                       "Path-style addressing cannot be used with ARN")):
        lib.contains(failure(t, "replicate", "-once", db, url), part)
