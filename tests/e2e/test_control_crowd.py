# SPDX-License-Identifier: MIT
"""Sixteen clients steer one database at random while an application writes to it. Every answer is one of those that the
specification allows, and at the end the replica holds exactly what was committed.

RIVULET_CROWD_SECONDS: how long (6)."""
import os
import random
import socket
import threading
import time

import control
import lib
import oracle

SECONDS = float(os.environ.get("RIVULET_CROWD_SECONDS", "6"))
CLIENTS = 16

ALLOWED = {
    "/start": {(200, "started"), (200, "already_running"), (500, "database not found: P")},
    "/stop": {(200, "stopped"), (200, "already_stopped"), (500, "database not found: P")},
    "/register": {(200, "registered"), (200, "already_registered")},
    "/unregister": {(200, "unregistered"), (200, "already_unregistered")},
    "/sync": {(200, "synced"), (200, "synced_local"), (200, "no_change"), (404, "database not found: P"),
              (409, "database not open: P")},
    "/wait": {(200, "replicated"), (404, "database not found: P"), (409, "database not open: P")},
}


class Crowd:
    def __init__(self, t, c, db, url):
        self.t, self.c, self.db, self.url = t, c, db, url
        self.until = time.monotonic() + SECONDS
        self.problems, self.counts, self.lock = [], {}, threading.Lock()
        self.event_bytes = 0

    def one(self, rnd):
        path = rnd.choice(["/start"] * 4 + ["/stop"] * 2 + ["/register"] * 3 + ["/unregister"] + ["/sync"] * 4 + ["/wait"] * 2)
        body = {"path": self.db}
        if path == "/register":
            body["replica_url"] = self.url
        if path == "/sync":
            body["wait"] = rnd.random() < 0.5
        if path not in ("/register", "/start"):
            body["timeout"] = 60
        r = self.c.post(path, body, timeout=120)
        word = r.json.get("status", r.json.get("error", "")).replace(self.db, "P")
        with self.lock:
            self.counts[(path, r.code, word)] = self.counts.get((path, r.code, word), 0) + 1
            if (r.code, word) not in ALLOWED[path]:
                self.problems.append("%s: %r" % (path, r))

    def client(self, seed):
        rnd = random.Random(seed)
        try:
            while time.monotonic() < self.until and not self.problems:
                self.one(rnd)
        except Exception as e:  # a connection that was cut is a failure too
            with self.lock:
                self.problems.append("client %d: %r" % (seed, e))

    def listen(self):
        """Two readers of events are there all the time; one of them never reads."""
        peers = []
        for _ in range(2):
            s = socket.socket(socket.AF_UNIX)
            s.connect(self.t.path("s.sock"))
            s.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            peers.append(s)

        def read():
            while peers[0].recv(65536):
                self.event_bytes += 1
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return peers

    def run(self):
        peers = self.listen()
        threads = [threading.Thread(target=self.client, args=(seed,)) for seed in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lib.check(self.event_bytes > 0, "no events")
        for s in peers:
            s.shutdown(socket.SHUT_RDWR)
            s.close()


@lib.limit(int(SECONDS) + 120)
def test_sixteen_clients(t):
    db = oracle.create(t)
    url = oracle.url(t.path("replica"))
    d, c = control.start(t, control.config(t, [control.entry(t, db)]))
    control.uploaded(t, c, db)
    w = oracle.Writer(t, db, sleep_ms=2)
    w.wait_for(5)
    before = control.descriptors(d.pid)
    crowd = Crowd(t, c, db, url)
    crowd.run()
    lib.equal(crowd.problems[:3], [], "answers")
    for kind in ("/start", "/stop", "/register", "/unregister", "/sync", "/wait"):
        lib.check(any(key[0] == kind and key[1] == 200 for key in crowd.counts), "no success of %s: %r" % (kind, crowd.counts))
    last = w.stop()
    c.post("/register", {"path": db, "replica_url": url})
    c.post("/start", {"path": db})
    lib.equal(c.post("/wait", {"path": db, "timeout": 60}).json["status"], "replicated")
    t.wait(lambda: control.descriptors(d.pid) <= before + 2, "descriptors", 20)
    lib.equal(d.stop(), 0)
    lib.equal(oracle.prefix(oracle.restore(t, t.path("replica"))), {1: last})
    for line in d.text().splitlines():
        lib.check("level=ERROR" not in line, line)
