# SPDX-License-Identifier: MIT
"""The command line as Litestream's: dispatch, flags, messages, streams and exit statuses (control.md 3.1, 3.2, 3.4;
cases.md 2.1, 2.3, 3.1, 3.2). With LITESTREAM=/path/to/litestream the same words are given to both programs."""
import os
import pty
import re
import shutil
import signal
import subprocess
import time

import lib

VISIBLE = ["databases", "help", "info", "list", "ltx", "register", "replicate", "reset", "restore", "start", "status",
           "stop", "sync", "unregister", "version", "wait"]
# Those that ask a daemon; their usage begins as Litestream's does.
CONTROL = ["info", "list", "register", "start", "stop", "sync", "unregister", "wait"]
T0 = 1_700_000_000  # 2023-11-14T22:13:20Z


def url(path):
    return "file://" + path


def replica(t):
    """A replica with L9 1..3 at T0 and L0 4 at T0 + 10; the database at 3 and at 4."""
    db = t.database("source.db", rows=50)
    shutil.copy(db, t.path("at3.db"))
    before, _ = lib.database_pages(db)
    lib.put_snapshot(t.path("rep"), db, 9, 3, T0)
    t.insert(db, 20)
    shutil.copy(db, t.path("at4.db"))
    lib.put_change(t.path("rep"), before, db, 0, 4, 4, T0 + 10)
    return t.path("rep")


def same_content(t, restored, source):
    lib.equal(lib.dump(t.path(restored)), lib.dump(t.path(source)), restored)


# ---- dispatch ----

def test_usage(t):
    program = t.link("litestream")
    usage = t.ok("help", program=program)
    lib.contains(usage, "litestream <command> [arguments]")
    for name in VISIBLE:
        lib.check(re.search(r"^\s+%s\s+\w+" % name, usage, re.M), name + " is not in the usage")
    lib.check(not re.search(r"^\s+wal\b", usage, re.M), "wal is listed")
    for words, code in ((["-h"], 0), (["-help"], 0), (["--help"], 0), ([], 1), ([""], 1), (["-v"], 1), (["-v", "-h"], 0),
                        (["-config", "x"], 1), (["--", "help"], 1), (["--help=1"], 1), (["help", "bogus"], 0)):
        r = t.run(*words, program=program)
        lib.equal((r.code, r.out, r.err), (code, usage, ""), repr(words))


def test_unknown_command(t):
    lib.equal(t.error("bogus", program=t.link("litestream")), ["Error: litestream bogus: unknown command"])
    lib.equal(t.error("bogus", "-h", program=t.link("litestream")), ["Error: litestream bogus: unknown command"])
    lib.equal(t.error("bogus", program=t.link("rivulet")), ["Error: rivulet bogus: unknown command"])
    lib.equal(t.error("bogus", program=t.link("litestream-nosuch")), ["Error: litestream bogus: unknown command"])


def test_names_of_links(t):
    version = t.ok("version")
    lib.equal(t.ok("version", program=t.link("litestream")), version)
    lib.equal(t.ok(program=t.link("litestream-version")), version)
    lib.equal(t.ok(program=t.link("version")), version)
    lib.equal(t.ok(program=t.link("rivulet-version")), version)
    lib.equal(t.error(program=t.link("litestream-ltx"))[1], "Try: litestream ltx /path/to/db")
    lib.equal(t.error(program=t.link("ltx"))[1], "Try: rivulet ltx /path/to/db")
    lib.equal(t.error("a", "b", program=t.link("restore")), ["Error: too many arguments"])


def test_list_names(t):
    lib.equal(t.ok("--list").split(), VISIBLE)


def test_help_of_each_command(t):
    for name in VISIBLE:
        if name == "help":
            continue
        usage = t.ok(name, "-h", program=t.link("litestream"))
        words = "%s [OPTIONS]" if name in CONTROL else "%s [arguments]"
        lib.contains(usage, "usage: litestream" if name in CONTROL else "Usage:")
        lib.contains(usage, "litestream " + words % name)
        lib.check("@" not in usage and "rivulet" not in usage, usage)
        lib.contains(t.ok(name, "-h", program=t.link("rivulet")), "rivulet " + words % name)
        for words, code in (([name, "-help"], 0), ([name, "--help"], 0), ([name, "--h"], 1), ([name, "-h=1"], 1),
                            ([name, "-help=1"], 1), ([name, "-help=1", "-h"], 0), (["help", name], 0)):
            r = t.run(*words, program=t.link("litestream"))
            lib.equal((r.code, r.out, r.err), (code, usage, ""), repr(words))
    for name in ("ltx", "restore"):
        lib.contains(t.ok(name, "-h"), "/etc/litestream.yml")
    lib.check("-replica" not in t.ok("ltx", "-h"), "ltx -h speaks of -replica")


