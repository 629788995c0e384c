# SPDX-License-Identifier: MIT
"""What end-to-end tests are made of. A test is a function test_NAME(t) in a file test_*.py; t is a Test.

    import lib

    @lib.limit(90)                                    # seconds; 60 without it
    def test_restore(t):
        db = t.database("app.db", rows=100)           # a database in WAL mode
        d = t.daemon("replicate", db, "file://" + t.path("replica"))
        d.wait_log("replicating to")
        t.wait(lambda: t.exists("replica/ltx/0"), "the first upload")
        lib.equal(d.stop(), 0)                        # SIGTERM, exit status
        r = t.run("restore", "-o", t.path("out.db"), "file://" + t.path("replica"))
        lib.equal((r.code, r.out, r.err), (0, "", ""))
        lib.equal(lib.dump(t.path("out.db")), lib.dump(db))

Everything a test starts is killed, and its folder removed, when it ends. Only the standard library is used.
"""
import os
import signal
import sqlite3
import struct
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.path.abspath(os.environ.get("RIVULET", os.path.join(ROOT, "build", "rivulet")))
SKIPPED = 77


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def skip(why):
    raise Skip(why)


def fail(message):
    raise Failure(message)


def check(condition, message="not so"):
    if not condition:
        fail(message)


def equal(got, want, what="value"):
    if got != want:
        fail("%s:\n  got  %r\n  want %r" % (what, got, want))


def contains(text, part, what="text"):
    if part not in text:
        fail("%s lacks %r:\n%s" % (what, part, text))


def limit(seconds):
    def set_limit(function):
        function.limit = seconds
        return function
    return set_limit


def remove_anyway(function, path, _):
    """For rmtree: a folder that a test made unwritable."""
    os.chmod(os.path.dirname(path), 0o700)
    os.chmod(path, 0o700)
    function(path)


# ---- databases ----

def dump(path):
    """All content as SQL text, after an integrity check."""
    db = sqlite3.connect(path)
    try:
        equal(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)], "integrity of " + path)
        return list(db.iterdump())
    finally:
        db.close()


def read_file(path):
    with open(path, "rb") as f:
        return f.read()


def write_file(path, content=b""):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(content)
    return path


# ---- LTX files, written independently of the program (spec: format version 3, block form) ----

def _crc64_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0xD800000000000000 if n & 1 else 0)
        table.append(n)
    return table


_CRC = _crc64_table()
FLAG = 1 << 63


def crc64(data, crc=0):
    crc ^= 0xFFFFFFFFFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFFFFFFFFFF


def _lz4_literals(data):
    """An LZ4 block that compresses nothing."""
    n, out = len(data), b""
    if n < 15:
        return bytes([n << 4]) + data
    n -= 15
    while n >= 255:
        out, n = out + b"\xff", n - 255
    return b"\xf0" + out + bytes([n]) + data


def _uvarint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def ltx_bytes(pages, page_size, commit, min_txid, max_txid, time_ms=0):
    """pages: {pgno: bytes}. What is written is not checked, so that broken files can be made too."""
    hashed = head = struct.pack(">4sIIIQQqQqqIIQ20x", b"LTX1", 2, page_size, commit, min_txid, max_txid, time_ms, 0, 0, 0, 0,
                                0, 0)
    out, index = head, b""
    for pgno in sorted(pages):
        block = _lz4_literals(pages[pgno])
        frame = struct.pack(">IHI", pgno, 1, len(block))
        index += _uvarint(pgno) + _uvarint(len(out)) + _uvarint(len(frame) + len(block))
        out += frame + block
        hashed += frame + pages[pgno]
    index += b"\0"
    tail = bytes(6) + index + struct.pack(">QQ", len(index), 0)
    return out + tail + struct.pack(">Q", FLAG | crc64(hashed + tail))


def ltx_name(min_txid, max_txid):
    return "%016x-%016x.ltx" % (min_txid, max_txid)


def put_ltx(replica, level, min_txid, max_txid, content, time_s=None):
    """Stores a file in a file replica; its modification time is its creation time."""
    path = write_file(os.path.join(replica, "ltx", str(level), ltx_name(min_txid, max_txid)), content)
    if time_s is not None:
        os.utime(path, (time_s, time_s))
    return path


