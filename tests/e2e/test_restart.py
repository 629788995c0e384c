# SPDX-License-Identifier: MIT
"""What the application did while the daemon was away. Litestream 0.5.10 to 0.5.16 silently lose commits in six of these
patterns; here each must end with the source, byte for byte, after a clean stop as after a kill, and the state before the
stop must still restore to what it was."""
import os
import shutil
import sys
import time

import lib
import oracle

PATTERNS = {}


class App:
    """The application: connections that stay open, no checkpoints of their own unless a pattern says so."""

    def __init__(self, t, db, autocheckpoint=0):
        self.t, self.path, self.autocheckpoint, self.k = t, db, autocheckpoint, 0
        self.open()

    def open(self):
        self.db = self.t.connect(self.path)
        self.db.execute("PRAGMA wal_autocheckpoint = %d" % self.autocheckpoint)
        self.db.execute("SELECT count(*) FROM sqlite_master").fetchone()

    def commit(self, times=1, rows=3):
        for _ in range(times):
            self.k += 1
            self.db.execute("BEGIN IMMEDIATE")
            self.db.executemany("INSERT INTO x VALUES (NULL, ?, randomblob(?))", [(self.k, 700)] * rows)
            self.db.execute("UPDATE x SET body = randomblob(300) WHERE id % 17 = ?", (self.k % 17,))
            self.db.execute("COMMIT")

    def checkpoint(self, mode):
        busy, frames, done = self.db.execute("PRAGMA wal_checkpoint(%s)" % mode).fetchone()
        lib.equal((busy, frames), (0, done), "checkpoint " + mode)

    def close(self):
        self.db.close()

    def wal_salts(self):
        with open(self.path + "-wal", "rb") as f:
            return f.read(24)[16:]

    def copy(self, name, wal):
        """As an administrator would: the files, while nobody writes."""
        folder = self.t.path(name)
        os.mkdir(folder)
        for suffix in ("-wal", "") if wal else ("",):
            shutil.copyfile(self.path + suffix, os.path.join(folder, "db" + suffix))

    def put_back(self, name, wal):
        for suffix in ("-wal", "-shm"):
            if os.path.exists(self.path + suffix):
                os.unlink(self.path + suffix)
        os.unlink(self.path)
        for suffix in ("", "-wal") if wal else ("",):
            shutil.copyfile(os.path.join(self.t.path(name), "db" + suffix), self.path + suffix)


def pattern(proven=False, autocheckpoint=0, commits=40, long_wal=False):
    """Registers what happens between stop and start. proven: it must go on without a full copy. long_wal: behind what was
    read lie frames of an older generation, so that the WAL shows where the last one ended."""
    def register(function):
        PATTERNS[function.__name__] = (function, proven, autocheckpoint, commits, long_wal)
        return function
    return register


@pattern(proven=True)
def nothing(app):
    pass


@pattern(proven=True)
def append(app):
    app.commit(5)


def after_checkpoint(mode, before, commits, rows, proven=False, long_wal=False):
    def function(app):
        app.commit(before)
        old = app.wal_salts()
        app.checkpoint(mode)
        app.commit(commits, rows)
        lib.check(app.wal_salts() != old, "the WAL was not restarted")
    function.__name__ = "%s%s_%s%s" % ("append_" if before else "", mode.lower(), "shorter" if commits < 10 else "longer",
                                       "_long_wal" if long_wal else "")
    pattern(proven, long_wal=long_wal)(function)


for _mode in ("PASSIVE", "FULL", "RESTART", "TRUNCATE"):
    after_checkpoint(_mode, 0, 2, 2)
    after_checkpoint(_mode, 0, 60, 8)
    after_checkpoint(_mode, 5, 2, 2)
    after_checkpoint(_mode, 5, 60, 8)
for _mode in ("PASSIVE", "FULL", "RESTART"):
    after_checkpoint(_mode, 0, 2, 2, proven=True, long_wal=True)
    after_checkpoint(_mode, 5, 2, 2, proven=True, long_wal=True)
    after_checkpoint(_mode, 5, 60, 8, long_wal=True)


@pattern()
def size_limit_cuts_the_end_off(app):
    """journal_size_limit cuts the file at the restart, and with it commits that nobody has read."""
    app.commit(5)
    app.db.execute("PRAGMA journal_size_limit = 100000").fetchall()
    app.checkpoint("PASSIVE")
    app.commit(1, 1)


@pattern(long_wal=True)
def size_limit_cuts_a_long_wal(app):
    app.commit(5)
    app.db.execute("PRAGMA journal_size_limit = 0").fetchall()
    app.checkpoint("PASSIVE")
    app.commit(2, 1)


@pattern(autocheckpoint=1000, commits=60)
def default_autocheckpoint(app):
    """The plainest of all: the application goes on until SQLite restarts the WAL by itself."""
    old = app.wal_salts()
    while app.wal_salts() == old:
        app.commit(1, 30)


@pattern()
def two_restarts(app):
    app.checkpoint("PASSIVE")
    app.commit(2, 2)
    app.checkpoint("PASSIVE")
    app.commit(4, 12)


@pattern()
def two_restarts_first_is_shorter(app):
    app.commit(3)
    app.checkpoint("PASSIVE")
    app.commit(1, 1)
    app.checkpoint("RESTART")
    app.commit(2, 1)