def test_version(t):
    version = t.ok("version")
    lib.check(re.fullmatch(r"[^\n]+\n", version), version)
    lib.equal(t.ok("version", "extra"), version)
    lines = t.ok("version", "-verbose").splitlines()
    lib.equal(lines[0], "Version:     " + version.strip())
    lib.check(lines[1].startswith("Go Version:  none (C build, "), lines[1])
    lib.check(any(re.fullmatch(r"OS/Arch:     linux/\w+", line) for line in lines), lines)


# ---- flags ----

def test_flag_errors(t):
    usage = {name: t.ok(name, "-h") for name in ("ltx", "restore", "version")}
    for words, message in (
            (["version", "-x"], "flag provided but not defined: -x"),
            (["version", "-verbose", "-x"], "flag provided but not defined: -x"),
            (["version", "---x"], "bad flag syntax: ---x"),
            (["version", "-=v"], "bad flag syntax: -=v"),
            (["version", "-verbose=maybe"], 'invalid boolean value "maybe" for -verbose: parse error'),
            (["restore", "-txid"], "flag needs an argument: -txid"),
            (["restore", "-txid", "ff"], 'invalid value "ff" for flag -txid: invalid txid format'),
            (["restore", "-follow-interval", "1"], 'invalid value "1" for flag -follow-interval: parse error'),
            (["restore", "-parallelism", "x"], 'invalid value "x" for flag -parallelism: parse error'),
            (["restore", "-parallelism", "9" * 30],
             'invalid value "%s" for flag -parallelism: value out of range' % ("9" * 30)),
            (["ltx", "-level", "10", "x"], 'invalid value "10" for flag -level: level must be between 0 and 9'),
            (["ltx", "-level", "-1", "x"], 'invalid value "-1" for flag -level: level must be between 0 and 9'),
            (["ltx", "-level", "", "x"], 'invalid value "" for flag -level: invalid level: must be 0-9 or "all"'),
            (["ltx", "-replica", "x"], "flag provided but not defined: -replica")):
        r = t.run(*words)
        lib.equal((r.code, r.out, r.err), (1, usage[words[0]], message + "\nError: " + message + "\n"), repr(words))


def test_arguments(t):
    program = t.link("litestream")
    need = "Error: database path or replica URL required"
    for words, lines in (
            (["ltx"], [need, "Try: litestream ltx /path/to/db"]),
            (["ltx", ""], [need, "Try: litestream ltx /path/to/db"]),
            (["wal"], ["Warning: 'wal' command is deprecated, please use 'ltx' instead", need,
                       "Try: litestream ltx /path/to/db"]),
            (["restore"], [need, "Try: litestream restore -o /path/to/db s3://bucket/prefix"]),
            (["restore", ""], [need, "Try: litestream restore -o /path/to/db s3://bucket/prefix"]),
            (["restore", "file:///b"], ["Error: -o is required when restoring from a replica URL",
                                        "Try: litestream restore -o /path/to/db file:///b"]),
            (["ltx", "a", "b"], ["Error: too many arguments"]),
            (["restore", "a", "b"], ["Error: too many arguments"]),
            (["restore", "file:///b", "-o", "X"], ["Error: too many arguments"]),
            (["ltx", "-config", "x", "file:///b"], ["Error: cannot specify a replica URL and the -config flag"]),
            (["restore", "-config", "x", "file:///b"], ["Error: cannot specify a replica URL and the -config flag"]),
            (["restore", "-o", "O", "zzz://b"], ['Error: unknown replica type in config: ""']),
            (["restore", "-integrity-check", "x", "file:///b"], ["Error: invalid -integrity-check value: x"]),
            (["restore", "-timestamp", "x", "file:///b"],
             ["Error: invalid -timestamp, must specify in ISO 8601 format (e.g. 2000-01-01T00:00:00Z)"])):
        lib.equal(t.error(*words, program=program), lines, repr(words))
    lib.equal(t.files(), ["bin/litestream"])


