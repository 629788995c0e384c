# SPDX-License-Identifier: MIT
"""Real S3 servers for tests, each on loopback and over a folder of the test: OpenStack Swift with its s3api (Debian
packages; checks signatures and body hashes, knows no conditional PUT) and versitygw (a Go program; answers 412 as AWS
does). And a TLS front that any of them can be put behind.

    server = s3_servers.swift(t)          # skips the test when Swift is not installed
    server.bucket("backup")
    url = server.url("backup", "app")     # s3://backup/app?endpoint=http://127.0.0.1:PORT&…
    t.run("restore", "-o", out, url, env=server.env)
"""
import hashlib
import hmac
import http.client
import os
import random
import re
import select
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time

import lib

KINDS = ("account", "container", "object")


def free_ports(count):
    """Ports that nobody listens on; found by binding, so that two tests at once do not meet."""
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Server:
    """What tests know of a server: where it is, and how to get in."""

    def __init__(self, t, key, secret):
        self.t, self.processes = t, []
        self.env = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
        self.key, self.secret = key, secret
        self.scheme, self.host = "http", "127.0.0.1"

    def start(self, name, command, env=None):
        log = open(self.t.path("s3", name + ".log"), "ab")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        self.processes.append(process)
        return process

    def wait(self, ports):
        def up():
            for p in self.processes:
                if p.poll() is not None:
                    lib.fail("an S3 server ended:\n" + self.logs())
            return all(listening(port) for port in ports)
        self.t.wait(up, "the S3 server", 60)

    def logs(self):
        folder = self.t.path("s3")
        return "".join(lib.read_file(os.path.join(folder, n)).decode(errors="replace")[-2000:]
                       for n in sorted(os.listdir(folder)) if n.endswith(".log"))

    def endpoint(self):
        return "%s://%s:%d" % (self.scheme, self.host, self.port)

    def url(self, bucket, path, **query):
        more = "".join("&%s=%s" % item for item in query.items())
        return "s3://%s/%s?endpoint=%s&region=us-east-1%s" % (bucket, path, self.endpoint(), more)

    def bucket(self, name):
        """A bucket is made by a signed PUT without a body; the signature is written independently of the program."""
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = "%s/us-east-1/s3/aws4_request" % now[:8]
        empty = hashlib.sha256(b"").hexdigest()
        names = "host;x-amz-content-sha256;x-amz-date"
        fields = {"host": "127.0.0.1:%d" % self.port, "x-amz-content-sha256": empty, "x-amz-date": now}
        canonical = "\n".join(["PUT", "/" + name, ""] + ["%s:%s" % f for f in fields.items()] + ["", names, empty])
        text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + self.secret).encode()
        for part in scope.split("/") + [text]:
            key = hmac.digest(key, part.encode(), "sha256")
        fields["Authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
            self.key, scope, names, key.hex())
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        c.request("PUT", "/" + name, headers=fields)
        answer = c.getresponse()
        said = answer.read()
        lib.check(answer.status == 200, "no bucket could be made: %d %r\n%s" % (answer.status, said, self.logs()))
        c.close()

    def stop(self):
        for p in self.processes:
            p.kill()
            p.wait()
        self.processes = []


# ---- OpenStack Swift ----

SWIFT_CONF = """[swift-hash]
swift_hash_path_prefix = rivulet
swift_hash_path_suffix = test

[storage-policy:0]
name = one
default = yes
"""

PART_CONF = """[DEFAULT]
devices = %(top)s/devices
mount_check = false
swift_dir = %(top)s/etc
user = %(user)s
workers = 0
disable_fallocate = true
bind_ip = 127.0.0.1
bind_port = %(port)d

[pipeline:main]
pipeline = %(kind)s-server

[app:%(kind)s-server]
use = egg:swift#%(kind)s
"""

PROXY_CONF = """[DEFAULT]
swift_dir = %(top)s/etc
user = %(user)s
workers = 0
bind_ip = 127.0.0.1
bind_port = %(port)d

[pipeline:main]
pipeline = catch_errors cache s3api tempauth bulk slo dlo proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true

[filter:catch_errors]
use = egg:swift#catch_errors

[filter:cache]
use = egg:swift#memcache

[filter:s3api]
use = egg:swift#s3api
location = us-east-1

[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin

[filter:bulk]
use = egg:swift#bulk

[filter:slo]
use = egg:swift#slo

[filter:dlo]
use = egg:swift#dlo
"""


class Swift(Server):
    def __init__(self, t):
        super().__init__(t, "test:tester", "testing")
        top = t.path("s3")
        os.makedirs(os.path.join(top, "etc"))
        os.makedirs(os.path.join(top, "devices", "d1"))
        ports = free_ports(4)
        self.port = ports[3]
        names = {"top": top, "user": subprocess.check_output(["id", "-un"], text=True).strip()}
        self.write("swift.conf", SWIFT_CONF)
        for kind, port in zip(KINDS, ports):
            self.write(kind + "-server.conf", PART_CONF % {**names, "kind": kind, "port": port})
            ring = os.path.join(top, "etc", kind + ".builder")
            for words in (["create", "4", "1", "0"], ["add", "r1z1-127.0.0.1:%d/d1" % port, "1"], ["rebalance"]):
                subprocess.run(["swift-ring-builder", ring, *words], check=True, stdout=subprocess.DEVNULL)
        self.write("proxy-server.conf", PROXY_CONF % {**names, "port": self.port})
        # -v: to its own output, because nobody may be listening to syslog here.
        for kind in KINDS + ("proxy",):
            self.start(kind, ["swift-%s-server" % kind, os.path.join(top, "etc", kind + "-server.conf"), "-v"])
        self.wait(ports)

    def write(self, name, text):
        lib.write_file(self.t.path("s3", "etc", name), text.encode())


