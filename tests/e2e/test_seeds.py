# SPDX-License-Identifier: MIT
"""Litestream's published examples of its control socket, run by a shell as they are written there but for paths and
ports. Where the documents contradict each other, the specification (control.md, section 2.6) says what counts."""
import json
import re
import shutil
import socket

import control
import lib


def shell(t, text, port=0, code=0):
    """The example, in a folder where `litestream` is our program; what it prints."""
    for old, new in (("/var/run/litestream.sock", t.path("s.sock")), ("/data/", t.path("data") + "/"),
                     ("localhost:9090", "127.0.0.1:%d" % port), ("/path/to/db", t.path("data/app.db")),
                     ("/path/to/my.db", t.path("data/app.db"))):
        text = text.replace(old, new)
    t.link("litestream")
    r = t.run("-ec", text, program="/bin/sh", env={"PATH": t.path("bin") + ":/usr/local/bin:/usr/bin:/bin"})
    if r.code != code:
        lib.fail("%s\n%r" % (text, r))
    return r.out


def free_port():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    number = s.getsockname()[1]
    s.close()
    return number


def begin(t, databases=("app.db",)):
    if not shutil.which("curl"):
        lib.skip("no curl")
    paths, port = [t.database("data/" + name) for name in databases], free_port()
    entries = [control.entry(t, path, "replica%d" % i) for i, path in enumerate(paths)]
    d, c = control.start(t, control.config(t, entries, top="addr: 127.0.0.1:%d\n" % port))
    for path in paths:
        control.uploaded(t, c, path)
    return d, c, port


def buckets(t, c, text):
    """The documents name buckets; a build without S3 is given folders instead."""
    r = c.post("/register", {"path": t.path("probe.db"), "replica_url": "s3://bucket/probe"})
    c.post("/unregister", {"path": t.path("probe.db")})
    return re.sub(r"s3://\w+/", "file://" + t.dir + "/", text) if "are not supported" in r.text else text


# ---- "Debug IPC" ----

def test_debugging_guide(t):
    d, c, port = begin(t)
    db = t.path("data/app.db")
    info = json.loads(shell(t, "curl -sS --unix-socket /var/run/litestream.sock http://localhost/info"))
    lib.equal(list(info)[:5], ["version", "pid", "uptime_seconds", "started_at", "database_count"])
    listed = json.loads(shell(t, "curl -sS --unix-socket /var/run/litestream.sock http://localhost/list"))
    lib.equal([list(x) for x in listed["databases"]], [["path", "status", "last_sync_at"]])
    n = json.loads(shell(t, 'curl -sS --unix-socket /var/run/litestream.sock "http://localhost/txid?path=/path/to/db"'))
    lib.equal(n, {"txid": c.get("/txid?path=" + db).json["txid"]})
    lib.equal(shell(t, 'curl -sS --unix-socket /var/run/litestream.sock "http://localhost/txid?path=/none"'),
              '{"error":"database not found"}\n')
    new = t.path("data/new.db")
    register = buckets(t, c, """curl -sS --unix-socket /var/run/litestream.sock -X POST \\
  -H "Content-Type: application/json" \\
  -d '{"path":"/data/new.db","replica_url":"s3://bucket/path"}' \\
  http://localhost/register""")
    lib.equal(shell(t, register), '{"status":"registered","path":"%s"}\n' % new)
    lib.equal(shell(t, register), '{"status":"already_registered","path":"%s"}\n' % new)
    lib.equal(shell(t, register.replace('"}', '","strict":true}')), '{"error":"database already registered"}\n')
    unregister = """curl -sS --unix-socket /var/run/litestream.sock -X POST \\
  -H "Content-Type: application/json" \\
  -d '{"path":"/data/new.db"}' \\
  http://localhost/unregister"""
    lib.equal(shell(t, unregister), '{"status":"unregistered","path":"%s","txid":0}\n' % new)


def test_profiles_of_the_guide(t):
    d, c, port = begin(t)
    for name in ("profile?seconds=1", "heap"):
        shell(t, "curl -sS --unix-socket /var/run/litestream.sock 'http://localhost/debug/pprof/%s' > out.prof" % name)
        lib.equal(lib.read_file(t.path("out.prof"))[:2], b"\x1f\x8b", name)
    lib.check(re.match(r"^goroutine \d+ \[", shell(
        t, "curl -sS --unix-socket /var/run/litestream.sock 'http://localhost/debug/pprof/goroutine?debug=2'")))