def test_configuration_not_found(t):
    for words, env, path in (
            (["ltx", "/x"], {"LITESTREAM_CONFIG": "/none/c.yml"}, "/none/c.yml"),
            (["restore", "-o", "O", "/x"], {"LITESTREAM_CONFIG": "rel.yml"}, t.path("rel.yml")),
            (["ltx", "-config", "a/../c.yml", "/x"], {"LITESTREAM_CONFIG": "/other"}, t.path("c.yml")),
            (["ltx", "-config", "", "/x"], {"LITESTREAM_CONFIG": "/none/c.yml"}, "/none/c.yml")):
        lib.equal(t.error(*words, env=env), ["Error: config file not found: " + path], repr(words))
    if not os.path.exists("/etc/litestream.yml"):
        lib.equal(t.error("ltx", "/x"), ["Error: config file not found: /etc/litestream.yml"])


# ---- standard streams ----

def test_full_disk(t):
    for words in (["version"], ["--list"], ["help"], ["ltx", "-h"], ["ltx", "-json", url(replica(t))]):
        with open("/dev/full", "wb") as full:
            r = t.run(*words, stdout=full)
        lib.equal((r.code, r.err), (1, "Error: write /dev/stdout: no space left on device\n"), repr(words))


def test_closed_streams(t):
    rep = replica(t)
    r = t.run("-c", "exec '%s' version >&-" % t.binary, program="/bin/sh")
    lib.equal((r.code, r.err), (1, "Error: write /dev/stdout: bad file descriptor\n"))
    # No log line may end up in the database, whose file would otherwise be descriptor 1 or 2.
    t.ok("-c", "exec '%s' restore -o out.db -integrity-check quick %s <&- >&- 2>&-" % (t.binary, url(rep)),
         program="/bin/sh")
    same_content(t, "out.db", "at4.db")


# ---- ltx ----

def test_ltx(t):
    rep = replica(t)
    size = os.path.getsize(os.path.join(rep, "ltx/0", lib.ltx_name(4, 4)))
    head = "level  min_txid          max_txid          size%s  created\n" % (" " * (len(str(size)) - 4))
    row = "0      0000000000000004  0000000000000004  %-4d  2023-11-14T22:13:30Z\n" % size
    lib.equal(t.ok("ltx", url(rep)), head + row)
    lib.equal(t.ok("wal", url(rep)), head + row)
    lib.equal(t.ok("ltx", rep), head + row, "a folder")
    lib.equal(t.ok("ltx", "rep/"), head + row, "a relative folder")
    lib.equal(len(t.ok("ltx", "-level", "all", url(rep)).splitlines()), 3)
    lib.contains(t.ok("ltx", "-level", "9", url(rep)), "\n9      0000000000000001  0000000000000003  ")
    lib.equal(t.ok("ltx", "-json", url(rep)), """[
  {
    "level": 0,
    "min_txid": "0000000000000004",
    "max_txid": "0000000000000004",
    "size": %d,
    "timestamp": "2023-11-14T22:13:30Z"
  }
]
""" % size)


def test_ltx_of_nothing(t):
    for place in (url(t.path("none")), url(t.dir)):
        lib.equal(t.ok("ltx", place), "level  min_txid  max_txid  size  created\n")
        lib.equal(t.ok("ltx", "-json", place), "[]\n")
    lib.check(not t.exists("none"), "ltx made a folder")


def test_ltx_ignores_other_names(t):
    rep = replica(t)
    for name in ("junk", lib.ltx_name(5, 5) + ".tmp", lib.ltx_name(0xa, 0xa).upper(), "x" * 200):
        lib.write_file(os.path.join(rep, "ltx/0", name), b"x" * 200)
    lib.equal(len(t.ok("ltx", url(rep)).splitlines()), 2)


def test_ltx_of_many_files(t):
    for i in range(1, 2001):
        lib.put_ltx(t.path("rep"), 0, i, i, b"x" * (i % 7), T0)
    lines = t.ok("ltx", t.path("rep")).splitlines()
    lib.equal(len(lines), 2001)
    lib.equal({len(line) for line in lines[1:]}, {len(lines[1])}, "widths")
    lib.equal(t.ok("ltx", "-json", t.path("rep")).count('"level"'), 2000)


