# SPDX-License-Identifier: MIT
"""The command line as Litestream's: dispatch, flags, messages, streams and exit statuses (control.md 3.1, 3.2, 3.4;
cases.md 2.1, 2.3, 3.1). With LITESTREAM=/path/to/litestream the same words are given to both programs."""
import os
import re
import shutil

import lib
from small_replica import T0, replica, same_content, url

VISIBLE = ["databases", "help", "info", "list", "ltx", "register", "replicate", "reset", "restore", "start", "status",
           "stop", "sync", "unregister", "version", "wait"]
# Those that ask a daemon; their usage begins as Litestream's does.
CONTROL = ["info", "list", "register", "start", "stop", "sync", "unregister", "wait"]


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
