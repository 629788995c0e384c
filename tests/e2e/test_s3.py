# SPDX-License-Identifier: MIT
"""S3 through the program: a fake server that verifies signatures (s3.md §9). Settings, sizes, what users see."""
import hashlib
import re
import time

import lib
from fake_s3 import FakeS3
from s3_kit import LEVEL0, blob, failure, once, round_trip, setup


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