# ---- restore: options and the output file ----

def test_restore(t):
    rep = replica(t)
    os.umask(0o022)
    r = t.run("restore", "-o", "out.db", url(rep))
    lib.equal((r.code, r.out, r.err), (0, "", ""))
    same_content(t, "out.db", "at4.db")
    lib.equal(lib.read_file(t.path("out.db"))[18:20], b"\2\2", "journal mode")
    lib.equal(os.stat(t.path("out.db")).st_mode & 0o777, 0o644)
    lib.equal([f for f in t.files() if f.startswith("out")], ["out.db"])
    t.ok("restore", "-txid", "0000000000000003", "-o", "three.db", url(rep))
    same_content(t, "three.db", "at3.db")
    t.ok("restore", "-timestamp", "2023-11-14T22:13:25Z", "-o", "time.db", url(rep))
    same_content(t, "time.db", "at3.db")
    t.ok("restore", "-o", "folder.db", rep)
    same_content(t, "folder.db", "at4.db")
    t.ok("restore", "-o", "a/b/c.db", url(rep))
    same_content(t, "a/b/c.db", "at4.db")
    lib.equal(os.stat(t.path("a/b")).st_mode & 0o777, 0o700)


def test_restore_from_a_folder_needs_an_output(t):
    lib.equal(t.error("restore", replica(t))[0], "Error: -o is required when restoring from a replica URL")


def test_restore_json(t):
    rep = replica(t)
    r = t.run("restore", "-json", "-integrity-check", "full", "-o", "out.db", url(rep))
    lib.equal((r.code, re.sub(r'_ms": \d+', '_ms": 0', r.out)), (0, """{
  "db_path": "out.db",
  "replica": "file",
  "txid": "0000000000000004",
  "duration_ms": 0,
  "integrity_check": "full"
}
"""))
    lib.check(re.fullmatch(r'time=\S+ level=INFO msg="post-restore integrity check passed" replica=file\n', r.err), r.err)


def test_restore_integrity_check(t):
    rep = replica(t)
    for mode in ("quick", "full"):
        r = t.run("restore", "-integrity-check", mode, "-o", mode, url(rep))
        lib.check(re.fullmatch(r'time=\S+ level=INFO msg="post-restore integrity check passed" replica=file\n', r.out), r)
        lib.equal([f for f in t.files() if f.startswith(mode)], [mode])


def test_restore_output_guards(t):
    rep = replica(t)
    for name in ("full.db", "empty-with-wal.db-wal", "empty-with-shm.db-shm", "empty-with-journal.db-journal",
                 "gone.db-wal", "gone2.db-shm", "gone3.db-journal"):
        lib.write_file(t.path(name), b"x")
    for name in ("empty-with-wal.db", "empty-with-shm.db", "empty-with-journal.db", "empty.db", "stale.db-wal",
                 "stale.db-shm"):
        lib.write_file(t.path(name))
    os.mkdir(t.path("folder"))
    sidecar = "Error: cannot restore, SQLite sidecar path already exists: %s. Use -force to overwrite"
    for name, message in (
            ("full.db", "Error: cannot restore, output path already exists and is not empty: full.db. "
                        "Use -force to overwrite"),
            ("folder", "Error: cannot restore, output path is a directory: folder"),
            ("empty-with-wal.db", sidecar % "empty-with-wal.db-wal"),
            ("empty-with-shm.db", sidecar % "empty-with-shm.db-shm"),
            ("empty-with-journal.db", sidecar % "empty-with-journal.db-journal"),
            # Litestream restores beside these, and SQLite then mixes them in.
            ("gone.db", sidecar % "gone.db-wal"),
            ("gone2.db", sidecar % "gone2.db-shm"),
            ("gone3.db", sidecar % "gone3.db-journal"),
            ("full.db/x", "Error: cannot access output path: stat full.db/x: not a directory")):
        lib.equal(t.error("restore", "-o", name, url(rep)), [message], name)
    lib.equal(t.error("restore", "-force", "-o", "folder", url(rep)),
              ["Error: cannot restore, output path is a directory: folder"])
    lib.equal(lib.read_file(t.path("full.db")), b"x")
    for name in ("empty.db", "stale.db"):
        t.ok("restore", "-o", name, url(rep))
        same_content(t, name, "at4.db")
        lib.check(not t.exists(name + "-wal") and not t.exists(name + "-shm"), "sidecars of " + name)


