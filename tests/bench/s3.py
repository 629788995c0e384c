# SPDX-License-Identifier: MIT
"""Rows about S3: throughput against a server on loopback that costs next to nothing (sink.c), and the bill of a month."""
import os
import subprocess
import sys
import time

import rows
import tools
from tools import Daemon, Trouble

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}


class Sink:
    """tls: a file for the certificate of its authority, or None."""

    def __init__(self, tls=None, key=None, path=None):
        words = [os.path.join(tools.TOOLS, "sink")] + (["-t", tls] if tls else []) + ([key, path] if key else [])
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        port = self.process.stdout.readline().strip()
        if not port:
            raise Trouble("the sink did not start")
        self.endpoint = "%s:%s" % ("https://localhost" if tls else "http://127.0.0.1", port)
        self.environ = dict(KEYS, **({"SSL_CERT_FILE": tls} if tls else {}))
        self.url = "s3://bucket/app?region=us-east-1&endpoint=" + self.endpoint

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(30)


def config(path, database, url):
    """Nothing but the first copy is due."""
    with open(path, "w") as f:
        f.write("levels: [{interval: 24h}]\nsnapshot: {interval: 240h}\ndbs:\n  - path: %s\n    replica: {url: '%s'}\n"
                % (database, url))
    return path


def upload(b, binary, tls):
    """From the appearance of the local file to the word that it is uploaded."""
    path, top = b.large(), b.fresh("s3")
    local = os.path.join(os.path.dirname(path), ".app.db-litestream", "ltx", "0")
    tools.remove(os.path.dirname(os.path.dirname(local)))
    tools.warm(path)
    os.sync()
    with Sink(os.path.join(top, "ca.pem") if tls else None) as sink:
        with Daemon(binary, None, os.path.join(top, "s3"), config(os.path.join(top, "c.yml"), path, sink.url), sink.environ) as d:
            d.wait(lambda: tools.level0_in(local), "the first local file", 300)
            began, cpu, before = time.monotonic(), d.cpu(), d.peak()
            d.wait(lambda: b"ltx file uploaded" in tools.read(d.log), "the upload", 300)
            took, cpu = time.monotonic() - began, d.cpu() - cpu
            size = os.path.getsize(os.path.join(local, tools.level0_in(local)[0])) / 1e6
            found = {"mbs": size / took, "cpu": cpu / size * 1000, "rss": d.peak(), "before": before}
    b.made["s3"] = binary
    return found


def down(b, binary, tls):
    """The same file, fetched and made a database."""
    local = os.path.join(os.path.dirname(b.large()), ".app.db-litestream", "ltx", "0")
    if b.made.get("s3") != binary:
        upload(b, binary, False)
    name, out, top = tools.level0_in(local)[0], b.path("restored.db"), b.fresh("s3-down")
    runs = []
    with Sink(os.path.join(top, "ca.pem") if tls else None, "app/0000/" + name, os.path.join(local, name)) as sink:
        for _ in range(3):
            tools.remove(out)
            os.sync()
            runs += tools.measured([binary, "restore", "-o", out, sink.url], environ=sink.environ)
    rows.same_content(b.large(), out)
    tools.remove(out)
    size = os.path.getsize(b.large()) / 1e6
    wall = tools.median([r["wall"] for r in runs])
    return {"mbs": size / wall, "wall": wall, "cpu": tools.median([r["cpu"] for r in runs]), "rss": max(r["rss"] for r in runs)}


def handshake(b, binary):
    """`ltx` of an empty place: one connection, one request. The difference is the price of TLS."""
    top, found = b.fresh("s3-hands"), {}
    for name, tls in (("plain", None), ("tls", os.path.join(top, "ca.pem"))):
        with Sink(tls) as sink:
            runs = tools.measured([binary, "ltx", sink.url], 10 if b.quick else 40, environ=sink.environ)
        found[name] = (tools.median([r["wall"] for r in runs]) * 1000, tools.median([r["cpu"] for r in runs]) * 1000)
        found["rss-" + name] = max(r["rss"] for r in runs)
    return {"wall": found["tls"][0] - found["plain"][0], "cpu": found["tls"][1] - found["plain"][1],
            "plain": found["plain"][0], "rss": found["rss-tls"], "rss-plain": found["rss-plain"]}


