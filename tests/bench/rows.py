# SPDX-License-Identifier: MIT
"""The rows: what is measured, and how. Each function takes a Bench and the program to be measured, and returns figures
by name; `floors` of the same row are measured once for all programs."""
import os
import resource
import sqlite3
import subprocess
import threading
import time

import tools
from tools import Arrivals, Daemon, Trouble, Writer


class Bench:
    """Sizes, and where the files are."""

    def __init__(self, folder, quick):
        self.folder, self.quick = folder, quick
        self.starts = 20 if quick else 40
        self.rss_after = 2 if quick else 15
        self.idle_from, self.idle_for = (4, 10) if quick else (90, 60)
        self.commits = 10 if quick else 60
        self.flood_s = 3 if quick else 20
        self.fleets = (1, 20) if quick else (1, 100, 1000, 5000)
        self.sleep_after, self.minute = (5, 10) if quick else (20, 60)
        self.large_mb = 100 if quick else 1000
        self.many_base_mb, self.many = (2, 200) if quick else (20, 2000)
        self.made = {}

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def fresh(self, name):
        """An empty folder."""
        tools.remove(self.path(name))
        os.makedirs(self.path(name))
        return self.path(name)

    def large(self):
        """A large database that nobody writes to."""
        if "large" not in self.made:
            self.made["large"] = os.path.join(self.fresh("large"), "app.db")
            tools.tool("writer", "fill", self.made["large"], self.large_mb)
            os.sync()
        return self.made["large"]

    def large_floor(self):
        """Seconds and CPU of cp and sync of it: medians of three, after one that is not counted. Memory that a virtual
        machine touches for the first time costs several times as much as the copying itself."""
        if "floor" not in self.made:
            tools.warm(self.large())
            runs = [tools.copy_and_sync(self.large(), self.path("copy.db")) for _ in range(4)][1:]
            self.made["floor"] = [tools.median(column) for column in zip(*runs)]
        return self.made["floor"]

    def chain(self):
        """A replica folder: a database and many level-0 files with one row each."""
        if "chain" not in self.made:
            top = self.fresh("many")
            database, replica = os.path.join(top, "app.db"), os.path.join(top, "replica")
            tools.tool("writer", "fill", database, self.many_base_mb)
            tools.tool("many", database, os.path.join(top, "meta"), self.many)
            os.makedirs(replica)
            os.rename(os.path.join(top, "meta", "ltx"), os.path.join(replica, "ltx"))
            os.sync()
            self.made["chain"] = (database, replica)
        return self.made["chain"]


