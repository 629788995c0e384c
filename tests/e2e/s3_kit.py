# SPDX-License-Identifier: MIT
"""The fake S3 server with a database before it: what the tests over it share."""
import base64
import os
import shutil
import ssl
import subprocess

import lib
from fake_s3 import FakeS3

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


def three_files(t, s3, db):
    once(t, s3, db)
    for _ in range(2):
        t.insert(db, 1)
        once(t, s3, db)
    lib.equal(len(s3.objects), 3)


def shared_file(t, name, text):
    return lib.write_file(t.path(name), text.encode())


def certificate(t, *names):
    """A certificate for those DNS names by a CA of the test; returns the server's context and the CA's file."""
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
