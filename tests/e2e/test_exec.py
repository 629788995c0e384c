# SPDX-License-Identifier: MIT
"""-exec: the child's life and ours (control.md 5.5), also as PID 1."""
import os
import signal
import sys
import time

import lib
import oracle

COMMIT_AND_EXIT = """
import signal, sqlite3, sys, time
path, code = sys.argv[1], int(sys.argv[2])
def stop(number, frame):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("INSERT INTO log VALUES (7, ?, 'last words', 0, 0)", (int(number),))
    db.close()
    sys.exit(code)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
print("child ready", flush=True)
while True:
    time.sleep(0.05)
"""


def run(t, command, timeout=30, env=None):
    db = oracle.create(t)
    r = t.run("replicate", "-exec", command, db, oracle.url(t.path("replica")), timeout=timeout, env=env)
    return db, r


def words(t):
    out = oracle.restore(t, t.path("replica"))
    c = t.connect(out)
    rows = c.execute("SELECT k FROM log WHERE w = 7").fetchall()
    c.close()
    return rows


def python(t, name, text):
    lib.write_file(t.path(name), text.encode())
    return "%s %s" % (sys.executable, t.path(name))


def test_success(t):
    db, r = run(t, "true")
    lib.equal((r.code, r.err), (0, ""), repr(r))
    lib.contains(r.out, 'msg="subprocess exited, litestream shutting down"')
    lib.contains(r.out, 'msg="litestream shut down"')


def test_failure(t):
    db, r = run(t, "sh -c 'exit 3'")
    lib.equal((r.code, r.err), (3, "Error: exit status 3\n"), repr(r))
    lib.contains(r.out, 'msg="litestream shut down"')


def test_killed(t):
    db, r = run(t, "sh -c 'kill -9 $$'")
    lib.equal((r.code, r.err), (128 + 9, "Error: signal: killed\n"), repr(r))


def test_last_commit_of_a_quick_child(t):
    """The child may end before the first look at the database: what it committed is replicated all the same."""
    child = python(t, "child.py", "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
                   "db.execute('INSERT INTO log VALUES (7, 1, \"\", 0, 0)')\ndb.close()\nsys.exit(5)\n")
    db, r = run(t, child + " " + t.path("app.db"))
    lib.equal((r.code, r.err), (5, "Error: exit status 5\n"), repr(r))
    lib.equal(words(t), [(1,)], "rows")
    oracle.equals_source(t, t.path("replica"), db)


def test_child_makes_the_database(t):
    child = python(t, "child.py", "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
                   "db.execute('PRAGMA journal_mode = wal')\ndb.execute('CREATE TABLE x (a)')\ndb.close()\n")
    r = t.run("replicate", "-exec", child + " " + t.path("app.db"), t.path("app.db"), oracle.url(t.path("replica")))
    lib.equal((r.code, r.err), (0, ""), repr(r))
    oracle.equals_source(t, t.path("replica"), t.path("app.db"))


def test_standard_streams_and_environment(t):
    db, r = run(t, "sh -c 'echo out $TOKEN; echo err >&2; cat; echo end of input'", env={"TOKEN": "x y"})
    lib.equal(r.code, 0, repr(r))
    lib.contains(r.out, "out x y\n")
    lib.contains(r.out, "end of input\n")
    lib.equal(r.err, "err\n", "standard error")


def test_descriptors_are_not_inherited(t):
    db, r = run(t, "sh -c 'ls -l /proc/self/fd'")
    lib.equal(r.code, 0, repr(r))
    for part in ("app.db", "anon_inode", "litestream"):
        listing = "".join(line for line in r.out.splitlines(True) if " -> " in line)
        lib.check(part not in listing, "inherited:\n" + listing)


def test_words_and_quotes(t):
    db, r = run(t, "printf '%s|' \"a  b\" c\\ d 'e\"f' \"g'h\" $HOME `x`; echo never")
    lib.equal(r.code, 0, repr(r))
    lib.contains(r.out, "a  b|c d|e\"f|g'h|$HOME|`x`|")
    lib.check("never" not in r.out, r.out)


def signalled(t, number, code):
    db = oracle.create(t)
    command = python(t, "child.py", COMMIT_AND_EXIT) + " %s %d" % (db, code)
    d = t.daemon("replicate", "-exec", command, db, oracle.url(t.path("replica")))
    d.wait_log("child ready")
    status = d.stop(number)
    return db, d, status