def small_database(path):
    """About 100 KB, in WAL mode."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = wal")
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB)")
    db.execute("BEGIN")
    for _ in range(90):
        db.execute("INSERT INTO t (data) VALUES (randomblob(1000))")
    db.execute("COMMIT")
    db.close()
    return path


# ---- size, start ----

def size(_, binary):
    return {"bytes": os.path.getsize(binary)}


def start(b, binary):
    wall = [r["wall"] * 1000 for r in tools.measured([binary, "version"], b.starts)]
    return {"min": min(wall), "median": tools.median(wall)}


def start_floor(b):
    nothing = os.path.join(tools.TOOLS, "measure")
    wall = [r["wall"] * 1000 for r in tools.measured([nothing, "nothing"], b.starts)]
    return {"min": min(wall), "median": tools.median(wall)}


# ---- at rest: memory, a minute of idleness, the latency of single commits; all at the same time ----

def idle(b, binary):
    top = b.fresh("idle")
    found = {}
    with Daemon(binary, small_database(os.path.join(top, "app.db")), os.path.join(top, "replica")) as d:
        d.wait_first()
        other = threading.Thread(target=latency_into, args=(b, binary, found))
        time.sleep(b.rss_after)
        found["rss"] = d.kib("smaps_rollup", "Rss") / 1024
        found["dirty"] = d.kib("smaps_rollup", "Private_Dirty") / 1024
        other.start()
        time.sleep(max(0, d.began + b.idle_from - time.monotonic()))
        switches, written, files, cpu = d.switches(), d.written(), len(tools.level0(d.replica)), d.cpu()
        time.sleep(b.idle_for)
        after = d.switches()
        found["switches"] = sum(n - switches.get(task, 0) for task, n in after.items()) * 60 / b.idle_for
        found["written"] = d.written() - written
        found["files"] = len(tools.level0(d.replica)) - files
        found["cpu"] = (d.cpu() - cpu) * 1000
        other.join()
    if "trouble" in found:
        raise found["trouble"]
    return found


def latency_into(b, binary, found):
    try:
        found.update(latency(b, binary))
    except (Trouble, OSError, sqlite3.Error) as why:
        found["trouble"] = why


def holds(path, marker):
    try:
        with open(path, "rb") as f:
            return marker in f.read()
    except FileNotFoundError:
        return False


def latency(b, binary):
    """From the return of COMMIT to the appearance of the file that holds the row (a random marker says so)."""
    top = b.fresh("latency")
    replica = os.path.join(top, "replica")
    took = []
    path = small_database(os.path.join(top, "app.db"))
    with Daemon(binary, path, replica) as d:
        d.wait_first()
        folder = os.path.join(replica, "ltx", "0")
        db = sqlite3.connect(path, isolation_level=None, timeout=10)
        db.execute("PRAGMA synchronous = normal")
        seen = Arrivals(folder)
        for i in range(b.commits):
            time.sleep(1.1 + 0.037 * (i % 10)) # no beat with anybody's clock
            marker = os.urandom(24)
            seen.drop()
            db.execute("INSERT INTO t (data) VALUES (?)", (marker,))
            committed = time.monotonic()
            until, done = committed + 30, False
            while not done:
                names = seen.wait(until)
                now = time.monotonic()
                done = any(holds(os.path.join(folder, n), marker) for n in names)
                if not names:
                    raise Trouble("a commit did not reach the replica within 30 s")
            took.append((now - committed) * 1000)
        seen.close()
        db.close()
    return {"p50": tools.median(took), "p99": tools.percentile(took, 99), "worst": max(took)}


# ---- a writer at full speed ----

def flood_alone(b):
    top = b.fresh("alone")
    writer = Writer(os.path.join(top, "app.db"), b.flood_s)
    largest, result = watch(writer, os.path.join(top, "app.db-wal"))
    writer.close()
    tools.remove(top)
    return {"tps": result["transactions"] / result["seconds"], "max": result["max_ms"], "p99": result["p99_ms"],
            "wal": largest / 1e6, "app": result["user_us"] + result["sys_us"]}


def watch(writer, wal):
    largest, result = 0, None
    while result is None:
        time.sleep(0.02)
        try:
            largest = max(largest, os.path.getsize(wal))
        except FileNotFoundError:
            pass
        result = writer.result()
    return largest, result


def flood(b, binary):
    top = b.fresh("flood")
    path, replica = os.path.join(top, "app.db"), os.path.join(top, "replica")
    # A table and a row, so that the first copy is made before the flood.
    small_database(path)
    os.sync()
    with Daemon(binary, path, replica) as d:
        d.wait_first()
        cpu, written = d.cpu(), d.written()
        writer = Writer(path, b.flood_s)
        largest, result = watch(writer, path + "-wal")
        folder, marker, searched = os.path.join(replica, "ltx", "0"), bytes.fromhex(result["marker"]), set()
        arrived = None
        while arrived is None:
            now = time.monotonic()
            for name in reversed(tools.level0(replica)):
                if name in searched:
                    break
                searched.add(name)
                file = os.path.join(folder, name)
                # What came before the last commit cannot hold it; the file's time is that of its change under this name.
                if os.stat(file).st_ctime >= time.time() - (now - result["last_ns"] / 1e9) - 1 and holds(file, marker):
                    arrived = now
                    break
            if arrived is None:
                if now > result["last_ns"] / 1e9 + 120:
                    raise Trouble("the last row did not reach the replica within 120 s")
                time.sleep(0.005)
        found = {
            "tps": result["transactions"] / result["seconds"], "max": result["max_ms"], "p99": result["p99_ms"],
            "app": result["user_us"] + result["sys_us"], "wal": largest / 1e6, "cpu": (d.cpu() - cpu) * 1000 / (result["wal_bytes"] / 1e6), "rss": d.peak(),
            "lag": max(0, arrived - result["last_ns"] / 1e9), "bytes": (d.written() - written) / result["wal_bytes"],
        }
        writer.close()
    # A fast replica that does not hold the rows would be worth nothing.
    restored = os.path.join(top, "restored.db")
    tools.measured([binary, "restore", "-o", restored, "file://" + replica])
    db = sqlite3.connect(restored)
    rows = db.execute("SELECT count(*), max(id) FROM flood").fetchone()
    db.close()
    if rows != (result["rows"], result["rows"]):
        raise Trouble("restored rows: %r instead of %d" % (rows, result["rows"]))
    tools.remove(top)
    return found


# ---- large: first copy, restore ----

def first(b, binary):
    path, top = b.large(), b.fresh("first")
    replica = os.path.join(top, "replica")
    tools.remove(os.path.join(os.path.dirname(path), ".app.db-litestream"))
    tools.warm(path)
    os.sync()
    with Daemon(binary, path, replica) as d:
        d.wait_first()
        found = {"wall": time.monotonic() - d.began, "cpu": d.cpu(), "rss": d.peak(), "bytes": d.written() / 1e9}
    b.made["first"] = binary
    return found


def first_floor(b):
    wall, cpu = b.large_floor()
    return {"wall": wall, "cpu": cpu}


def restore(b, binary):
    replica = b.path("first", "replica")
    # Each restores the copy that it made itself.
    if b.made.get("first") != binary:
        first(b, binary)
    out = b.path("restored.db")
    for name in tools.level0(replica):
        tools.warm(os.path.join(replica, "ltx", "0", name))
    runs = []
    for _ in range(3):
        tools.remove(out)
        os.sync()
        runs += tools.measured([binary, "restore", "-o", out, "file://" + replica])
    same_content(b.large(), out)
    tools.remove(out)
    return {"wall": tools.median([r["wall"] for r in runs]), "cpu": tools.median([r["cpu"] for r in runs]),
            "rss": max(r["rss"] for r in runs)}


def same_content(one, other):
    """Byte for byte, but for what the opening of a database changes: its header's counters."""
    with open(one, "rb") as f, open(other, "rb") as g:
        at = 0
        while True:
            x, y = f.read(1 << 22), g.read(1 << 22)
            if at == 0:
                x, y = x[100:], y[100:]
            if x != y:
                raise Trouble("%s is not what was restored to %s" % (one, other))
            if not x:
                return
            at += len(x)


