# SPDX-License-Identifier: MIT
"""Profiles and metrics of a running daemon, read by Go's own tools where there are any."""
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import lib


class Connection(http.client.HTTPConnection):
    """HTTP over a socket file."""

    def __init__(self, path, timeout=60):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(d, target, method="GET", body=None):
    c = Connection(d.socket)
    c.request(method, target, body)
    r = c.getresponse()
    r.body = r.read()
    c.close()
    return r


def start(t, rows=50):
    db = t.database("app.db", rows=rows)
    config = t.path("rivulet.yml")
    lib.write_file(config, ("socket:\n  enabled: true\n  path: %s\ndbs:\n  - path: %s\n    replica:\n      url: file://%s\n"
                   % (t.path("s.sock"), db, t.path("replica"))).encode())
    d = t.daemon("replicate", "-config", config)
    d.socket, d.db = t.path("s.sock"), db
    t.wait(lambda: t.exists("replica/ltx/0"), "the first upload")
    return d


def pprof(t, *args):
    go = shutil.which("go") or "/usr/local/go/bin/go"
    if not os.path.exists(go):
        lib.skip("no go")
    env = dict(os.environ, GOTOOLCHAIN="local", PPROF_TMPDIR=t.path())
    r = subprocess.run([go, "tool", "pprof"] + list(args), capture_output=True, text=True, timeout=150, env=env)
    if r.returncode and "no such tool" in r.stderr:
        lib.skip("no pprof in this go")
    lib.equal(r.returncode, 0, "pprof %s: %s" % (args, r.stderr))
    return r.stdout


@lib.limit(240)
def test_every_profile_is_read_by_pprof(t):
    d = start(t)
    for name, unit in (("heap", "inuse_space/bytes"), ("allocs", "alloc_space/bytes"), ("goroutine", "goroutine/count"),
                       ("block", "contentions/count"), ("mutex", "contentions/count"), ("threadcreate", "threadcreate/count")):
        r = ask(d, "/debug/pprof/" + name)
        lib.equal((r.status, r.body[:2]), (200, b"\x1f\x8b"), name)
        lib.equal(r.getheader("X-Content-Type-Options"), "nosniff")
        lib.write_file(t.path(name), r.body)
        lib.contains(pprof(t, "-raw", t.path(name)), unit, name)
    lib.contains(pprof(t, "-top", t.path("goroutine")), "loop_run")
    for name in ("heap", "goroutine", "threadcreate"):
        lib.write_file(t.path(name + ".text"), ask(d, "/debug/pprof/%s?debug=1" % name).body)
        pprof(t, "-raw", t.path(name + ".text"))


@lib.limit(240)
def test_a_cpu_profile_names_our_functions(t):
    d = start(t)
    stop = threading.Event()

    def write():
        db = t.connect(d.db)
        while not stop.is_set():
            db.execute("INSERT INTO t (text) SELECT randomblob(200000)")
            db.commit()
        db.close()

    writer = threading.Thread(target=write)
    writer.start()
    first = Connection(d.socket)
    first.request("GET", "/debug/pprof/profile?seconds=4")
    second = ask(d, "/debug/pprof/profile?seconds=1")
    lib.equal((second.status, second.body.decode()),
              (500, "Could not enable CPU profiling: cpu profiling already in use\n"))
    lib.equal(ask(d, "/list").status, 200)  # meanwhile
    answer = first.getresponse()
    lib.write_file(t.path("cpu"), answer.read())
    stop.set()
    writer.join()
    lib.equal(answer.status, 200)
    top = pprof(t, "-top", "-cum", t.path("cpu"))
    lib.contains(top, "Type: cpu")
    lib.check(re.search(r"\b(db_sync|sync_run|loop_once)\b", top), "a function of ours:\n" + top)