def test_sigterm_is_passed_on(t):
    db, d, status = signalled(t, signal.SIGTERM, 0)
    lib.equal((status, d.err_text()), (0, ""), "exit status and standard error")
    lib.equal(words(t), [(int(signal.SIGTERM),)], "what the child wrote on its way out")
    text = d.text()
    places = [text.find('msg="%s"' % part) for part in ("signal received, litestream shutting down",
              "sending signal to exec process", "waiting for exec process to close", "litestream shut down")]
    lib.check(-1 not in places and places == sorted(places), text)
    oracle.equals_source(t, t.path("replica"), db)


def test_sigint_is_passed_on(t):
    db, d, status = signalled(t, signal.SIGINT, 0)
    lib.equal((status, d.err_text()), (0, ""), "exit status and standard error")
    lib.equal(words(t), [(int(signal.SIGINT),)], "what the child wrote on its way out")


def test_child_fails_after_a_signal(t):
    """Litestream skips the last sync here; we do not."""
    db, d, status = signalled(t, signal.SIGTERM, 4)
    lib.equal((status, d.err_text()), (4, "Error: cannot wait for exec process: exit status 4\n"), "outcome")
    lib.equal(words(t), [(int(signal.SIGTERM),)], "what the child wrote on its way out")


def test_child_dies_of_the_signal(t):
    db = oracle.create(t)
    d = t.daemon("replicate", "-exec", "sleep 100", db, oracle.url(t.path("replica")))
    d.wait_log("replica sync")
    lib.equal((d.stop(), d.err_text()), (0, ""), "outcome")


def test_child_that_does_not_want_to_go(t):
    """A second signal does not wait for it."""
    db = oracle.create(t)
    d = t.daemon("replicate", "-exec", "sh -c 'trap \"\" TERM INT; echo deaf; while :; do sleep 1; done'", db,
                 oracle.url(t.path("replica")))
    d.wait_log("deaf")
    d.wait_log("replica sync")
    d.send(signal.SIGTERM)
    d.wait_log("waiting for exec process to close")
    time.sleep(0.3)
    lib.check(d.alive(), "it did not wait")
    lib.equal(d.stop(), 0, "exit status")
    lib.contains(d.text(), "litestream shut down")


def test_daemon_killed_child_lives(t):
    """kill -9 cannot be passed on; the child's data is there at the next start."""
    db = oracle.create(t)
    d = t.daemon("replicate", "-exec", "sh -c 'sleep 0.7; echo > %s'" % t.path("child-was-here"), db,
                 oracle.url(t.path("replica")))
    d.wait_log("replica sync")
    d.kill()
    t.wait(lambda: t.exists("child-was-here"), "the child's work")
    oracle.stop(oracle.start(t, db))
    oracle.equals_source(t, t.path("replica"), db)


def test_as_pid_1(t):
    """Orphans become our children: nobody stays a zombie; the child's status is ours."""
    if t.run("--pid", "--fork", "--mount-proc", "true", program="/usr/bin/unshare").code:
        lib.skip("unshare --pid is not permitted")
    child = python(t, "child.py", """
import os, sys, time
for i in range(5):
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(0.1 * i)
        os._exit(0)
time.sleep(1)
while True:
    try:
        os.waitpid(-1, os.WNOHANG) == (0, 0) and sys.exit("orphans are mine")
    except ChildProcessError:
        break
states = [open("/proc/%s/stat" % p).read().rsplit(")", 1)[1].split()[:2] for p in os.listdir("/proc") if p.isdigit()]
print("mine", os.getppid(), "zombies", [s for s in states if s[0] == "Z"], flush=True)
sys.exit(6)
""")
    db = oracle.create(t)
    r = t.run("--pid", "--fork", "--mount-proc", t.binary, "replicate", "-exec", child, db, oracle.url(t.path("replica")),
              program="/usr/bin/unshare")
    lib.equal((r.code, r.err), (6, "Error: exit status 6\n"), repr(r))
    lib.contains(r.out, "mine 1 zombies []")
    oracle.equals_source(t, t.path("replica"), db)


def test_pid_1_gets_signals(t):
    """The kernel drops signals that PID 1 does not handle; ours arrive."""
    if t.run("--pid", "--fork", "true", program="/usr/bin/unshare").code:
        lib.skip("unshare --pid is not permitted")
    db = oracle.create(t)
    d = t.daemon("--pid", "--fork", t.binary, "replicate", db, oracle.url(t.path("replica")), program="/usr/bin/unshare")
    d.wait_log("replica sync")
    with open("/proc/%d/task/%d/children" % (d.pid, d.pid)) as f:
        inside = int(f.read().split()[0])
    os.kill(inside, signal.SIGTERM)
    lib.equal(d.wait(), 0, "exit status")
    lib.contains(d.text(), "litestream shut down")