def test_restore_force(t):
    rep = replica(t)
    for name in ("full.db", "gone.db", "empty-with-wal.db"):
        for suffix in ("-wal", "-shm", "-journal"):
            lib.write_file(t.path(name + suffix), b"x" * 100)
    lib.write_file(t.path("full.db"), b"x")
    lib.write_file(t.path("empty-with-wal.db"))
    for name in ("full.db", "gone.db", "empty-with-wal.db"):
        t.ok("restore", "-force", "-o", name, url(rep))
        lib.equal([f for f in t.files() if f.startswith(name)], [name])
        same_content(t, name, "at4.db")


def test_restore_force_keeps_what_cannot_be_replaced(t):
    lib.write_file(t.path("old.db"), b"precious")
    for words in ([url(t.path("none"))], ["-txid", "0000000000000009", url(replica(t))],
                  ["-timestamp", "2023-11-14T22:13:25Z", "-txid", "0000000000000001", url(t.path("rep"))]):
        t.error("restore", "-force", "-o", "old.db", *words)
        lib.equal(lib.read_file(t.path("old.db")), b"precious")


def test_restore_if_db_not_exists(t):
    rep = replica(t)
    lib.write_file(t.path("empty"))
    lib.write_file(t.path("full"), b"x")
    os.mkdir(t.path("folder"))
    line = r'time=\S+ level=INFO msg="database already exists, skipping"\n'
    for name in ("empty", "full", "folder"):
        for more in ([], ["-force"], ["-dry-run"], ["-f"], ["-f", "-dry-run", "-txid", "0000000000000001"]):
            r = t.run("restore", "-if-db-not-exists", *more, "-o", name, url(rep))
            lib.check(r.code == 0 and re.fullmatch(line, r.out) and not r.err, r)
    r = t.run("restore", "-if-db-not-exists", "-json", "-o", "full", "zzz://not/even/looked/at")
    lib.check(r.code == 0 and re.fullmatch(line, r.err) and not r.out, r)
    lib.equal(lib.read_file(t.path("full")), b"x")
    t.ok("restore", "-if-db-not-exists", "-o", "new", url(rep))
    same_content(t, "new", "at4.db")


def test_restore_of_nothing(t):
    rep, none = replica(t), url(t.path("none"))
    message = ["Error: no matching backup files available"]
    lib.equal(t.error("restore", "-o", "out.db", none), message)
    lib.equal(t.error("restore", "-o", "out.db", "-txid", "00000000000000FF", url(rep)), message)
    lib.equal(t.error("restore", "-o", "out.db", "-dry-run", none), message)
    lib.equal(t.error("restore", "-o", "out.db", "-dry-run", "-if-replica-exists", none), message)
    r = t.run("restore", "-o", "out.db", "-if-replica-exists", none)
    lib.check(r.code == 0 and re.fullmatch(r'time=\S+ level=INFO msg="no matching backups found"\n', r.out), r)
    r = t.run("restore", "-o", "out.db", "-json", "-if-replica-exists", none)
    lib.check(r.code == 0 and not r.out and "no matching backups found" in r.err, r)
    r = t.run("restore", "-o", "out.db", "-if-replica-exists", none, env={"LOG_LEVEL": "error"})
    lib.equal((r.code, r.out, r.err), (0, "", ""))
    lib.check(not t.exists("out.db") and not t.exists("none"), t.files())


