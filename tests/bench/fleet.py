# SPDX-License-Identifier: MIT
"""Rows about a daemon with a configuration file: a fleet of idle databases, a steady stream, compaction."""
import os
import shutil
import sqlite3
import time

import rows
import tools
from tools import Arrivals, Daemon, Trouble


def write_config(path, text, databases, extra=""):
    """databases: [(database, replica folder)]; extra: lines for each entry of dbs."""
    with open(path, "w") as f:
        f.write(text + "dbs:\n")
        for database, replica in databases:
            f.write("  - path: %s\n%s    replica:\n      type: file\n      path: %s\n" % (database, extra, replica))
    return path


# ---- many databases, nobody writes ----

def make_fleet(b, count):
    top = b.fresh("fleet")
    first = rows.small_database(os.path.join(top, "0.db"))
    made = [first] + [os.path.join(top, "%d.db" % i) for i in range(1, count)]
    for path in made[1:]:
        shutil.copyfile(first, path)
    os.mkdir(os.path.join(top, "replicas"))
    return top, [(path, os.path.join(top, "replicas", os.path.basename(path))) for path in made]


def have_replicas(fleet):
    """Counted from the end: the last ones tell most, and a look at all of them would cost more than the daemon does."""
    return all(tools.level0(replica) for _, replica in reversed(fleet))


def fleet(b, binary):
    """Figures of each size, named KEY-COUNT. `active` is before the databases go to sleep, `idle` after it."""
    found = {}
    for count in b.fleets:
        top, databases = make_fleet(b, count)
        # One level: what the start wrote is not touched again every five minutes, and then in an hour, but at rest soon.
        config = write_config(os.path.join(top, "config.yml"),
                              "idle-timeout: %ds\nlevels:\n  - interval: 30s\n" % b.sleep_after, databases)
        with Daemon(binary, None, os.path.join(top, "replicas"), config) as d:
            d.wait(lambda: have_replicas(databases), "a replica of each of %d databases" % count, 300, 0.05)
            found["start-%d" % count] = time.monotonic() - d.began
            time.sleep(b.sleep_after / 4)
            found["active-rss-%d" % count] = d.kib("smaps_rollup", "Rss") / 1024
            found["active-fds-%d" % count] = d.descriptors()
            # Compaction and the first snapshots of what the start wrote: what is measured is rest.
            time.sleep(b.sleep_after * 2 + (0 if b.quick else 60))
            found["rss-%d" % count] = d.kib("smaps_rollup", "Rss") / 1024
            found["dirty-%d" % count] = d.kib("smaps_rollup", "Private_Dirty") / 1024
            found["fds-%d" % count] = d.descriptors()
            switches, cpu, written = d.switches(), d.cpu(), d.written()
            time.sleep(b.minute)
            found["switches-%d" % count] = d.switches_since(switches) * 60 / b.minute
            found["cpu-%d" % count] = (d.cpu() - cpu) * 1000 * 60 / b.minute
            found["written-%d" % count] = d.written() - written
            wake(databases[-1])
        tools.remove(top)
    return found


def wake(pair):
    """A fleet that sleeps too well would be worth nothing."""
    database, replica = pair
    marker = os.urandom(24)
    db = sqlite3.connect(database, isolation_level=None, timeout=10)
    db.execute("INSERT INTO t (data) VALUES (?)", (marker,))
    until = time.monotonic() + 30
    folder = os.path.join(replica, "ltx", "0")
    while not any(rows.holds(os.path.join(folder, n), marker) for n in tools.level0(replica)):
        if time.monotonic() > until:
            raise Trouble("a commit to a sleeping database did not reach its replica within 30 s")
        time.sleep(0.01)
    db.close()


# ---- a steady stream ----

def stream(b, binary):
    """Commits 20 to 200 ms apart, with monitor-interval and sync-interval at 10 ms."""
    top = b.fresh("stream")
    replica, path = os.path.join(top, "replica"), rows.small_database(os.path.join(top, "app.db"))
    config = os.path.join(top, "config.yml")
    with open(config, "w") as f:
        f.write("dbs:\n  - path: %s\n    monitor-interval: 10ms\n    replica:\n      path: %s\n"
                "      sync-interval: 10ms\n" % (path, replica))
    took = []
    with Daemon(binary, path, replica, config) as d:
        d.wait_first()
        folder = os.path.join(replica, "ltx", "0")
        db = sqlite3.connect(path, isolation_level=None, timeout=10)
        db.execute("PRAGMA synchronous = normal")
        seen = Arrivals(folder)
        for i in range(20 if b.quick else 200):
            time.sleep(0.02 + 0.18 * (i * 7 % 20) / 20)
            marker = os.urandom(24)
            seen.drop()
            db.execute("INSERT INTO t (data) VALUES (?)", (marker,))
            committed, until = time.monotonic(), time.monotonic() + 30
            while True:
                names = seen.wait(until)
                now = time.monotonic()
                if any(rows.holds(os.path.join(folder, n), marker) for n in names):
                    break
                if not names:
                    raise Trouble("a commit did not reach the replica within 30 s")
            took.append((now - committed) * 1000)
        seen.close()
        db.close()
    return {"p50": tools.median(took), "p99": tools.percentile(took, 99)}


# ---- compaction ----

def compaction(b, binary):
    """A chain of many small files becomes one file of level 1: MB of level 0 per second of CPU."""
    database, chain = b.chain()
    top = b.fresh("compaction")
    replica = os.path.join(top, "replica")
    shutil.copytree(chain, replica)
    size = sum(os.path.getsize(os.path.join(replica, "ltx", "0", n)) for n in tools.level0(replica))
    last = tools.level0(replica)[-1][:16]
    meta = os.path.join(os.path.dirname(database), "meta-compaction")
    tools.remove(meta)
    shutil.copytree(os.path.join(chain, "ltx"), os.path.join(meta, "ltx"))
    config = write_config(os.path.join(top, "config.yml"), "levels:\n  - interval: 1s\nl0-retention: 1h\n",
                          [(database, replica)], "    meta-path: %s\n" % meta)
    folder = os.path.join(replica, "ltx", "1")

    def done():
        return os.path.isdir(folder) and any(n[17:33] >= last for n in os.listdir(folder) if tools.LTX_NAME.fullmatch(n))

    with Daemon(binary, database, replica, config) as d:
        d.wait(done, "a file of level 1 up to " + last, 120)
        found = {"mbs": size / 1e6 / max(d.cpu(), 0.01), "wall": time.monotonic() - d.began, "rss": d.peak()}
    tools.remove(meta)
    tools.remove(top)
    return found
