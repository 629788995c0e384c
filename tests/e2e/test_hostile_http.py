# SPDX-License-Identifier: MIT
"""Clients of the control socket that mean harm, or are only broken. The daemon answers others meanwhile, goes on replicating,
and has its descriptors and its memory back when they are gone."""
import json
import os
import random
import resource
import select
import signal
import socket
import time

import control
import lib


def begin(t, **more):
    db = t.database(rows=10)
    d, c = control.start(t, control.config(t, [control.entry(t, db)], **more))
    control.uploaded(t, c, db)
    alive(t, d, c, db)  # what the first write opens is open before anything is counted
    return d, c, db


def dial(t, timeout=30):
    while True:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        try:
            s.connect(t.path("s.sock"))
            return s
        except BlockingIOError:  # the daemon's queue is full: with a time-out Python does not wait for it
            s.close()
            time.sleep(0.001)


def alive(t, d, c, db):
    """It answers, and what is written now gets to the replica."""
    lib.check(d.alive(), "the daemon is gone:\n" + d.text())
    t.insert(db)
    lib.equal(c.post("/wait", {"path": db}).code, 200)


def back(t, d, descriptors, what="descriptors"):
    try:
        t.wait(lambda: control.descriptors(d.pid) <= descriptors, what, 20)
    except lib.Failure as why:
        folder, targets = "/proc/%d/fd" % d.pid, []
        for number in os.listdir(folder):
            try:
                targets.append("%s %s" % (number, os.readlink(os.path.join(folder, number))))
            except FileNotFoundError:
                pass
        raise lib.Failure("%s: %d before, now\n%s" % (why, descriptors, "\n".join(sorted(targets)[:60])))


def everything(s):
    got = b""
    try:
        while True:
            piece = s.recv(65536)
            if not piece:
                return got
            got += piece
    except (ConnectionResetError, BrokenPipeError):
        return got


def test_one_byte_at_a_time(t):
    d, c, db = begin(t)
    before = control.descriptors(d.pid)
    request = b"POST /sync HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(json.dumps({"path": db}))
    request += json.dumps({"path": db}).encode()
    slow = [dial(t) for _ in range(100)]
    for byte in range(len(request)):
        for s in slow:
            s.sendall(request[byte:byte + 1])
        if byte % 40 == 0:
            lib.equal(c.get("/list").code, 200)
    for s in slow:
        lib.contains(everything(s).decode(), '"path":"%s"' % db)
        s.close()
    back(t, d, before)


