# SPDX-License-Identifier: MIT
"""Idle and busy: what is written, when, and what the log says (control.md 5.2, 5.7; cases.md 7)."""
import json
import os
import re
import subprocess
import time

import lib
import oracle

TIME = r"time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(?:Z|[+-]\d\d:\d\d)"
HEX = "[0-9a-f]{16}"
SYSTEM = r"system=store db=app\.db"
LINES = [
    r'level=INFO msg=litestream version=\S+ level=\w+',
    r'level=INFO msg="replicating to" type=file sync-interval=1s path=/\S+/replica',
    r'level=INFO msg="initialized db" (system=store )?path=/\S+/app\.db',
    r'level=INFO msg="ltx file uploaded" %s replica=file level=0 minTXID=%s maxTXID=%s size=\d+' % (SYSTEM, HEX, HEX),
    r'level=INFO msg="replica sync" %s replica=file txid\.replica=%s txid\.db=%s' % (SYSTEM, HEX, HEX),
    r'level=DEBUG msg=sync %s txid=%s offset=\d+( chkpt=true)?( snap=true reason=("[^"]+"|\S+))?' % (SYSTEM, HEX),
    r'level=DEBUG msg=checkpoint %s mode=PASSIVE result=[01],\d+,\d+' % SYSTEM,
    r'level=INFO msg="compaction complete" %s level=\d txid\.min=%s txid\.max=%s size=\d+' % (SYSTEM, HEX, HEX),
    r'level=INFO msg="snapshot complete" %s txid=%s size=\d+' % (SYSTEM, HEX),
    r'level=INFO msg="l0 retention enforced" %s deleted_count=\d+ max_l1_txid=%s' % (SYSTEM, HEX),
    r'level=DEBUG msg="database (is at rest|wakes up)" %s' % SYSTEM,
    r'level=DEBUG msg=state %s from=\w+ to=\w+' % SYSTEM,
    r'level=INFO msg="starting compaction monitor" system=store level=\d interval=\w+',
    r'level=INFO msg="starting L0 retention monitor" system=store interval=\w+ retention=\w+',
    r'level=DEBUG msg="all databases are looked after" count=\d+',
    r'level=INFO msg="signal received, litestream shutting down" signal=(terminated|interrupt)',
    r'level=INFO msg="litestream shut down"',
]


def known_lines(text):
    for line in text.splitlines():
        if not any(re.fullmatch(TIME + " " + pattern, line) for pattern in LINES):
            lib.fail("no line that others could read: " + line)


@lib.limit(150)
def test_idle(t):
    """Connections of the application stay open, nobody commits: nothing is written anywhere, nothing is said."""
    db = oracle.create(t)
    d = oracle.start(t, db)
    oracle.Writer(t, db, count=400).wait()  # enough for a checkpoint of ours
    c, reader = t.connect(db), t.connect(db)
    c.execute("INSERT INTO log VALUES (9, 1, '', 0, 0)")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM log").fetchone()
    time.sleep(2.5)
    files, io = rest(t, d, 8)
    lib.equal(oracle.files_of(t), files, "files")
    # /proc says what the process handed to the kernel, whatever it was.
    lib.equal(process_io(d.pid), io, "bytes and calls of writing")
    lib.check(d.alive())
    reader.close()
    c.close()
    oracle.stop(d)
    oracle.equals_source(t, t.path("replica"), db)


def rest(t, d, seconds):
    """Files and writing before a time of that length. Levels are filled by the clock: a time in which that happened says
    nothing, and another one is taken."""
    for _ in range(8):
        before, said = (oracle.files_of(t), process_io(d.pid)), len(d.text())
        time.sleep(seconds)
        if not re.search("compaction|snapshot|retention", d.text()[said:]):
            break
    return before


def process_io(pid):
    with open("/proc/%d/io" % pid) as f:
        numbers = dict(line.split(": ") for line in f.read().splitlines())
    return int(numbers["wchar"]), int(numbers["write_bytes"])


def test_idle_after_the_application_has_gone(t):
    db = oracle.create(t)
    d = oracle.start(t, db)
    oracle.Writer(t, db, count=20).wait()
    time.sleep(2.5)
    before, _ = rest(t, d, 4)
    lib.equal(oracle.files_of(t), before, "files")
    oracle.stop(d)


def test_spacing_under_a_steady_stream(t):
    """One L0 file an interval, not one a commit. The bounds are wide: this is no measurement."""
    db = oracle.create(t)
    d = oracle.start(t, db)
    time.sleep(1.2)
    started = oracle.txids(t, t.path("replica"))[-1]
    w = oracle.Writer(t, db, sleep_ms=40, seconds=5, ops="insert", rows=1)  # too little for a checkpoint
    last = {1: w.wait()}
    made = oracle.txids(t, t.path("replica"))[-1] - started
    lib.check(3 <= made <= 9, "%d files of level 0 in 5 s" % made)
    oracle.stop(d)
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)


def test_first_change_after_a_quiet_time(t):
    """It does not wait for the interval. The bound is wide; bench measures."""
    db = oracle.create(t)
    d = oracle.start(t, db)
    c = t.connect(db)
    for i in range(3):
        time.sleep(1.3)
        before = len(t.files("replica/ltx/0"))
        c.execute("INSERT INTO log VALUES (9, ?, '', 0, 0)", (i,))
        t.wait(lambda: len(t.files("replica/ltx/0")) > before, "the change in the replica", 10)  # a look without an event comes after 20 s
    c.close()
    oracle.stop(d)