# ---- many small files ----

def many(b, binary):
    _, replica = b.chain()
    out = b.path("many.db")
    command = [binary, "restore", "-o", out, "file://" + replica]
    runs = []
    for _ in range(5):
        tools.remove(out)
        runs += tools.measured(command)
    found = {"wall": tools.median([r["wall"] for r in runs]), "cpu": tools.median([r["cpu"] for r in runs]),
             "rss": max(r["rss"] for r in runs), "files": 0}
    db = sqlite3.connect(out)
    rows = db.execute("SELECT count(*) FROM many").fetchone()[0]
    db.close()
    if rows != b.many:
        raise Trouble("restored rows: %d instead of %d" % (rows, b.many))
    # Descriptors: once more, counted all the while.
    tools.remove(out)
    p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         env=tools.environment())
    while p.poll() is None:
        try:
            found["files"] = max(found["files"], len(os.listdir("/proc/%d/fd" % p.pid)))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            pass
    tools.remove(out)
    return found


def many_floor(b):
    database, replica = b.chain()
    wall, cpu = tools.copy_and_sync(database, b.path("copy.db"))
    began = time.monotonic()
    used = resource.getrusage(resource.RUSAGE_SELF)
    for name in tools.level0(replica):
        with open(os.path.join(replica, "ltx", "0", name), "rb", buffering=0) as f:
            f.read()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {"wall": wall + time.monotonic() - began,
            "cpu": cpu + after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime}
