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


@lib.limit(240)
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