# ---- "IPC Endpoints" ----

def test_endpoints_document(t):
    d, c, port = begin(t)
    db = t.path("data/app.db")
    lib.check(re.match(r'^\{"databases":\[\{"path":"%s","status":"replicating","last_sync_at":"[^"]+"\}\]\}\n$' % re.escape(db),
                       shell(t, "curl -sS --unix-socket /var/run/litestream.sock \\\nhttp://localhost/list")))
    lib.check(re.match(r'^\{"version":"[^"]+","pid":%d,"uptime_seconds":\d+,"started_at":"[^"]+","database_count":1,' % d.pid,
                       shell(t, "curl -sS --unix-socket /var/run/litestream.sock \\\nhttp://localhost/info")))
    sync = """curl -sS --unix-socket /var/run/litestream.sock \\
-X POST http://localhost/sync \\
-H "Content-Type: application/json" \\
-d '{"path":"/path/to/my.db"%s}'"""
    t.insert(db)
    r = json.loads(shell(t, sync % ""))
    lib.equal(list(r), ["status", "path", "txid", "replicated_txid"])
    lib.check(r["status"] in ("synced_local", "no_change"), r)
    t.insert(db)
    r = json.loads(shell(t, sync % ',"wait":true,"timeout":60'))
    lib.check(r["status"] in ("synced", "no_change") and r["txid"] == r["replicated_txid"], r)
    lib.equal(shell(t, 'curl -sS --unix-socket /var/run/litestream.sock \\\n"http://localhost/txid?path=/path/to/my.db"'),
              '{"txid":%d}\n' % r["txid"])
    lib.contains(shell(t, "litestream list -socket /var/run/litestream.sock"), db + " [replicating] (last sync: ")
    lib.contains(shell(t, "litestream sync -socket /var/run/litestream.sock /path/to/my.db"), "db_path: " + db)
    lib.contains(shell(t, buckets(
        t, c, "litestream register -socket /var/run/litestream.sock -replica s3://mybucket/my.db /data/my2.db")),
        "status: registered\n")
    lib.contains(shell(t, "litestream unregister -socket /var/run/litestream.sock /data/my2.db"), "status: unregistered\n")


# ---- "IPC Control Commands" ----

def test_control_commands(t):
    d, c, port = begin(t)
    db = t.path("data/app.db")
    s = "-socket /var/run/litestream.sock"
    lib.contains(shell(t, "litestream stop %s /data/app.db" % s), "status: stopped\n")
    lib.contains(shell(t, "litestream start %s /data/app.db" % s), "status: started\n")
    lib.contains(shell(t, "litestream stop %s -timeout 60 /data/app.db" % s), "status: stopped\n")
    lib.contains(shell(t, "litestream start %s -wait -timeout 60 /data/app.db" % s), "status: started\n")
    lib.contains(shell(t, "litestream sync %s /data/app.db" % s), "db_path: " + db)
    lib.contains(shell(t, "litestream sync %s -wait /data/app.db" % s), "replica_txid: ")
    lib.equal(shell(t, "litestream status %s /data/app.db" % s), '{\n  "path": "%s",\n  "status": "open"\n}\n' % db)
    lib.equal(shell(t, "litestream list -rpc %s" % s), '[\n  {\n    "path": "%s",\n    "status": "open"\n  }\n]\n' % db)
    info = json.loads(shell(t, "litestream info -rpc %s" % s))
    lib.equal(list(info), ["version", "pid", "config_path", "socket_path", "http_addr", "persist_to_config", "databases",
                           "open_databases", "started_at"])
    lib.equal((info["socket_path"], info["http_addr"], info["databases"], info["open_databases"]),
              (t.path("s.sock"), "127.0.0.1:%d" % port, 1, 1))