def _append_zeros(n):
    """The function that a CRC state undergoes by n zero bytes: it is linear, so a table per byte of the state will do."""
    def times(table, x):
        return (table[0][x & 255] ^ table[1][x >> 8 & 255] ^ table[2][x >> 16 & 255] ^ table[3][x >> 24 & 255] ^
                table[4][x >> 32 & 255] ^ table[5][x >> 40 & 255] ^ table[6][x >> 48 & 255] ^ table[7][x >> 56])

    step = [[_CRC[b] if i == 0 else b << 8 * (i - 1) for b in range(256)] for i in range(8)]
    total = None
    while n:
        if n & 1:
            total = step if total is None else [[times(step, x) for x in row] for row in total]
        step = [[times(step, x) for x in row] for row in step]
        n >>= 1
    return lambda x: times(total, x)


def put_large(replica, level, max_txid, page_count):
    """A snapshot of page_count pages of 64 KiB, all zeros: a small file whose restore takes a while."""
    head = struct.pack(">4sIIIQQqQqqIIQ20x", b"LTX1", 2, 65536, page_count, 1, max_txid, 0, 0, 0, 0, 0, 0, 0)
    block = b"\x1f\0\1\0" + b"\xff" * 256 + b"\xe0\xc0" + bytes(12)  # one zero, a match of 65523, 12 literals
    zeros, mask = _append_zeros(65536), 0xFFFFFFFFFFFFFFFF
    out, index, crc = [head], [], crc64(head)
    for pgno in range(1, page_count + 1):
        frame = struct.pack(">IHI", pgno, 1, len(block))
        index.append(_uvarint(pgno) + _uvarint(100 + (pgno - 1) * (10 + len(block))) + _uvarint(10 + len(block)))
        out += [frame, block]
        crc = zeros(crc64(frame, crc) ^ mask) ^ mask
    index = b"".join(index) + b"\0"
    tail = bytes(6) + index + struct.pack(">QQ", len(index), 0)
    return put_ltx(replica, level, 1, max_txid, b"".join(out) + tail + struct.pack(">Q", FLAG | crc64(tail, crc)))


