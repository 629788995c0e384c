# SPDX-License-Identifier: MIT
"""S3 over a bad network, from a bad server."""
import hashlib
import random
import time

import lib
from fake_s3 import Object
from s3_kit import blob, failure, once, restore, round_trip, setup, three_files


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
