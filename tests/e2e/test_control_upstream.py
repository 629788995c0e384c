# SPDX-License-Identifier: MIT
"""Beside the program that this one stands in for: LITESTREAM names it (0.5.12 or later; without it the tests are skipped).
The same requests to both daemons, and both command lines to both."""
import os
import re
import shutil

import control
import lib

# POST PATH BODY, or GET PATH. P is the database, N one that is registered at run time, D the folder.
REQUESTS = r"""
GET /txid
GET /txid?path=
GET /txid?path=/q
GET /txid?path=P
GET /debug/sync-status?path=/q
GET /list/
GET /nope
GET /start
POST /list {}
POST /sync
POST /sync {"path":"
POST /sync {bad
POST /sync {"path":1}
POST /sync {"path":{}}
POST /sync {"path":"x","timeout":"5"}
POST /sync {"path":"x","timeout":1.5}
POST /sync {"path":"x","timeout":99999999999999999999}
POST /sync {"path":"x","wait":1}
POST /sync [1]
POST /sync "x"
POST /sync null
POST /sync {}
POST /sync tru
POST /sync {"a" 1}
POST /sync {"path":"a",}
POST /sync {"path":"a" "b"}
POST /sync {"path":"\x"}
POST /sync {"path":nul}
POST /sync {"path":"/q"}
POST /sync {"path":"/q<&>\u2028"}
POST /sync {"path":"~/x"}
POST /sync {"path":"x/../y"}
POST /sync {"path":"sqlite://x"}
POST /sync {"PATH":"P","x":1} junk
POST /start {"path":1}
POST /stop {"path":true}
POST /register {"path":1}
POST /unregister []
POST /register {}
POST /register {"path":"/n"}
POST /register {"path":"/n","replica_url":"/no/scheme"}
POST /register {"path":"/n","replica_url":"invalid://x"}
POST /register {"path":"/n","replica_url":"s3://"}
POST /register {"path":"/n","replica_url":"s3://%zz/"}
POST /register {"path":"/n","replica_url":"sftp:///p"}
POST /register {"path":"/n","replica_url":"sftp://h/p"}
POST /register {"path":"/n","replica_url":"gs:///p"}
POST /register {"path":"/n","replica_url":"nats://h:4222/"}
POST /register {"path":"N","replica_url":"file://D/n"}
POST /register {"path":"N","replica_url":"x"}
POST /unregister {"path":"N"}
POST /unregister {"path":"N"}
POST /stop {"path":"P"}
POST /stop {"path":"P"}
POST /sync {"path":"P"}
GET /txid?path=P
POST /start {"path":"P"}
POST /start {"path":"P"}
POST /start {"path":"/q"}
POST /stop {"path":"/q"}
"""

COMMANDS = """
list S
list -json S
info S
info -json S
sync S P
sync -wait -json S P
stop S P
stop S P
sync S P
start S P
start -json S P
start S /q
register S -replica file://D/n N
register S -replica file://D/n N
register S -replica zzz://x /m.db
unregister S N
unregister -json S N
unregister -dry-run S N
list a
list -timeout 0
register S N
start S
"""


def upstream():
    program = os.environ.get("LITESTREAM")
    if not program:
        lib.skip("LITESTREAM does not name a litestream program")
    return program


def fresh(t, program):
    """A daemon of that program over a database with one transaction, which is in the replica."""
    for name in os.listdir(t.dir):
        if name not in ("bin",) and not name.startswith("daemon"):
            path = t.path(name)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    db = t.database("app.db")
    file = control.config(t, [control.entry(t, db, slow=True)], socket_lines="  enabled: true\n  path: %s\n")
    d = t.daemon("replicate", "-config", file, program=program)
    d.wait_log("control socket listening")
    c = control.Client(t.path("s.sock"))
    t.wait(lambda: c.post("/sync", {"path": db, "wait": True}).json.get("replicated_txid") == 1, "the first upload")
    return d, c


def filled(t, text):
    return (text.replace('"P"', '"%s"' % t.path("app.db")).replace("=P", "=" + t.path("app.db"))
            .replace('"N"', '"%s"' % t.path("n.db")).replace("//D", "//" + t.dir))


def test_requests(t):
    seen = []
    for program in (upstream(), lib.BINARY):
        d, c = fresh(t, program)
        replies = []
        for line in REQUESTS.strip().splitlines():
            method, path, body = (line.split(" ", 2) + ["", ""])[:3]
            r = c.ask(method, filled(t, path), filled(t, body) if method == "POST" else None)
            replies.append((line, r.code, r.headers.get("Content-Type"), r.headers.get("Allow"), r.text))
        seen.append(replies)
        d.stop()
    for theirs, ours in zip(*seen):
        lib.equal(ours, theirs, "answer")


def test_commands(t):
    """Each client to each daemon; what the clients print differs in times only."""
    other = upstream()
    for daemon in (other, lib.BINARY):
        seen = []
        for client in (other, t.link("litestream")):
            d, c = fresh(t, daemon)
            outputs = []
            for line in COMMANDS.strip().splitlines():
                words = {"S": ["-socket", t.path("s.sock")], "P": [t.path("app.db")], "N": [t.path("n.db")]}
                args = [w for word in line.split() for w in words.get(word, [word.replace("//D", "//" + t.dir)])]
                r = t.run(*args, program=client)
                out = re.sub(r'\d{4}-\d\d-\d\dT[0-9:.]+Z|(?<=duration_ms: )\d+|(?<=duration_ms": )\d+|(?<=Uptime:     )\S+|'
                             r'(?<=uptime_seconds": )\d+|(?<=PID:        )\d+|(?<="pid": )\d+', "#", r.out)
                out = re.sub(r',\n  "config_path"[^}]*\n}', "\n}", out)  # keys of ours, which the other client does not know
                outputs.append((line, r.code, out, r.err))
            seen.append(outputs)
            d.stop()
        for theirs, ours in zip(*seen):
            lib.equal(ours, theirs, "output")