def test_http_api(t):
    d, c, port = begin(t, ("app.db", "tenant1.db"))
    shell(t, "litestream stop -socket /var/run/litestream.sock /data/tenant1.db")
    r = shell(t, """curl -sS -X POST http://localhost:9090/control/ \\
  -H "Content-Type: application/json" \\
  -d '{
    "jsonrpc": "2.0",
    "method": "list",
    "id": 1
  }'""", port)
    lib.equal(json.loads(r), {"jsonrpc": "2.0", "result": [{"path": t.path("data/app.db"), "status": "open"},
                                                          {"path": t.path("data/tenant1.db"), "status": "closed"}], "id": 1})
    start = """curl -sS -X POST http://localhost:9090/control/ -d '{"jsonrpc": "2.0", "method": "start",
  "params": {"path": "/data/%s", "wait": true, "timeout": 30}, "id": 1}'"""
    lib.equal(json.loads(shell(t, start % "tenant1.db", port)),
              {"jsonrpc": "2.0", "result": {"status": "started", "path": t.path("data/tenant1.db")}, "id": 1})
    lib.equal(json.loads(shell(t, start % "none.db", port)),
              {"jsonrpc": "2.0", "error": {"code": -32001, "message": "database not found: " + t.path("data/none.db")}, "id": 1})


def test_multi_tenant(t):
    """Nothing is configured; tenants come with a configuration of their own."""
    tenant = t.database("data/tenant-abc.db")
    d, c = control.start(t, control.config(t, []))
    lib.write_file(t.path("tenant-replica.yml"), ("dbs:\n  - path: %s\n    replica:\n      path: %s\n" % (tenant, t.path("r"))).encode())
    out = shell(t, """SOCKET=/var/run/litestream.sock
ID=abc
litestream start -socket $SOCKET -config tenant-replica.yml -wait /data/tenant-${ID}.db
litestream status -socket $SOCKET /data/tenant-abc.db
litestream sync -socket $SOCKET -wait /data/tenant-abc.db
litestream stop -socket $SOCKET /data/tenant-abc.db""")
    lib.contains(out, "status: started\n")
    lib.contains(out, '"status": "open"')
    lib.contains(out, "status: stopped\n")
    t.ok("restore", "-o", t.path("out.db"), "file://" + t.path("r"))
    lib.equal(lib.dump(t.path("out.db")), lib.dump(tenant))


def test_failover_script(t):
    d, c, port = begin(t)
    lib.write_file(t.path("my-app"), b"#!/bin/sh\necho app runs\n")
    t.run("755", t.path("my-app"), program="/bin/chmod")
    script = """acquire_lock() { true; }
release_lock() { echo released; }
SOCKET=/var/run/litestream.sock
litestream stop -socket $SOCKET /data/app.db >/dev/null

# Acquire distributed lock for this database
if acquire_lock "db-primary-lock"; then
    # We have the lock - start replication
    litestream start -socket $SOCKET -wait /data/app.db

    # Run application
    ./my-app

    # Clean shutdown - stop replication
    litestream stop -socket $SOCKET /data/app.db

    # Release lock
    release_lock "db-primary-lock"
fi"""
    out = shell(t, script)
    lib.equal([line for line in out.splitlines() if line.startswith(("status", "app", "rel"))],
              ["status: started", "app runs", "status: stopped", "released"])


def test_shutdown_script(t):
    d, c, port = begin(t)
    t.insert(t.path("data/app.db"), rows=5)
    shell(t, """SOCKET=/var/run/litestream.sock
LITESTREAM_PID=%d
# Force final sync before stopping daemon
litestream sync -socket $SOCKET -wait -timeout 60 /data/app.db
# Stop the database
litestream stop -socket $SOCKET /data/app.db
# Now safe to stop daemon
kill $LITESTREAM_PID""" % d.pid)
    lib.equal(d.wait(), 0)
    t.ok("restore", "-o", t.path("out.db"), "file://" + t.path("replica0"))
    lib.equal(lib.dump(t.path("out.db")), lib.dump(t.path("data/app.db")))


def test_troubleshooting(t):
    d, c, port = begin(t)
    t.link("litestream")
    for command, error in (
            ("start -socket '' /data/app.db", "socket path required; use -socket flag"),
            ("list -socket /none/litestream.sock",
             "failed to connect to control socket: dial unix /none/litestream.sock: connect: no such file or directory"),
            ("start -socket /var/run/litestream.sock /data/none.db", "start failed: database not found: " + t.path("data/none.db"))):
        out = shell(t, "litestream %s 2>&1" % command, code=1)
        lib.equal(out, "Error: %s\n" % error)
