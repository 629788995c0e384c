# SPDX-License-Identifier: MIT
"""Rows about the control socket. What asks is a program in C (clients.c): threads of Python would be measured, not the daemon."""
import http.client
import json
import os
import socket
import sqlite3
import subprocess
import threading
import time

import fleet
import tools
from tools import Daemon

SIZES = (1, 100, 1000)


def at_most(limit):
    return lambda value, floor: value <= limit


def lines(line):
    """line: the class of a figure in run."""
    for n in SIZES:
        yield line("control", "rate-%d" % n, "`/list` of %d databases, one keep-alive connection: answers a second" % n,
                   "{:,.0f}", "–", None, "–")
    for key, what, aim in (("idle", "`litestream-sync -wait`, nothing to copy", 3), ("commit", "… each after a commit", 3)):
        yield line("control", "applet-%s-p50" % key, what + ": p50", "{:.2f} ms", "≤ %d" % aim, at_most(aim), "–")
        yield line("control", "applet-%s-p99" % key, "… p99", "{:.2f} ms", "–", None, "–")
    for path in ("sync", "wait"):
        yield line("control", path + "-p50", "`/%s` until the replica has it, each after a commit: p50" % path, "{:.2f} ms",
                   "–", None, "–")
        yield line("control", path + "-p99", "… p99", "{:.2f} ms", "–", None, "–")
    yield line("control", "busy-p50", "`/list` beside 100 loops of `sync -wait` and a CPU profile: p50", "{:.3f} ms", "≤ 1",
               at_most(1), "–")
    yield line("control", "busy-p99", "… p99", "{:.3f} ms", "–", None, "–")
    yield line("control", "busy-syncs", "… syncs answered a second", "{:,.0f}", "–", None, "–")
    yield line("control", "idle-bytes", "an open idle connection: resident bytes", "{:,.0f}", "–", None, "–")
    yield line("control", "churn-rss", "10,000 connections came and went: resident more", "{:.2f} MiB", "–", None, "–")
    yield line("control", "churn-fds", "… descriptors more", "{:,.0f}", "0", at_most(0), "–")


class Asked:
    """A daemon with `count` databases and a control socket."""

    def __init__(self, b, binary, count):
        self.top, self.databases = fleet.make_fleet(b, count)
        self.socket = os.path.join(self.top, "s.sock")
        config = fleet.write_config(os.path.join(self.top, "c.yml"), "socket:\n  enabled: true\n  path: %s\n" % self.socket,
                                    self.databases)
        self.daemon = Daemon(binary, None, os.path.join(self.top, "replicas"), config)

    def __enter__(self):
        self.daemon.__enter__()
        self.daemon.wait(lambda: fleet.have_replicas(self.databases), "replicas", 300, 0.05)
        time.sleep(1)
        return self

    def __exit__(self, *why):
        self.daemon.__exit__(*why)
        tools.remove(self.top)

    def command(self, count, seconds, target, body=None, pause_us=0, commits=None):
        words = ["ask", self.socket, count, int(seconds * 1000), pause_us, commits or "-", target]
        return [str(w) for w in words + ([json.dumps(body)] if body else [])]

    def ask(self, *what, **more):
        found = json.loads(tools.tool("clients", *self.command(*what, **more)))
        if found["refused"]:
            raise tools.Trouble("%d requests were refused" % found["refused"])
        return found


def rates(b, binary):
    found = {}
    for n in SIZES[:2] if b.quick else SIZES:
        with Asked(b, binary, n) as a:
            asked = a.ask(1, 1 if b.quick else 3, "/list")
            found["rate-%d" % n] = asked["answers"] / asked["seconds"]
    return found


def applet(a, b, binary):
    """The round trip of the program, as a script starts it."""
    link = os.path.join(a.top, "litestream-sync")
    os.symlink(binary, link)
    path = a.databases[0][0]
    words = [link, "-wait", "-socket", a.socket, path]
    count = 20 if b.quick else 300
    idle = [r["wall"] * 1000 for r in tools.measured(words, count)]
    db = sqlite3.connect(path, isolation_level=None, timeout=10)
    db.execute("PRAGMA synchronous = normal")
    after = []
    for _ in range(count):
        db.execute("INSERT INTO t (data) VALUES (randomblob(200))")
        after.append(tools.measured(words)[0]["wall"] * 1000)
    db.close()
    return {"applet-%s-p%d" % (key, p): tools.percentile(took, p) for key, took in (("idle", idle), ("commit", after))
            for p in (50, 99)}


def profile(path, seconds):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    c = http.client.HTTPConnection("x")
    c.sock = s
    c.request("GET", "/debug/pprof/profile?seconds=%d" % seconds)
    c.getresponse().read()
    c.close()


def busy(a, b):
    """How long /list takes while the daemon is at its busiest."""
    seconds, path = 3 if b.quick else 30, a.databases[0][0]
    profiler = threading.Thread(target=profile, args=(a.socket, seconds))
    profiler.start()
    command = a.command(100, seconds, "/sync", {"path": path, "wait": True}, commits=path)
    crowd = subprocess.Popen([os.path.join(tools.TOOLS, "clients"), *command], stdout=subprocess.PIPE)
    time.sleep(0.5)
    asked = a.ask(1, seconds - 1, "/list", pause_us=2000)
    syncs = json.loads(crowd.communicate(timeout=120)[0])
    profiler.join()
    return {"busy-p50": asked["p50"], "busy-p99": asked["p99"], "busy-syncs": syncs["answers"] / syncs["seconds"]}


def connections(a, b):
    count, d = 500 if b.quick else 5000, a.daemon
    tools.tool("clients", "churn", a.socket, 1000)
    time.sleep(1)
    rss, fds = d.kib("smaps_rollup", "Rss"), d.descriptors()
    holder = subprocess.Popen([os.path.join(tools.TOOLS, "clients"), "hold", a.socket, str(count)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    holder.stdout.readline()
    found = {"idle-bytes": (d.kib("smaps_rollup", "Rss") - rss) * 1024 / max(1, d.descriptors() - fds)}
    holder.communicate()
    tools.tool("clients", "churn", a.socket, 1000 if b.quick else 10000)
    time.sleep(2)
    found["churn-rss"] = (d.kib("smaps_rollup", "Rss") - rss) / 1024
    found["churn-fds"] = d.descriptors() - fds
    return found


def control(b, binary):
    found = rates(b, binary)
    with Asked(b, binary, 1) as a:
        found.update(connections(a, b))
        found.update(applet(a, b, binary))
        path = a.databases[0][0]
        for target, body in (("sync", {"path": path, "wait": True}), ("wait", {"path": path})):
            asked = a.ask(1, 1 if b.quick else 5, "/" + target, body, commits=path)
            found[target + "-p50"], found[target + "-p99"] = asked["p50"], asked["p99"]
        found.update(busy(a, b))
    return found