def test_every_commit_arrives_without_another(t):
    """Single commits at odd distances, each awaited: none stays behind until the next one comes."""
    db = oracle.create(t)
    d = oracle.start(t, db)
    c = t.connect(db)
    for i in range(8):
        c.execute("INSERT INTO log VALUES (9, ?, ?, 0, 0)", (i, "token-%d-token" % i))
        t.wait(lambda: ("token-%d-token" % i).encode() in lib.read_file(oracle.restore(t, t.path("replica"))),
               "commit %d in the replica" % i, 15)
        time.sleep((0.001, 0.01, 0.05, 0.4)[i % 4])
    c.close()
    oracle.stop(d)


def test_lines(t):
    db = oracle.create(t)
    d = oracle.start(t, db)
    w = oracle.Writer(t, db)
    d.wait_log("msg=checkpoint", 40)
    w.stop()
    oracle.stop(d)
    text = d.text()
    known_lines(text)
    lib.contains(text, "msg=checkpoint", "log")
    first = [re.search(r'msg=("[^"]+"|\S+)', line).group(1).strip('"') for line in text.splitlines()[:4]]
    lib.equal(first[0], "litestream", "first line")
    lib.check(text.index('msg="replicating to"') < text.index('msg="ltx file uploaded"'))
    sizes = [int(size) for size in re.findall(r"ltx file uploaded.* size=(\d+)", text)]
    on_disk = sorted(os.stat(t.path("replica/ltx/0", name)).st_size for name in t.files("replica/ltx/0"))
    lib.equal(sorted(sizes), on_disk, "sizes in the log")


def test_info_is_quiet_about_nothing(t):
    """At INFO, the lines of a busy second are few, and there are none when nothing happens."""
    db = oracle.create(t)
    d = t.daemon("replicate", db, oracle.url(t.path("replica")))
    d.wait_log("replica sync")
    time.sleep(2.2)
    # Levels are filled by the clock, perhaps in these seconds.
    said = [line for line in d.text().splitlines() if not re.search("compaction|snapshot|retention", line)]
    lib.equal(len(said), 5, "lines of a start:\n" + d.text())
    lib.check("level=DEBUG" not in d.text())
    oracle.stop(d)


def test_levels(t):
    db = oracle.create(t)
    for flags, env, level, lowest in (
            (["-log-level", "error"], None, "error", "ERROR"), (["-log-level", "warn"], {"LOG_LEVEL": "debug"}, "warn", "WARN"),
            ([], {"LOG_LEVEL": "debug"}, "debug", "DEBUG"), ([], None, "INFO", "INFO"),
            (["-log-level", "bogus"], None, "bogus", "INFO"), (["-log-level", "trace"], None, "trace", None)):
        r = t.run("replicate", "-once", *flags, db, oracle.url(t.path("replica")), env=env)
        lib.equal(r.code, 0, repr(r))
        found = set(re.findall(r"^\S+ level=(\w+)", r.out, re.M))
        if lowest in ("ERROR", "WARN"):
            lib.equal(r.out, "", "log at " + level)
            continue
        lib.check(r.out.splitlines()[0].endswith(" level=" + level), r.out.splitlines()[0])
        lib.check(lowest is None or found <= {lowest, "INFO", "WARN", "ERROR"}, found)


def test_standard_output_that_goes_away(t):
    """Whoever read the log has gone: no SIGPIPE, replication goes on."""
    db = oracle.create(t)
    read_end, write_end = os.pipe()

    p = subprocess.Popen([t.binary, "replicate", "-log-level", "debug", db, oracle.url(t.path("replica"))],
                         stdin=subprocess.DEVNULL, stdout=write_end, stderr=subprocess.DEVNULL)
    os.close(write_end)
    t.wait(lambda: t.files("replica"), "the first file")
    os.close(read_end)
    last = {1: oracle.Writer(t, db, count=5).wait()}
    time.sleep(1.2)
    lib.equal(p.poll(), None, "exit status")
    p.terminate()
    lib.equal(p.wait(20), 0, "exit status")
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)


def test_times_of_files(t):
    """A file's modification time is the time in its header, so that restores by time agree; times never go back."""
    db = oracle.create(t)
    d = oracle.start(t, db)
    oracle.Writer(t, db, seconds=2.2, sleep_ms=20).wait()
    oracle.stop(d)
    before = 0
    for name in t.files("replica/ltx/0"):
        path = t.path("replica/ltx/0", name)
        stamp = int.from_bytes(lib.read_file(path)[32:40], "big")
        lib.equal(int(os.stat(path).st_mtime_ns // 1000000), stamp, "time of " + name)
        lib.check(stamp >= before, "time goes back")
        before = stamp
    rows = json.loads(t.ok("ltx", "-json", oracle.url(t.path("replica"))))
    lib.check(len(rows) >= 2, "files")


def test_commit_that_is_published_late(t):
    """A slow disk: between the last write of a commit and its publication in the wal-index lie 0.2 s, and nothing tells of
    the latter. Each commit must arrive without the help of another one."""
    if not os.path.exists("/usr/bin/strace"):
        lib.skip("strace is not installed")
    db = oracle.create(t)
    d = oracle.start(t, db)
    slow = ["/usr/bin/strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync",
            "-e", "inject=fsync,fdatasync:delay_enter=200000"]
    last = {}
    for round_ in range(4):
        w = oracle.Writer(t, db, before=slow, count=1 + round_, synchronous="FULL")
        last = {1: w.wait()}
        t.wait(lambda: oracle.prefix(oracle.restore(t, t.path("replica"))) == last, "transaction %d" % last[1], 5)
        time.sleep(1)
    oracle.stop(d)