def test_restore_times(t):
    rep = replica(t)
    for words, message in (
            (["-timestamp", "2023-11-14T22:13:19Z", url(rep)], "timestamp does not exist"),
            (["-timestamp", "2023-11-14T22:13:31Z", url(rep)], "timestamp does not exist"),
            (["-if-replica-exists", "-timestamp", "2023-11-14T22:13:31Z", url(rep)], "timestamp does not exist"),
            (["-timestamp", "2023-11-14T22:13:20Z", url(rep)], "no matching backup files available"),
            (["-timestamp", "2023-11-14T22:13:25Z", url(t.path("none"))], "no backups found"),
            (["-if-replica-exists", "-timestamp", "2023-11-14T22:13:25Z", url(t.path("none"))], "no backups found"),
            (["-txid", "0000000000000001", "-timestamp", "2023-11-14T22:13:25Z", url(rep)],
             "cannot specify index & timestamp to restore"),
            (["-txid", "0000000000000001", "-timestamp", "2000-01-01T00:00:00Z", url(rep)], "timestamp does not exist"),
            (["-f", "-timestamp", "2023-11-14T22:13:25Z", url(rep)], "cannot use follow mode with -timestamp"),
            (["-f", "-timestamp", "2000-01-01T00:00:00Z", url(rep)], "timestamp does not exist"),
            (["-f", "-txid", "0000000000000001", url(rep)], "cannot use follow mode with -txid"),
            (["-f", "-dry-run", url(rep)], "cannot use -dry-run with -f")):
        lib.equal(t.error("restore", "-o", "out.db", *words), ["Error: " + message], repr(words))
    lib.check(not t.exists("out.db"), "there is an output")


def test_restore_dry_run(t):
    rep = replica(t)
    lib.write_file(t.path("out.db"), b"x")
    size9, size0 = (os.path.getsize(os.path.join(rep, "ltx", f)) for f in t.files("rep", "ltx")[::-1])
    lib.equal(len(str(size9)), len(str(size0)), "digits of the sizes")
    lib.equal(t.ok("restore", "-dry-run", "-o", "out.db", url(rep)), """Restore plan:
  source: %s
  target: out.db
  replica: file
  txid range: 0000000000000001 - 0000000000000004

Files to fetch:
level  file                                   min_txid          max_txid          size%s  timestamp
9      0000000000000001-0000000000000003.ltx  0000000000000001  0000000000000003  %d  2023-11-14T22:13:20Z
0      0000000000000004-0000000000000004.ltx  0000000000000004  0000000000000004  %d  2023-11-14T22:13:30Z
""" % (url(rep), " " * (len(str(size9)) - 4), size9, size0))
    lib.equal(t.ok("restore", "-dry-run", "-json", "-txid", "0000000000000003", "-o", "out.db", url(rep)), """{
  "source": "%s",
  "target_path": "out.db",
  "replica": "file",
  "min_txid": "0000000000000001",
  "max_txid": "0000000000000003",
  "files": [
    {
      "level": 9,
      "name": "0000000000000001-0000000000000003.ltx",
      "min_txid": "0000000000000001",
      "max_txid": "0000000000000003",
      "size": %d,
      "timestamp": "2023-11-14T22:13:20Z"
    }
  ]
}
""" % (url(rep), size9))
    lib.equal(lib.read_file(t.path("out.db")), b"x")


def test_restore_gap(t):
    rep = replica(t)
    lib.put_ltx(rep, 0, 6, 6, b"x" * 200)
    gap = "non-contiguous ltx files: have up to 0000000000000004 but next file starts at 0000000000000006"
    lib.equal(t.error("restore", "-dry-run", "-o", "out.db", url(rep)), ["Error: " + gap])
    lib.equal(t.error("restore", "-o", "out.db", url(rep)), ["Error: cannot calc restore plan: " + gap])
    t.ok("restore", "-txid", "0000000000000004", "-o", "out.db", url(rep))
    same_content(t, "out.db", "at4.db")


def test_restore_damaged(t):
    rep = replica(t)
    path = os.path.join(rep, "ltx/9", lib.ltx_name(1, 3))
    good = lib.read_file(path)
    for content, start in ((b"", "invalid ltx file: level=9 min=0000000000000001 max=0000000000000003 has size 0 bytes "
                                 "(minimum 100)"),
                           (good[:99], "invalid ltx file: level=9 min=0000000000000001 max=0000000000000003 has size 99 "
                                       "bytes (minimum 100)"),
                           (b"x" * 500, "decode database: "), (good[:-1], "decode database: "),
                           (good[:3000] + b"\xff" + good[3001:], "decode database: "), (good + b"x", "decode database: ")):
        lib.write_file(path, content)
        for words in ([], ["-f"]):
            lines = t.error("restore", *words, "-o", "out.db", url(rep))
            lib.check(len(lines) == 1 and lines[0].startswith("Error: " + start), lines)
            lib.equal([f for f in t.files() if f.startswith("out")], [])


