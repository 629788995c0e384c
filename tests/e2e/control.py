# SPDX-License-Identifier: MIT
"""A client of the control socket for tests, written independently of the program."""
import http.client
import json
import os
import socket

import lib


class Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout=60):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Reply:
    def __init__(self, code, headers, body):
        self.code, self.headers, self.text = code, headers, body.decode(errors="backslashreplace")
        self.bytes = body

    @property
    def json(self):
        lib.equal(self.headers.get("Content-Type"), "application/json", "content type")
        lib.check(self.text.endswith("\n") and not self.text.endswith("\n\n"), "no newline at the end: %r" % self.text)
        return json.loads(self.text)

    def __repr__(self):
        return "%d %s\n%s" % (self.code, dict(self.headers), self.text)


class Client:
    """path: a socket file, or "HOST:PORT"."""

    def __init__(self, path):
        self.path = path

    def ask(self, method, target, body=None, headers=None, timeout=60):
        if "/" in self.path:
            c = Connection(self.path, timeout)
        else:
            c = http.client.HTTPConnection(self.path, timeout=timeout)
        try:
            c.request(method, target, body=body, headers=headers or {})
            r = c.getresponse()
            return Reply(r.status, r.headers, r.read())
        finally:
            c.close()

    def get(self, target, **more):
        return self.ask("GET", target, **more)

    def post(self, target, body, **more):
        return self.ask("POST", target, body if isinstance(body, (str, bytes)) else json.dumps(body), **more)

    def rpc(self, method, params=None, **more):
        """The reply's object; params None: left out."""
        call = {"jsonrpc": "2.0", "method": method, "id": 1}
        if params is not None:
            call["params"] = params
        r = self.post("/control/", dict(call, **more))
        lib.equal(r.code, 200, "status of %s" % method)
        lib.equal(list(r.json)[0::2], ["jsonrpc", "id"], "order of members")
        lib.equal(r.json["id"], more.get("id", 1), "id")
        return r.json

    def raw(self, data, shut=False, timeout=60):
        """Bytes of one connection: what comes until the other side closes."""
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        s.connect(self.path)
        try:
            s.sendall(data)
            if shut:
                s.shutdown(socket.SHUT_WR)
            got = b""
            while True:
                piece = s.recv(65536)
                if not piece:
                    return got
                got += piece
        finally:
            s.close()


def config(t, dbs, top="", name="c.yml", socket_lines="  path: %s\n"):
    """A configuration file with a socket at s.sock; dbs: texts of entries."""
    text = "socket:\n" + socket_lines.replace("%s", t.path("s.sock")) + top + "dbs:\n" + "".join(
        "  - " + entry.replace("\n", "\n    ") + "\n" for entry in dbs)
    if not dbs:
        text = text.replace("dbs:\n", "dbs: []\n")
    lib.write_file(t.path(name), text.encode())
    return t.path(name)


SLOW = "monitor-interval: 1h"


def entry(t, db, replica="replica", slow=False):
    if slow:
        return "path: %s\n%s\nreplica:\n  path: %s\n  sync-interval: 1h" % (db, SLOW, t.path(replica))
    return "path: %s\nreplica:\n  path: %s" % (db, t.path(replica))


def start(t, file, *flags, env=None):
    """(daemon, client), the socket answering."""
    d = t.daemon("replicate", "-config", file, *flags, env=env)
    d.wait_log("control socket listening")
    return d, Client(t.path("s.sock"))


def uploaded(t, c, db, timeout=20):
    """Waits until the replica has what is there."""
    r = c.post("/wait", {"path": db, "timeout": timeout})
    lib.equal(r.code, 200, "wait: %r" % r)
    return r.json["txid"]


def one(t, slow=False, top="", socket_lines="  path: %s\n", rows=1):
    """A database that is replicated: (daemon, client, path)."""
    db = t.database("app.db", rows=rows)
    d, c = start(t, config(t, [entry(t, db, slow=slow)], top=top, socket_lines=socket_lines))
    uploaded(t, c, db)
    return d, c, db


def refused(reply, code, error, details=None):
    lib.equal(reply.code, code, "code of %r" % reply)
    want = {"error": error}
    if details is not None:
        want["details"] = details
    lib.equal(reply.json, want, "body")
    lib.equal(list(reply.json), list(want), "order of keys")


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def resident_kb(pid):
    for line in lib.read_file("/proc/%d/status" % pid).decode().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0