@lib.limit(120)
def test_stacks_of_all_threads(t):
    d = start(t)
    r = ask(d, "/debug/pprof/goroutine?debug=2")
    lib.equal((r.status, r.getheader("Content-Type")), (200, "text/plain; charset=utf-8"))
    text = r.body.decode()
    threads = len(os.listdir("/proc/%d/task" % d.process.pid))
    lib.check(abs(len(re.findall(r"^goroutine \d+ \[", text, re.M)) - threads) <= 2, text)
    lib.contains(text, "loop_run(...)\n\t")
    lib.equal(ask(d, "/debug/pprof/trace").status, 501)
    lib.contains(ask(d, "/debug/pprof/cmdline").body.decode(), "replicate\0-config\0")
    address = re.search(r"# *\t(0x[0-9a-f]+)\tloop_run", ask(d, "/debug/pprof/goroutine?debug=1").body.decode())
    lib.equal(ask(d, "/debug/pprof/symbol?" + address.group(1)).body.decode(),
              "num_symbols: 1\n%s loop_run\n" % address.group(1))


@lib.limit(120)
def test_a_daemon_that_stops_answers_the_profile(t):
    d = start(t)
    c = Connection(d.socket)
    c.request("GET", "/debug/pprof/profile?seconds=600")
    lib.equal(ask(d, "/debug/pprof/profile?seconds=1").status, 500)  # the other one is under way
    lib.equal(d.stop(), 0)
    r = c.getresponse()
    lib.equal((r.status, r.read()[:2]), (200, b"\x1f\x8b"))
    shut = [line for line in d.text().splitlines() if "http server shutdown error" in line]
    lib.equal(shut, [], "nothing had to be waited for")


def catches_sigprof(pid):
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)", lib.read_file("/proc/%d/status" % pid).decode(), re.M).group(1)
    return bool(int(caught, 16) >> (signal.SIGPROF - 1) & 1)


def test_costs_nothing_until_asked(t):
    """No handler is there and no timer, whatever else is asked for; the CPU's timer ends with the profile."""
    d = start(t)
    for target in ("/list", "/info", "/metrics", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/block"):
        lib.equal(ask(d, target).status, 200, target)
    lib.check(not catches_sigprof(d.process.pid), "SIGPROF is taken")
    lib.equal(lib.read_file("/proc/%d/timers" % d.process.pid), b"")
    lib.equal(ask(d, "/debug/pprof/profile?seconds=1").status, 200)
    lib.check(catches_sigprof(d.process.pid), "SIGPROF was never taken: this test looks at the wrong place")
    lib.equal(ask(d, "/debug/pprof/profile?seconds=1").status, 200, "the one before has ended")


@lib.limit(120)
def test_sampling_disturbs_nobody(t):
    """Profiles one after the other while a writer commits: nothing fails, and the replica is right in the end."""
    d = start(t)
    end = time.time() + 8
    db = t.connect(d.db)
    while time.time() < end:
        ask(d, "/debug/pprof/goroutine?debug=2")
        ask(d, "/debug/pprof/goroutine")
        db.execute("INSERT INTO t (text) SELECT randomblob(3000)")
        db.commit()
    db.close()
    lib.equal(d.stop(), 0)
    lib.check("level=ERROR" not in d.err_text() and "level=WARN" not in d.err_text(), d.err_text())
    lib.equal(t.run("restore", "-o", t.path("out.db"), "file://" + t.path("replica")).code, 0)
    lib.equal(lib.dump(t.path("out.db")), lib.dump(d.db))


@lib.limit(120)
def test_metrics_of_the_dashboard(t):
    d = start(t)
    db = t.connect(d.db)
    db.execute("INSERT INTO t (text) SELECT randomblob(30000)")
    db.commit()
    db.close()
    t.wait(lambda: "} 2\n" in ask(d, "/metrics").body.decode(), "the second TXID")
    r = ask(d, "/metrics")
    lib.equal((r.status, r.getheader("Content-Type")), (200, "text/plain; version=0.0.4; charset=utf-8"))
    text = r.body.decode()
    for name in ("litestream_db_size", "litestream_wal_size", "litestream_total_wal_bytes", "litestream_txid",
                 "litestream_sync_count", "litestream_sync_error_count", "litestream_sync_seconds"):
        lib.check(re.search(r'^%s\{db="%s"\} [0-9.e+]+$' % (name, re.escape(d.db)), text, re.M), name + "\n" + text)
    lib.contains(text, 'litestream_replica_operation_total{operation="PUT",replica_type="file"} ')
    lib.contains(text, 'litestream_replica_operation_bytes{operation="PUT",replica_type="file"} ')
