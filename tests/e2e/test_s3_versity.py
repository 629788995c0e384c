# SPDX-License-Identifier: MIT
"""versitygw behind the program."""
import lib
import s3_histories
import s3_servers


@lib.limit(180)
def test_steps(t):
    s3_histories.steps(t, s3_servers.versity(t))


@lib.limit(180)
def test_large(t):
    s3_histories.large(t, s3_servers.versity(t), 20)


@lib.limit(240)
def test_fleet(t):
    s3_histories.fleet(t, s3_servers.versity(t))


@lib.limit(180)
def test_follow(t):
    s3_histories.follow(t, s3_servers.versity(t))
