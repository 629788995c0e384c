# SPDX-License-Identifier: MIT
"""What the rows of the benchmark are measured with: programs, /proc, file events."""
import ctypes
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOLS = os.path.join(ROOT, "build", "bench")
LTX_NAME = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}\.ltx")
TICK = os.sysconf("SC_CLK_TCK")


class Trouble(Exception):
    pass


def environment():
    """Nothing of the user's may steer the programs."""
    return {k: v for k, v in os.environ.items()
            if not k.startswith(("LITESTREAM_", "AWS_", "GO")) and k != "LOG_LEVEL"}


# ---- programs that end ----

def measured(command, count=1, environ=None):
    """Runs a command that often; a list of dicts: wall, cpu (s), rss (MiB)."""
    p = subprocess.run([os.path.join(TOOLS, "measure"), str(count), *command], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**environment(), **(environ or {})},
                       timeout=600)
    text = p.stderr.decode(errors="replace")
    runs = [line.split()[1:] for line in text.splitlines() if line.startswith("measured ")]
    if p.returncode or len(runs) != count:
        raise Trouble("%s failed:\n%s" % (" ".join(command), text))
    return [{"wall": float(r[0]) / 1e6, "cpu": (int(r[1]) + int(r[2])) / 1e6, "rss": int(r[3]) / 1024} for r in runs]


def tool(*command):
    """One of our own helpers to its end; its output."""
    p = subprocess.run([os.path.join(TOOLS, command[0]), *map(str, command[1:])], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600)
    if p.returncode:
        raise Trouble("%s failed: %s" % (" ".join(map(str, command)), p.stderr.decode(errors="replace")))
    return p.stdout.decode()


def copy_and_sync(source, target):
    """The floor of everything that writes a large file: seconds and CPU of cp and sync of one file."""
    remove(target)
    os.sync()
    runs = measured(["cp", source, target]) + measured(["sync", target])
    remove(target)
    return sum(r["wall"] for r in runs), sum(r["cpu"] for r in runs)


def median(values):
    values = sorted(values)
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2


def percentile(values, percent):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * percent / 100))]


# ---- files ----

def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def warm(path):
    """Into the page cache, as both sides of a comparison shall find it."""
    with open(path, "rb", buffering=0) as f:
        while f.read(1 << 20):
            pass


def level0(replica):
    """Names of the LTX files of level 0 that are there."""
    return level0_in(os.path.join(replica, "ltx", "0"))


def level0_in(folder):
    try:
        return sorted(n for n in os.listdir(folder) if LTX_NAME.fullmatch(n))
    except FileNotFoundError:
        return []


def read(path):
    with open(path, "rb") as f:
        return f.read()


class Arrivals:
    """Tells when a file appears in a folder (inotify)."""
    CREATE, MOVED_TO = 0x100, 0x80

    def __init__(self, folder):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self.fd < 0 or self.libc.inotify_add_watch(self.fd, os.fsencode(folder), self.CREATE | self.MOVED_TO) < 0:
            raise Trouble("inotify: " + os.strerror(ctypes.get_errno()))

    def wait(self, until):
        """Names that have come, as soon as there are any; empty when the time is up."""
        import select
        while True:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                return []
            names, data, at = [], os.read(self.fd, 65536), 0
            while at < len(data):
                size = struct.unpack_from("iIII", data, at)[3]
                names.append(data[at + 16:at + 16 + size].rstrip(b"\0").decode())
                at += 16 + size
            names = [n for n in names if LTX_NAME.fullmatch(n)]
            if names:
                return names

    def drop(self):
        try:
            os.read(self.fd, 1 << 20)
        except BlockingIOError:
            pass

    def close(self):
        os.close(self.fd)


# ---- a daemon ----

class Daemon:
    """`BINARY replicate DB file://REPLICA`, or with a configuration file. What it prints goes to REPLICA.log."""

    def __init__(self, binary, database, replica, config=None, environ=None):
        self.replica = replica
        self.log = replica + ".log"
        self.began = time.monotonic()
        words = ["-config", config] if config else [database, "file://" + replica]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([binary, "replicate", *words], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env={**environment(), **(environ or {})})
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def wait(self, condition, what, timeout=120, step=0.002):
        end = time.monotonic() + timeout
        while not condition():
            if self.process.poll() is not None or time.monotonic() > end:
                with open(self.log, errors="replace") as log:
                    raise Trouble("no sign of %s:\n%s" % (what, log.read()[-3000:]))
            time.sleep(step)

    def wait_first(self):
        self.wait(lambda: level0(self.replica), "the first file in " + self.replica)

    def proc(self, name):
        with open("/proc/%d/%s" % (self.pid, name)) as f:
            return f.read()

    def fields(self, name):
        return {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in self.proc(name).splitlines())}

    def cpu(self):
        """Seconds so far, of threads that have ended too."""
        after = self.proc("stat").rpartition(")")[2].split()
        return (int(after[11]) + int(after[12])) / TICK

    def kib(self, file, key):
        return int(self.fields(file)[key].split()[0])

    def peak(self):
        return self.kib("status", "VmHWM") / 1024

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def switches_since(self, before):
        """before: what switches() gave. Of threads that have come meanwhile too, of those that have gone nothing."""
        return sum(n - before.get(task, 0) for task, n in self.switches().items())

    def written(self):
        return int(self.fields("io")["write_bytes"])

    def switches(self):
        """Context switches of each thread."""
        found = {}
        for task in os.listdir("/proc/%d/task" % self.pid):
            try:
                f = self.fields("task/%s/status" % task)
            except (FileNotFoundError, ProcessLookupError):
                continue
            found[task] = int(f["voluntary_ctxt_switches"]) + int(f["nonvoluntary_ctxt_switches"])
        return found


class Writer:
    """The fast writer, in the background."""

    def __init__(self, database, seconds):
        self.process = subprocess.Popen([os.path.join(TOOLS, "writer"), "flood", database, str(seconds)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.text = b""

    def result(self):
        """None while it writes; it keeps the database open until close()."""
        more = self.process.stdout.read()
        self.text += more or b""
        if self.text.endswith(b"\n"):
            return json.loads(self.text)
        if self.process.poll() is not None:
            raise Trouble("the writer failed")
        return None

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
