# SPDX-License-Identifier: MIT
"""OpenStack Swift's s3api behind the program."""
import lib
import s3_histories
import s3_servers


@lib.limit(180)
def test_steps(t):
    s3_histories.steps(t, s3_servers.swift(t))


@lib.limit(180)
def test_large(t):
    s3_histories.large(t, s3_servers.swift(t), 12)


@lib.limit(400)
def test_fleet(t):
    s3_histories.fleet(t, s3_servers.swift(t))


@lib.limit(180)
def test_follow(t):
    s3_histories.follow(t, s3_servers.swift(t))


@lib.limit(180)
def test_tls(t):
    server = s3_servers.swift(t)
    server.bucket("backup")
    s3_servers.tls_front(t, server)
    db, url = t.database(rows=10), server.url("backup", "app")
    s3_histories.blob(t, db, 6)
    s3_histories.once(t, server, db, url)
    s3_histories.same(t, server, url, db)


@lib.limit(120)
def test_lease(t):
    """Swift knows no conditional PUT: the lock is refused, and said so; without it all is well."""
    server = s3_servers.swift(t)
    server.bucket("backup")
    db = t.database()
    file = s3_histories.config(t, [(db, server.url("backup", "app"), ["lease: true"])])
    d = s3_histories.start(t, server, file)
    line = d.wait_log("level=ERROR", 60)
    lib.contains(line, "does not guard writes by conditions")
    lib.equal(d.stop(timeout=60), 0, "exit status")
    lib.check("ltx file uploaded" not in d.text(), d.text())
    r = t.run("replicate", "-once", "-config", file, env=server.env)
    lib.equal(r.code, 1)
    lib.contains(r.out + r.err, "does not guard writes by conditions")
