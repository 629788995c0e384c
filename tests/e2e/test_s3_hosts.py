# SPDX-License-Identifier: MIT
"""S3's regions, redirects, clocks and TLS."""
import re

import lib
from fake_s3 import FakeS3, Proxy
from s3_kit import LEVEL0, blob, certificate, failure, once, restore, round_trip, setup


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


# ---- TLS ----

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