# ---- restore: signals and follow mode ----

@lib.limit(120)
def test_restore_interrupted(t):
    """It leaves nothing and says so."""
    lib.put_large(t.path("rep"), 9, 1, 4000)
    for number in (signal.SIGINT, signal.SIGTERM):
        d = t.daemon("restore", "-o", "out.db", url(t.path("rep")))
        t.wait(lambda: t.exists("out.db.tmp"), "out.db.tmp")
        lib.equal((d.stop(number), d.text(), d.err_text()),
                  (1, "", "Error: restore interrupted, nothing was changed at out.db\n"))
        lib.equal([f for f in t.files() if f.startswith("out")], [])


@lib.limit(120)
def test_restore_progress(t):
    """On a terminal, after a second; not for anybody else."""
    lib.put_large(t.path("rep"), 9, 1, 4000)
    master, slave = pty.openpty()
    with subprocess.Popen([t.binary, "restore", "-o", "out.db", url(t.path("rep"))], cwd=t.dir, stdout=subprocess.PIPE,
                          stderr=slave) as p:
        os.close(slave)
        t.wait(lambda: t.exists("out.db.tmp"), "out.db.tmp")
        p.send_signal(signal.SIGSTOP)
        time.sleep(1.1)
        p.send_signal(signal.SIGCONT)
        text = b""
        while b"\r\033[K" not in text:  # the line is wiped out at the end
            text += os.read(master, 4096)
        lib.equal((p.stdout.read(), p.wait()), (b"", 0), repr(text))
    os.close(master)
    os.unlink(t.path("out.db"))
    first = text.decode().split("\r")[1]
    lib.check(re.fullmatch(r"restoring: [\d.]+ [kM]?B of 1.2 MB, \d+%, [\d.]+ [kM]?B/s(, [\dmsh]+ left)?\033\[K", first),
              repr(text))


def test_follow(t):
    rep = replica(t)
    for number, name in ((signal.SIGTERM, "a.db"), (signal.SIGINT, "b.db")):
        d = t.daemon("restore", "-f", "-follow-interval", "50ms", "-o", name, url(rep))
        t.wait(lambda: t.exists(name + "-txid"), "the sidecar")
        d.wait_log("entering follow mode")
        lib.equal(lib.read_file(t.path(name + "-txid")), b"0000000000000004\n")
        lib.equal(d.stop(number), 0)
        lib.contains(d.text(), 'msg="follow mode stopped"')
        same_content(t, name, "at4.db")


def test_follow_applies_and_resumes(t):
    rep, db = replica(t), t.path("source.db")
    for txid in (5, 6):
        before, _ = lib.database_pages(db)
        t.insert(db, 7)
        d = t.daemon("restore", "-f", "-follow-interval", "50ms", "-force", "-o", "out.db", url(rep))
        d.wait_log("entering follow mode")
        lib.put_change(rep, before, db, 0, txid, txid, T0 + 10 * txid)
        d.wait_log("from_txid=%016x to_txid=%016x" % (txid - 1, txid))
        lib.equal(d.stop(), 0)
        lib.equal(lib.read_file(t.path("out.db-txid")), b"%016x\n" % txid)
        lib.equal(lib.dump(t.path("out.db")), lib.dump(db))
        lib.equal(lib.read_file(t.path("out.db"))[18:20], b"\1\1", "journal mode")
    lib.contains(d.text(), 'msg="resuming follow mode from crash recovery"')


def test_follow_refusals(t):
    rep = replica(t)
    lib.write_file(t.path("out.db"))
    lib.equal(t.error("restore", "-f", "-force", "-o", "out.db", url(rep)), [
        "Error: cannot resume follow mode: database exists but no -txid file found; delete the database to re-restore: "
        "out.db"])
    lib.write_file(t.path("stale.db-wal"), b"x")
    lib.equal(t.error("restore", "-f", "-o", "stale.db", url(rep)), [
        "Error: cannot restore, SQLite sidecar path already exists: stale.db-wal. Use -force to overwrite"])
    lib.equal(t.error("restore", "-f", "-o", "none.db", url(t.path("none"))),
              ["Error: no matching backup files available"])
    lib.equal(t.run("restore", "-f", "-if-replica-exists", "-o", "none.db", url(t.path("none"))).code, 0)