def swift(t):
    if not all(shutil.which("swift-%s-server" % kind) for kind in KINDS + ("proxy",)):
        lib.skip("OpenStack Swift is not installed")
    server = Swift(t)
    t.on_close(server.stop)
    return server


# ---- versitygw ----

class Versity(Server):
    def __init__(self, t, program):
        super().__init__(t, "tester", "testing-secret")
        os.makedirs(t.path("s3", "objects"))
        self.port = self.own_port = free_ports(1)[0]
        self.program, self.access_log = program, t.path("s3", "access")
        self.launch()

    def launch(self):
        """Also again, after stop()."""
        self.start("versitygw", [self.program, "--port", "127.0.0.1:%d" % self.own_port, "--quiet", "--keep-alive",
                                 "--access-log", self.access_log, "posix", self.t.path("s3", "objects")],
                   dict(os.environ, ROOT_ACCESS_KEY=self.key, ROOT_SECRET_KEY=self.secret))
        self.wait([self.own_port])

    def requests(self):
        """What has been asked so far, as the server's log has it, e.g. "PutObject /bucket/key 200"."""
        found = re.findall(r" s3_(\w+) .*? (/\S+ \d{3}) ", lib.read_file(self.access_log).decode(errors="replace"))
        return [" ".join(r) for r in found]


def versity(t):
    """$VERSITYGW, or one in PATH or in build/tools."""
    for program in (os.environ.get("VERSITYGW"), shutil.which("versitygw"),
                    os.path.join(lib.ROOT, "build", "tools", "versitygw")):
        if program and os.access(program, os.X_OK):
            server = Versity(t, program)
            t.on_close(server.stop)
            return server
    lib.skip("versitygw is not installed (it needs a Go tool chain)")
    return None


# ---- a bad network in front ----

class Cutter:
    """Passes bytes on, and resets every connection after a number of them that it draws from `least` to `most`. While
    `down` is set, every connection is reset at once."""

    def __init__(self, t, port, least=20_000, most=20_000_000, seed=1):
        self.target, self.least, self.most = port, least, most
        self.random = random.Random(seed)
        self.connections, self.cuts, self.passed, self.down = 0, 0, 0, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = []
        threading.Thread(target=self.accept, daemon=True).start()
        t.on_close(self.listener.close)

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.down:
                reset(client)
                continue
            try:
                pair = (client, socket.create_connection(("127.0.0.1", self.target)))
            except OSError:
                reset(client)
                continue
            self.open.append(pair)
            left = [self.random.randint(self.least, self.most)]
            for source, sink in (pair, pair[::-1]):
                threading.Thread(target=self.pump, args=(source, sink, left, pair), daemon=True).start()

    def pump(self, source, sink, left, pair):
        try:
            while True:
                data = source.recv(1 << 17)
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                left[0] -= len(data)
                self.passed += len(data)
                if left[0] < 0:
                    sink.sendall(data[:left[0]])
                    self.cuts += 1
                    break
                sink.sendall(data)
        except OSError:
            pass
        for s in pair:
            reset(s)

    def cut_all(self):
        """And what is open now goes too."""
        self.down = True
        for pair in self.open:
            for s in pair:
                reset(s)
        self.open = []


def reset(s):
    try:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    s.close()


# ---- TLS in front ----

class TlsFront:
    """Ends TLS on a port of its own and passes bytes on. certificate, key: PEM files."""

    def __init__(self, port, certificate, key):
        self.target = port
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            inner = self.context.wrap_socket(client, server_side=True)
            outer = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        # Two threads on one TLS object would race: one looks at both sides.
        try:
            while True:
                ready = [inner] if inner.pending() else select.select([inner, outer], [], [])[0]
                for source in ready:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    (outer if source is inner else inner).sendall(data)
        except OSError:
            pass
        finally:
            inner.close()
            outer.close()

    def close(self):
        self.listener.close()


def authority(t):
    """A certificate authority of the test: its PEM file."""
    if not shutil.which("openssl"):
        lib.skip("openssl is not installed")
    if not t.exists("tls", "ca.pem"):
        os.makedirs(t.path("tls"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", t.path("tls", "ca.key"), "-out", t.path("tls", "ca.pem"), "-days", "30",
                        "-subj", "/CN=rivulet test authority"], check=True, capture_output=True)
    return t.path("tls", "ca.pem")


def certificate(t, host, days="30"):
    """(certificate, key) for a host name, signed by the test's authority."""
    ca = authority(t)
    stem = t.path("tls", host)
    subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                    stem + ".key", "-out", stem + ".csr", "-subj", "/CN=" + host], check=True, capture_output=True)
    lib.write_file(stem + ".ext", b"subjectAltName = DNS:" + host.encode() + b"\n")
    subprocess.run(["openssl", "x509", "-req", "-in", stem + ".csr", "-CA", ca, "-CAkey", t.path("tls", "ca.key"),
                    "-CAcreateserial", "-days", days, "-extfile", stem + ".ext", "-out", stem + ".pem"], check=True,
                   capture_output=True)
    return stem + ".pem", stem + ".key"


def tls_front(t, server, host="localhost"):
    """The same server, reached by https://HOST: its address and its env are changed."""
    front = TlsFront(server.port, *certificate(t, host))
    t.on_close(front.close)
    server.scheme, server.host, server.port = "https", host, front.port
    server.env = dict(server.env, SSL_CERT_FILE=authority(t))
    server.front = front
    return server