def s3(b, binary):
    found = {}
    for tls in (False, True):
        for name, measure in (("up", upload), ("down", down)):
            for key, value in measure(b, binary, tls).items():
                found["%s%s-%s" % (name, "-tls" if tls else "", key)] = value
    for key, value in handshake(b, binary).items():
        found["hands-" + key] = value
    return found


# ---- the bill ----

# Amazon S3 Standard, us-east-1, list prices of November 2025, dollars: a thousand PUT, COPY, POST, LIST; a thousand GET and
# others. DELETE is free. Storage and traffic are not looked at: they are the same for whoever stores the same bytes.
PRICES = {"PutObject": 0.005, "CreateMultipartUpload": 0.005, "UploadPart": 0.005, "CompleteMultipartUpload": 0.005,
          "ListObjectsV2": 0.005, "GetObject": 0.0004, "HeadObject": 0.0004, "DeleteObjects": 0, "DeleteObject": 0}
MONTH = 30 * 86400


def faster(fast):
    """The default levels, retention and intervals, so many times as fast."""
    ms = lambda seconds: "%dms" % (seconds * 1000 / fast)
    return ("levels: [{interval: %s}, {interval: %s}, {interval: %s}]\nsnapshot: {interval: %s, retention: %s}\n"
            "l0-retention: %s\nl0-retention-check-interval: %s\n"
            % tuple(ms(s) for s in (30, 300, 3600, 86400, 86400, 300, 15)),
            "    monitor-interval: %s\n    replica: {sync-interval: %s, url: " % (ms(1), ms(1)))


def month(b, binary, each_s, burst, fast):
    """Requests and dollars of a month of one database: every each_s seconds so many transactions (0 = none)."""
    sys.path.insert(0, os.path.join(tools.ROOT, "tests", "e2e"))
    import fake_s3
    fake = fake_s3.FakeS3()
    top = b.fresh("s3-bill")
    path = rows.small_database(os.path.join(top, "app.db"))
    policy, lines = faster(fast)
    with open(os.path.join(top, "c.yml"), "w") as f:
        f.write(policy + "dbs:\n  - path: %s\n%s'%s'}\n" % (path, lines, fake.url("db")))
    seconds, ticks = 10 if b.quick else 40, 0
    with Daemon(binary, None, os.path.join(top, "s3"), os.path.join(top, "c.yml"), {**fake.env, **KEYS}) as d:
        d.wait(lambda: b"snapshot complete" in tools.read(d.log), "the first snapshot, which comes with a jitter")
        if not burst: # what the first file set going goes on for an hour, 36 s here
            d.wait(lambda: b"compaction complete" in tools.read(d.log) and b" level=3 txid" in tools.read(d.log), "level 3")
        time.sleep(3)
        before, end = len(fake.requests), time.monotonic() + seconds
        db = rows.sqlite3.connect(path, isolation_level=None, timeout=10)
        while time.monotonic() < end:
            ticks, next_tick = ticks + 1, time.monotonic() + each_s / fast
            for _ in range(burst):
                db.execute("UPDATE t SET data = randomblob(1000) WHERE id = 1 + abs(random()) % 90")
            time.sleep(max(0, next_tick - time.monotonic()))
        db.close()
        seen = [r.op for r in fake.requests[before:]]
    fake.close()
    # A machine that cannot keep up makes fewer seconds of them.
    factor = MONTH / (ticks * each_s if burst else seconds * fast)
    return len(seen) * factor, sum(PRICES.get(op, 0.005) for op in seen) / 1000 * factor


def bill(b, binary):
    found = {}
    for name, each_s, burst, fast in (("idle", 10, 0, 100), ("second", 1, 1, 100), ("busy", 1, 50, 10)):
        found[name], found[name + "-dollars"] = month(b, binary, each_s, burst, fast)
    return found