@lib.limit(180)
def test_ten_thousand_connections(t):
    """Most of them idle, some half-sent; others are served; nothing is left of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(10000, hard // 2 - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    d, c, db = begin(t)
    c.get("/list")
    descriptors, memory = control.descriptors(d.pid), control.resident_kb(d.pid)
    peers = []
    for i in range(count):
        s = dial(t)
        if i % 3 == 1:
            s.sendall(b"GET /list HTTP/1.1\r\nHo")
        elif i % 3 == 2:
            s.sendall(b'{"jsonrpc":"2.0","met')
        peers.append(s)
    lib.equal(c.get("/list").code, 200)
    t.wait(lambda: control.descriptors(d.pid) > count - 300, "all connections", 30)
    full = control.resident_kb(d.pid)
    alive(t, d, c, db)
    for s in peers:
        s.close()
    back(t, d, descriptors)
    t.wait(lambda: control.resident_kb(d.pid) < memory + 6000, "memory (%d kB before, %d with %d connections, now %d)" % (
        memory, full, count, control.resident_kb(d.pid)), 20)
    lib.check(full - memory < 10 * count, "%d kB for %d connections" % (full - memory, count))
    alive(t, d, c, db)


def test_more_connections_than_allowed(t):
    """A limit of descriptors: the oldest that wait are dropped, new ones are served, databases keep theirs."""
    db = t.database(rows=10)
    file = control.config(t, [control.entry(t, db)])
    d = t.daemon("-c", "ulimit -Sn 400; ulimit -Hn 400; exec %s replicate -config %s" % (lib.BINARY, file), program="/bin/sh")
    d.wait_log("control socket listening")
    c = control.Client(t.path("s.sock"))
    control.uploaded(t, c, db)
    peers = [dial(t) for _ in range(600)]
    alive(t, d, c, db)
    lib.check(control.descriptors(d.pid) < 300)
    dropped = sum(1 for s in peers if select.select([s], [], [], 0)[0] and s.recv(1) == b"")
    lib.check(dropped >= 300, "%d were dropped" % dropped)


def test_heads_without_end(t):
    d, c, db = begin(t)
    memory = control.resident_kb(d.pid)
    for start in (b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nA: ", b""):
        s = dial(t)
        sent = 0
        try:
            s.sendall(start)
            while sent < 64 << 20:
                s.sendall(b"x" * 65536)
                sent += 65536
        except (BrokenPipeError, ConnectionResetError):
            pass
        s.close()
        lib.check(sent < 64 << 20, "%d bytes of a head were taken" % sent)
    s = dial(t)
    try:
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200000)
    except (BrokenPipeError, ConnectionResetError):
        pass
    got = everything(s)
    lib.check(b" 431 " in got or not got, got[:100])
    alive(t, d, c, db)
    t.wait(lambda: control.resident_kb(d.pid) < memory + 6000, "memory", 20)


def test_bodies_that_lie(t):
    d, c, db = begin(t)
    descriptors = control.descriptors(d.pid)
    head = b"POST /sync HTTP/1.1\r\nHost: x\r\n"
    for lines, want in ((b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", b" 400 "),
                        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b" 400 "),
                        (b"Content-Length: 99999999999999999999\r\n\r\n", b" 400 "),
                        (b"Content-Length: 1073741824\r\n\r\n", b" 413 "),
                        (b"Content-Length: 1073741824\r\nExpect: 100-continue\r\n\r\n", b" 413 "),
                        (b"Transfer-Encoding: gzip\r\n\r\n", b" 501 "),
                        (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b" 400 "),
                        (b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n" + b"x" * (1 << 20) + b"x" * 70000, b" 413 "),
                        (b"Content-Length: 2\r\n\r\n{}" + b"\0\1\2garbage\r\n\r\n", b" 400 ")):
        s = dial(t)
        try:
            s.sendall(head + lines)
        except (BrokenPipeError, ConnectionResetError):
            pass
        got = everything(s)
        s.close()
        lib.contains(got.decode(errors="replace"), want.decode(), repr(lines[:80]))
    # Fewer bytes than announced, then nothing, or the end.
    s = dial(t)
    s.sendall(head + b"Content-Length: 100\r\n\r\n{}")
    s.shutdown(socket.SHUT_WR)
    lib.equal(everything(s), b"")
    back(t, d, descriptors)
    alive(t, d, c, db)


def test_noise(t):
    """Random bytes, and mutations of good requests."""
    rnd = random.Random(7)
    d, c, db = begin(t)
    descriptors = control.descriptors(d.pid)
    good = [b"GET /list HTTP/1.1\r\nHost: x\r\n\r\n", b'{"jsonrpc":"2.0","method":"list","id":1}',
            b"POST /sync HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            b'POST /control/ HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n{"jsonrpc":"2.0","method":"info","id":1}']
    for i in range(2000):
        data = bytearray(rnd.choice(good)) if i % 4 else bytearray(rnd.getrandbits(8) for _ in range(rnd.randrange(1, 400)))
        for _ in range(rnd.randrange(0, 6)):
            data[rnd.randrange(len(data))] = rnd.getrandbits(8)
        s = dial(t)
        try:
            s.sendall(data)
            if rnd.random() < 0.5:
                s.shutdown(socket.SHUT_WR)
                everything(s)
        except (BrokenPipeError, ConnectionResetError):
            pass
        s.close()
    back(t, d, descriptors)
    alive(t, d, c, db)


def test_pipelined(t):
    d, c, db = begin(t)
    s = dial(t)
    body = json.dumps({"path": db}).encode()
    sync = b"POST /sync HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    s.sendall((b"GET /list HTTP/1.1\r\nHost: x\r\n\r\n" + sync) * 200 + b"GET /info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    got = everything(s)
    lib.equal((got.count(b'{"databases":'), got.count(b'{"status":"no_change"'), got.count(b'"uptime_seconds"')), (200, 200, 1))
    lib.equal(got.count(b"HTTP/1.1 200 OK"), 401)


def test_half_closed(t):
    """Like `printf … | nc -U`: no more is coming, the answer is wanted all the same."""
    d, c, db = begin(t)
    t.insert(db)
    s = dial(t)
    body = json.dumps({"path": db}).encode()
    s.sendall(b"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    s.shutdown(socket.SHUT_WR)
    lib.contains(everything(s).decode(), '"status":"replicated"')


def test_clients_that_vanish(t):
    """In each state of a request and of its answer."""
    d, c, db = begin(t)
    descriptors = control.descriptors(d.pid)
    body = json.dumps({"path": db, "txid": 999, "timeout": 60}).encode()
    states = [b"", b"G", b"GET /list HTTP/1.1\r\n", b"GET /list HTTP/1.1\r\nHost: x\r\n\r\n", b'{"jsonrpc"',
              b'{"jsonrpc":"2.0","method":"list","id":1}', b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n",
              b"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body),
              b"POST /sync HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
              b"GET /debug/pprof/profile?seconds=30 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"]
    for _ in range(20):
        for state in states:
            s = dial(t)
            s.sendall(state)
            if random.random() < 0.5:
                s.setblocking(False)
                try:
                    s.recv(100)
                except BlockingIOError:
                    pass
            s.close()
    back(t, d, descriptors + 1)  # a profile may still be under way
    t.wait(lambda: "executor_waiter_count" not in c.get("/debug/sync-status").json["databases"][0], "no caller left")
    alive(t, d, c, db)


def test_readers_that_do_not_read(t):
    """Of events and of answers: bounded, and everybody else is served."""
    d, c, db = begin(t)
    memory = control.resident_kb(d.pid)
    stuck = [dial(t) for _ in range(50)]
    for s in stuck[:25]:
        s.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    for s in stuck[25:]:
        s.setblocking(False)
        try:
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)
        except BlockingIOError:
            pass
    for _ in range(300):
        c.post("/stop", {"path": db})
        c.post("/start", {"path": db})
    lib.check(control.resident_kb(d.pid) < memory + 25 * 400 + 8000,
              "%d kB, %d before" % (control.resident_kb(d.pid), memory))
    for s in stuck:
        s.close()
    alive(t, d, c, db)


def test_a_shutdown_with_clients_that_do_not_go(t):
    d, c, db = begin(t)
    peers = [dial(t) for _ in range(20)]
    for i, s in enumerate(peers):
        s.sendall((b"", b"GET /lis", b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n",
                   b"GET /list HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)[i % 4])
    began = time.monotonic()
    lib.equal(d.stop(signal.SIGTERM), 0)
    lib.check(time.monotonic() - began < 20)
    lib.check(not t.exists("s.sock"))
    for s in peers:
        everything(s)


def test_a_stopped_daemon_answers_later(t):
    """Its queue takes connections; they are served when it goes on."""
    d, c, db = begin(t)
    d.send(signal.SIGSTOP)
    peers = [dial(t) for _ in range(100)]
    for s in peers:
        s.sendall(b"GET /info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    lib.equal(t.error("list", "-socket", t.path("s.sock"), "-timeout", "1", timeout=60)[0],
              "Error: failed to connect to control socket: context deadline exceeded")
    d.send(signal.SIGCONT)
    for s in peers:
        lib.contains(everything(s).decode(), '"pid":%d' % d.pid)


def test_the_socket_is_removed_by_somebody(t):
    """The daemon goes on; at its end there is nothing to remove, or what is there is not its own."""
    d, c, db = begin(t)
    os.unlink(t.path("s.sock"))
    lib.write_file(t.path("s.sock"), b"another's")
    lib.equal(d.stop(), 0)
    lib.equal(lib.read_file(t.path("s.sock")), b"another's")