def database_pages(path):
    """({pgno: bytes}, page size) of a database that nobody has open and that has no WAL."""
    image = read_file(path)
    size = struct.unpack_from(">H", image, 16)[0]
    size = 65536 if size == 1 else size
    return {i // size + 1: image[i:i + size] for i in range(0, len(image), size)}, size


def put_snapshot(replica, path, level, max_txid, time_s=1_700_000_000):
    """The whole database as a file 1..max_txid."""
    pages, size = database_pages(path)
    return put_ltx(replica, level, 1, max_txid, ltx_bytes(pages, size, len(pages), 1, max_txid, time_s * 1000), time_s)


def put_change(replica, before, after, level, min_txid, max_txid, time_s=1_700_000_000):
    """What changed from one database file to the other. `before` is its page map."""
    pages, size = database_pages(after)
    changed = {n: page for n, page in pages.items() if before.get(n) != page}
    return put_ltx(replica, level, min_txid, max_txid,
                   ltx_bytes(changed, size, len(pages), min_txid, max_txid, time_s * 1000), time_s)


# ---- a test ----

class Result:
    """Of a finished program: code (negative: killed by that signal), out and err as text, seconds."""

    def __init__(self, args, code, out, err, seconds):
        self.args, self.code, self.seconds = args, code, seconds
        self.out, self.err = out.decode(errors="backslashreplace"), err.decode(errors="backslashreplace")

    def __repr__(self):
        return "%s\n  exit %d\n  stdout %r\n  stderr %r" % (" ".join(self.args), self.code, self.out, self.err)


class Daemon:
    """A program in the background. Its standard output and error go to .log and .err_log."""

    def __init__(self, test, args, env, program, cwd, fds=()):
        test.daemon_count += 1
        self.test, self.args = test, args
        self.log = test.path("daemon%d.log" % test.daemon_count)
        self.err_log = test.path("daemon%d.err" % test.daemon_count)
        with open(self.log, "wb") as out, open(self.err_log, "wb") as err:
            self.process = subprocess.Popen([program or BINARY, *args], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                            env=env, cwd=cwd or test.dir, pass_fds=fds)
        self.pid = self.process.pid

    def text(self):
        return read_file(self.log).decode(errors="backslashreplace")

    def err_text(self):
        return read_file(self.err_log).decode(errors="backslashreplace")

    def alive(self):
        return self.process.poll() is None

    def send(self, number):
        self.process.send_signal(number)

    def wait_log(self, part, timeout=10):
        """Waits for a text in the log; returns the first line that holds it."""
        self.test.wait(lambda: part in self.text() or not self.alive(), "%r in the log" % part, timeout)
        for line in self.text().splitlines():
            if part in line:
                return line
        fail("%s ended without %r in its log:\n%s%s" % (" ".join(self.args), part, self.text(), self.err_text()))

    def wait(self, timeout=30):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            fail("%s still runs after %g s:\n%s%s" % (" ".join(self.args), timeout, self.text(), self.err_text()))

    def stop(self, number=signal.SIGTERM, timeout=30):
        """Sends the signal and returns the exit status."""
        if self.alive():
            self.send(number)
        return self.wait(timeout)

    def kill(self):
        return self.stop(signal.SIGKILL)


class Test:
    """dir: an empty folder, which is also the working directory of what is started. binary: the program."""

    def __init__(self, name, directory):
        self.name, self.dir, self.binary = name, os.path.join(directory, "t"), BINARY
        self.daemons, self.daemon_count, self.closing = [], 0, []
        os.mkdir(self.dir)
        # Nothing of the user's environment may steer the program.
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith(("LITESTREAM_", "AWS_")) and k not in ("LOG_LEVEL", "RIVULET")}

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def exists(self, *parts):
        return os.path.exists(self.path(*parts))

    def files(self, *parts):
        """All files below a folder, as sorted paths relative to it."""
        top, found = self.path(*parts), []
        for folder, _, names in os.walk(top):
            found += [os.path.relpath(os.path.join(folder, name), top) for name in names]
        return sorted(found)

    def link(self, name):
        """A link to the program under another name; returns its path."""
        path = self.path("bin", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not os.path.lexists(path):
            os.symlink(BINARY, path)
        return path

    def _env(self, env):
        merged = dict(self.env)
        for key, value in (env or {}).items():
            if value is None:
                merged.pop(key, None)
            else:
                merged[key] = value
        return merged

    def run(self, *args, env=None, stdin=b"", timeout=30, program=None, cwd=None, stdout=subprocess.PIPE):
        """Runs the program (or another) to its end."""
        started = time.monotonic()
        command = [program or BINARY, *args]
        try:
            p = subprocess.run(command, input=stdin, stdout=stdout, stderr=subprocess.PIPE, env=self._env(env),
                               cwd=cwd or self.dir, timeout=timeout)
        except subprocess.TimeoutExpired as e:
            fail("%s still runs after %g s\n%r\n%r" % (" ".join(command), timeout, e.stdout, e.stderr))
        return Result(args, p.returncode, p.stdout or b"", p.stderr, time.monotonic() - started)

    def ok(self, *args, **more):
        """Runs it, requires exit status 0, returns its output."""
        r = self.run(*args, **more)
        if r.code != 0:
            fail("failed: %r" % r)
        return r.out

    def error(self, *args, **more):
        """Runs it, requires exit status 1 and nothing on standard output, returns the lines of standard error."""
        r = self.run(*args, **more)
        if r.code != 1 or r.out:
            fail("did not just fail: %r" % r)
        return r.err.splitlines()

    def daemon(self, *args, env=None, program=None, cwd=None, fds=()):
        d = Daemon(self, args, self._env(env), program, cwd, fds)
        self.daemons.append(d)
        return d

    def wait(self, condition, what="the condition", timeout=10):
        """Waits until condition() is true; returns its value."""
        end = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                fail("no sign of %s after %g s" % (what, timeout))
            time.sleep(0.01)

    def database(self, name="app.db", rows=1, wal=True, page_size=4096):
        """A database with a table t(id, text), closed again, in WAL mode unless told otherwise; returns its path."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        db = self.connect(path)
        db.execute("PRAGMA page_size = %d" % page_size)
        if wal:
            db.execute("PRAGMA journal_mode = wal")
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)")
        db.close()
        self.insert(path, rows)
        return path

    @staticmethod
    def connect(path):
        return sqlite3.connect(path, timeout=10, isolation_level=None)

    def insert(self, path, rows=1, db=None):
        """One transaction that adds rows."""
        mine = db or self.connect(path)
        mine.execute("BEGIN IMMEDIATE")
        mine.executemany("INSERT INTO t (text) VALUES (?)", (("row %032d" % i,) for i in range(rows)))
        mine.execute("COMMIT")
        if db is None:
            mine.close()

    def on_close(self, function):
        """To be called when the test has ended, the last one first."""
        self.closing.append(function)

    def close(self, failed):
        for function in reversed(self.closing):
            function()
        for d in self.daemons:
            if d.alive():
                d.process.kill()
                d.process.wait()
            if failed:
                print("--- %s (exit %s)\n%s%s" % (" ".join(d.args), d.process.returncode, d.text()[-8000:],
                                                 d.err_text()[-4000:]))
