# SPDX-License-Identifier: MIT
"""Waiting for replication, the stream of events, and what becomes of both at the end: extensions of the control socket."""
import json
import os
import signal
import socket
import threading

import control
import lib


def test_wait(t):
    d, c, db = control.one(t, slow=True)
    t.insert(db)
    r = c.post("/wait", {"path": db}).json
    lib.equal(list(r), ["status", "path", "txid", "replicated_txid"])
    lib.equal((r["status"], r["txid"]), ("replicated", r["replicated_txid"]))
    t.ok("restore", "-o", t.path("out.db"), "file://" + t.path("replica"))
    lib.equal(lib.dump(t.path("out.db")), lib.dump(db))
    r = c.post("/wait", {"path": db, "txid": 99, "timeout": 1})
    lib.equal(r.code, 504)
    lib.equal(r.json, {"error": "timeout waiting for replication", "details": "txid 2 of 99"})
    control.refused(c.post("/wait", {"path": "/q"}), 404, "database not found: /q")
    lib.equal(list(json.loads(t.ok("wait", "-json", "-socket", t.path("s.sock"), db))), ["db_path", "txid", "replica_txid", "duration_ms"])
    lib.equal(t.error("wait", "-txid", "99", "-timeout", "1", "-socket", t.path("s.sock"), db),
              ["Error: wait failed: timeout waiting for replication"])
    lib.equal(c.rpc("wait", {"path": db})["result"]["status"], "replicated")


@lib.limit(120)
def test_a_thousand_waiting_callers(t):
    """They share syncs and uploads, and /list answers meanwhile."""
    d, c, db = control.one(t, slow=True)
    before = len([f for f in t.files("replica") if "/0/" in f])
    t.insert(db)
    body = json.dumps({"path": db, "txid": 3, "timeout": 60}).encode()
    request = b"POST /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    peers = []
    for _ in range(1000):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        s.connect(t.path("s.sock"))
        s.sendall(request)
        peers.append(s)
    t.wait(lambda: c.get("/txid?path=" + db).json["txid"] == 2, "the first sync")
    lib.equal(c.get("/list").code, 200)
    t.insert(db)
    lib.equal(c.post("/wait", {"path": db}).json["txid"], 3)
    for s in peers:
        got = b""
        while not got.endswith(b"}\n"):
            got += s.recv(4096)
        lib.contains(got.decode(), '"status":"replicated","path":"%s","txid":3,"replicated_txid":3}' % db)
        s.close()
    lib.equal(len([f for f in t.files("replica") if "/0/" in f]), before + 2, "files of level 0")


class Lines:
    """The JSON lines of a chunked answer, as they come."""

    def __init__(self, s):
        self.s, self.rest, self.seen = s, b"", []
        s.settimeout(60)

    def until(self, done):
        """Reads on until done(line) is true of one; returns that."""
        while True:
            *lines, self.rest = self.rest.replace(b"\r\n", b"\n").split(b"\n")
            for i, line in enumerate(lines):
                if not line.startswith(b"{"):
                    continue
                self.seen.append(json.loads(line))
                if done(self.seen[-1]):
                    self.rest = b"\n".join(lines[i + 1:] + [self.rest])
                    return self.seen[-1]
            piece = self.s.recv(65536)
            lib.check(piece, "the stream ended after %r" % self.seen)
            self.rest += piece

    def event(self, name):
        return self.until(lambda line: line["event"] == name)


def test_events(t):
    d, c, db = control.one(t)
    s = socket.socket(socket.AF_UNIX)
    s.connect(t.path("s.sock"))
    s.sendall(b"GET /events?path=%s HTTP/1.1\r\nHost: x\r\n\r\n" % db.encode())
    lines = Lines(s)
    first = lines.until(lambda line: True)
    lib.equal(list(first), ["time", "event", "path", "status", "txid", "replicated_txid", "lag_ms", "wal_size"])
    lib.equal((first["event"], first["path"], first["status"]), ("state", db, "replicating"))
    t.insert(db)
    # Each waits 50 ms for more of its kind: which of them comes first is not promised.
    last = lines.until(lambda _: {"synced", "replicated"} <= {x["event"] for x in lines.seen if x["txid"] > first["txid"]})
    lib.equal((last["txid"], last["replicated_txid"]), (first["txid"] + 1, first["txid"] + 1))
    c.post("/stop", {"path": db})
    lib.equal(lines.event("stopped")["status"], "stopped")
    d.send(signal.SIGTERM)
    lib.equal(d.wait(), 0)
    while s.recv(4096):
        pass


def test_list_watch(t):
    d, c, db = control.one(t)
    w = t.daemon("list", "-watch", "-socket", t.path("s.sock"))
    w.wait_log(" state " + db + " [replicating] ")
    t.insert(db)
    w.wait_log(" replicated " + db)
    d.stop()
    lib.equal(w.wait(), 0)
    j = t.daemon("list", "-watch", "-json", "-socket", t.path("s.sock"))
    lib.equal(j.wait(), 1)
    lib.contains(j.err_text(), "failed to connect to control socket: dial unix")


def test_shutdown_answers_who_waits(t):
    d, c, db = control.one(t)
    replies = []

    def ask():
        replies.append(c.post("/wait", {"path": db, "txid": 99, "timeout": 60}))
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    t.wait(lambda: c.get("/debug/sync-status").json["databases"][0].get("executor_waiter_count") == 3, "three callers")
    lib.equal(d.stop(), 0)
    for thread in threads:
        thread.join()
    lib.equal([r.code for r in replies], [500] * 3)


def test_persisting_fails(t):
    """The command succeeds, the log says why."""
    if os.geteuid() == 0:
        db = t.database()
        file = control.config(t, ["path: |-\n  %s\nreplica:\n  path: %s" % (db, t.path("replica"))],
                              socket_lines="  path: %s\n  persist-to-config: true\n")
    else:
        lib.skip("covered as root")
    d, c = control.start(t, file)
    lib.equal(c.post("/stop", {"path": db}).json["status"], "stopped")
    lib.contains(d.text(), 'level=WARN msg="failed to persist config"')