@pattern()
def three_restarts_with_appends(app):
    for n in (6, 3, 1):
        app.commit(n)
        app.checkpoint("PASSIVE")
        app.commit(n, 1)


@pattern(proven=True)
def vacuum(app):
    app.db.execute("DELETE FROM x WHERE id % 3")
    app.db.execute("VACUUM")


@pattern()
def vacuum_then_restart(app):
    app.db.execute("DELETE FROM x WHERE id % 3")
    app.db.execute("VACUUM")
    app.checkpoint("PASSIVE")
    app.commit(2, 2)


@pattern()
def last_close(app):
    app.close()


@pattern()
def last_close_and_reopen(app):
    app.close()
    app.open()


@pattern()
def last_close_reopen_and_commit(app):
    app.commit(3)
    app.close()
    app.open()
    app.commit(4)


@pattern()
def many_connections(app):
    app.close()
    for _ in range(4):
        app.open()
        app.commit(2)
        app.close()


@pattern()
def older_copy_database_alone(app):
    app.close()
    app.put_back("older-alone", wal=False)


@pattern()
def older_copy_database_alone_then_commits(app):
    app.close()
    app.put_back("older-alone", wal=False)
    app.open()
    app.commit(60, 8)


@pattern()
def older_copy_database_and_wal(app):
    app.close()
    app.put_back("older", wal=True)


@pattern()
def older_copy_database_and_wal_then_commits(app):
    app.close()
    app.put_back("older", wal=True)
    app.open()
    app.commit(40)


@pattern()
def other_page_size(app):
    app.db.execute("PRAGMA journal_mode = delete")
    app.db.execute("PRAGMA page_size = 1024")
    app.db.execute("VACUUM")


@pattern()
def journal_mode_away_and_back(app):
    app.db.execute("PRAGMA journal_mode = delete")
    app.commit(3)
    app.db.execute("PRAGMA journal_mode = wal")
    app.commit(3)


@pattern()
def rollback_journal_left_on(app):
    app.db.execute("PRAGMA journal_mode = delete")
    app.commit(3)


@pattern()
def another_database_of_the_same_name(app):
    app.close()
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(app.path + suffix):
            os.unlink(app.path + suffix)
    app.open()
    app.db.execute("PRAGMA journal_mode = wal")
    app.db.execute("CREATE TABLE x (id INTEGER PRIMARY KEY, k INT, body BLOB)")
    app.commit(2)


def prepare(t, autocheckpoint, commits, long_wal):
    db = t.path("app.db")
    c = t.connect(db)
    c.execute("PRAGMA journal_mode = wal")
    c.execute("CREATE TABLE x (id INTEGER PRIMARY KEY, k INT, body BLOB)")
    c.close()
    app = App(t, db, autocheckpoint)
    app.commit(20)
    app.checkpoint("TRUNCATE")
    app.copy("older-alone", wal=False)
    app.commit(10)
    app.copy("older", wal=True)
    if long_wal:
        app.commit(80, 8)
        app.checkpoint("PASSIVE")
    d = oracle.start(t, db)
    app.commit(commits)
    return app, d


def go_on(t, app, seen):
    """The daemon again: it reads what happened, then what happens now. Returns its log."""
    d = oracle.start(t, app.path)
    d.stop()
    oracle.quiet(d)
    oracle.equals_source(t, t.path("replica"), app.path, "after the restart")
    log = d.text()
    for txid, want in seen.items():
        got = lib.read_file(oracle.restore(t, t.path("replica"), txid=txid))
        oracle.same_bytes(got, want, oracle.page_size_of(want), "state at TXID %d" % txid)
    # And it goes on from there as if nothing had been.
    app.close()
    app.open()
    if app.db.execute("PRAGMA journal_mode").fetchone() == ("delete",):
        lib.fail("the database was not switched to WAL mode")
    d = oracle.start(t, app.path)
    app.commit(3)
    d.stop()
    oracle.quiet(d)
    oracle.equals_source(t, t.path("replica"), app.path, "at the end")
    numbers = oracle.txids(t, t.path("replica"))
    lib.equal(numbers, list(range(1, len(numbers) + 1)), "TXIDs")
    return log


def run(t, name, killed):
    function, proven, autocheckpoint, commits, long_wal = PATTERNS[name]
    app, d = prepare(t, autocheckpoint, commits, long_wal)
    seen = {}
    if killed:
        time.sleep(0.05)
        d.kill()
    else:
        oracle.stop(d)
        seen[oracle.txids(t, t.path("replica"))[-1]] = oracle.image(t, app.path)
    # On a slow disk the daemon may have come to a checkpoint of its own: then the generation that the pattern was made
    # for is over, and the next one may be too short to prove anything.
    as_planned = "msg=checkpoint" not in d.text()
    function(app)
    log = go_on(t, app, seen)
    if proven and not killed and as_planned:
        lib.check("snap=true" not in log, "a full copy was not needed:\n" + log)


def _make_tests():
    module = sys.modules[__name__]
    for name in PATTERNS:
        for killed in (False, True):
            def test(t, name=name, killed=killed):
                run(t, name, killed)
            test.__name__ = "test_%s_%s" % (name, "killed" if killed else "stopped")
            setattr(module, test.__name__, test)


_make_tests()