# ---- --install ----

def test_install_symbolic(t):
    t.ok("--install", "-s", "new/bin")
    names = ["litestream"] + ["litestream-" + name for name in VISIBLE]
    lib.equal(t.files("new/bin"), names)
    for name in names:
        lib.equal(os.readlink(t.path("new/bin", name)), os.path.realpath(t.binary))
    lib.equal(t.ok(program=t.path("new/bin/litestream-version")), t.ok("version"))
    t.ok("--install", "-s", "new/bin")  # again: nothing to do
    shutil.copy(t.binary, t.path("rivulet"))
    t.ok("--install", "-s", t.dir, program=t.path("rivulet"))
    lib.equal(os.readlink(t.path("litestream-ltx")), "rivulet")


def test_install_hard(t):
    shutil.copy(t.binary, t.path("rivulet"))
    t.ok("--install", "bin", program=t.path("rivulet"))
    lib.equal(os.stat(t.path("bin/litestream-ltx")).st_ino, os.stat(t.path("rivulet")).st_ino)
    lib.equal(t.ok(program=t.path("bin/litestream-version")), t.ok("version"))


def test_install_refuses_to_overwrite(t):
    lib.write_file(t.path("bin/litestream"), b"another program")
    lib.equal(t.error("--install", "-s", "bin"), ["Error: bin/litestream exists and is not this program; remove it first"])
    lib.equal(lib.read_file(t.path("bin/litestream")), b"another program")
    lib.equal(t.files("bin"), ["litestream"])


def test_install_arguments(t):
    lib.equal(t.error("--install", program=t.link("litestream")),
              ["Error: folder required", "Try: litestream --install -s /usr/local/bin"])
    lib.equal(t.error("--install", "a", "b"), ["Error: too many arguments"])
    lib.contains(t.ok("--install", "-h"), "--install [-s] DIR")
    lib.write_file(t.path("file"))
    lib.check(t.error("--install", "file/x")[0].startswith("Error: "))


# ---- side by side ----

SAME = """
|version -x|version -h x|version --h
bogus|bogus -h||restore|restore ''|ltx|wal|restore a b|ltx a b
ltx URL|ltx -json URL|ltx -level all URL|ltx -level 5 URL|ltx -level 5 -json URL|ltx -level 10 x|ltx file:///none/x|ltx zz://
restore -o O URL|restore -json -o O URL|restore -o O -dry-run URL|restore -o O -dry-run -json URL|restore URL
restore -o O -txid 0000000000000003 URL|restore -o O -txid 0000000000000002 URL|restore -o O -txid 1 URL
restore -o O -timestamp 2023-11-14T22:13:25Z URL|restore -o O -timestamp 2023-11-14T22:13:31Z URL
restore -o O file:///none/x|restore -o O -if-replica-exists file:///none/x|restore -config x URL|restore /x|ltx -config /none /x
restore -o full URL|restore -o full -force URL|restore -o empty URL|restore -o folder URL|restore -o full -if-db-not-exists URL
restore -o full/x URL|restore -o a/b URL|restore -f -dry-run -o O URL|restore -f -o full URL|restore -integrity-check x URL
restore -integrity-check quick -o O URL
"""


def test_side_by_side(t):
    other = os.environ.get("LITESTREAM")
    if not other:
        lib.skip("LITESTREAM does not name a litestream program")
    rep = url(replica(t))
    for words in SAME.replace("\n", "|").split("|"):
        results = []
        for program in (other, t.link("litestream")):
            cwd = t.path("cwd")
            shutil.rmtree(cwd, ignore_errors=True)
            lib.write_file(os.path.join(cwd, "full"), b"x")
            lib.write_file(os.path.join(cwd, "empty"))
            os.mkdir(os.path.join(cwd, "folder"))
            args = [word.replace("URL", rep) if word != "''" else "" for word in words.split()]
            r = t.run(*args, program=program, cwd=cwd)
            out = "usage" if "Usage:" in r.out else re.sub(r'time=\S+|_ms": \d+', "", r.out)
            results.append((r.code, out, r.err, sorted(os.listdir(cwd))))
        lib.equal(results[1], results[0], words)
