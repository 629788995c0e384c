# SPDX-License-Identifier: MIT
"""The control socket as its clients see it: the checklist of the specification (control.md, section 9), row by row."""
import json
import os
import re
import socket
import stat
import threading
import time

import control
import lib

RFC3339 = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")


# ---- rows 1 to 7: what is there ----

def test_info_and_list(t):
    d, c, db = control.one(t)
    info = c.get("/info")
    lib.equal(list(info.json)[:5], ["version", "pid", "uptime_seconds", "started_at", "database_count"], "keys")
    lib.equal(list(info.json)[5:], ["config_path", "socket_path", "http_addr", "persist_to_config", "databases",
                                    "open_databases"], "our keys")
    lib.equal((info.json["pid"], info.json["database_count"]), (d.pid, 1))
    lib.check(RFC3339.match(info.json["started_at"]), info.text)
    listed = c.get("/list")
    lib.equal(listed.code, 200)
    lib.check(re.match(r'^\{"databases":\[\{"path":"%s","status":"replicating","last_sync_at":"[^"]+"\}\]\}\n$' % re.escape(db),
                       listed.text), listed.text)
    lib.check(RFC3339.match(listed.json["databases"][0]["last_sync_at"]), listed.text)


def test_empty_daemon(t):
    d, c = control.start(t, control.config(t, []))
    lib.equal(c.get("/list").text, '{"databases":[]}\n')
    lib.equal(c.get("/info").json["database_count"], 0)
    lib.equal(c.rpc("list")["result"], [])


def test_list_before_the_first_upload(t):
    d, c = control.start(t, control.config(t, [control.entry(t, t.path("none.db"))]))
    lib.equal(c.get("/list").json, {"databases": [{"path": t.path("none.db"), "status": "replicating"}]})
    lib.equal(t.ok("list", "-socket", t.path("s.sock")), "%s [replicating] (last sync: never)\n" % t.path("none.db"))


def test_txid(t):
    d, c, db = control.one(t)
    n = c.get("/txid?path=" + db).json["txid"]
    lib.check(n >= 1)
    lib.equal(c.get("/txid?path=" + db.replace("/", "%2F")).text, '{"txid":%d}\n' % n)
    lib.equal(c.get("/txid?replicated=1&path=" + db).text, '{"txid":%d,"replicated_txid":%d}\n' % (n, n))
    control.refused(c.get("/txid"), 400, "path required")
    control.refused(c.get("/txid?path=/q"), 404, "database not found")


# ---- rows 8 to 17: sync ----

def test_sync(t):
    d, c, db = control.one(t, slow=True)
    before = c.get("/txid?path=" + db).json["txid"]
    t.insert(db)
    r = c.post("/sync", {"path": db}).json
    lib.equal(list(r), ["status", "path", "txid", "replicated_txid"])
    lib.equal((r["status"], r["path"], r["txid"]), ("synced_local", db, before + 1))
    lib.equal(c.post("/sync", {"path": db}).json["status"], "no_change")
    t.insert(db)
    r = c.post("/sync", {"path": db, "wait": True, "timeout": 60}).json
    lib.equal((r["status"], r["txid"], r["replicated_txid"]), ("synced", before + 2, before + 2))
    control.refused(c.post("/sync", {"path": "/q"}), 404, "database not found: /q")
    c.post("/stop", {"path": db})
    control.refused(c.post("/sync", {"path": db}), 409, "database not open: " + db)


def test_bodies(t):
    d, c, db = control.one(t)
    control.refused(c.post("/sync", {}), 400, "path required")
    control.refused(c.post("/sync", ""), 400, "invalid request body", "EOF")
    control.refused(c.post("/sync", '{"path":"'), 400, "invalid request body", "unexpected EOF")
    control.refused(c.post("/sync", "{bad"), 400, "invalid request body",
            "invalid character 'b' looking for beginning of object key string")
    for body in ({"path": 1}, {"path": db, "timeout": "5"}, {"path": db, "timeout": 1.5}):
        r = c.post("/sync", body)
        lib.equal((r.code, r.json["error"]), (400, "invalid request body"), repr(body))
        lib.contains(r.json["details"], "json: cannot unmarshal")
    lib.equal(c.post("/sync", '{"PATH":%s,"x":1} junk' % json.dumps(db)).code, 200)


# ---- rows 18 to 26: start, stop, register, unregister ----

def test_stop_and_start(t):
    d, c, db = control.one(t)
    n = c.get("/txid?path=" + db).json["txid"]

    def state():
        return c.get("/list").json["databases"][0]["status"]
    lib.equal(c.post("/stop", {"path": db}).text, '{"status":"stopped","path":"%s","txid":%d}\n' % (db, n))
    lib.equal(state(), "stopped")
    lib.equal(c.post("/stop", {"path": db}).json["status"], "already_stopped")
    lib.equal(c.post("/start", {"path": db}).text, '{"status":"started","path":"%s","txid":%d}\n' % (db, n))
    lib.equal(state(), "replicating")
    lib.equal(c.post("/start", {"path": db}).json["status"], "already_running")
    control.refused(c.post("/start", {"path": "/q"}), 500, "database not found: /q")
    control.refused(c.post("/stop", {"path": "/q"}), 500, "database not found: /q")


def test_stop_replicates_what_is_there(t):
    d, c, db = control.one(t, slow=True)
    t.insert(db, rows=7)
    lib.equal(c.post("/stop", {"path": db}).json["status"], "stopped")
    t.ok("restore", "-o", t.path("out.db"), "file://" + t.path("replica"))
    lib.equal(lib.dump(t.path("out.db")), lib.dump(db))


def test_register(t):
    d, c, db = control.one(t)
    new, url = t.database("new.db"), "file://" + t.path("b")
    lib.equal(c.post("/register", {"path": new, "replica_url": url}).text, '{"status":"registered","path":"%s"}\n' % new)
    lib.equal([x["path"] for x in c.get("/list").json["databases"]], [db, new])
    lib.equal(c.post("/register", {"path": new, "replica_url": url}).json, {"status": "already_registered", "path": new})
    control.refused(c.post("/register", {"path": new, "replica_url": url, "strict": True}), 409, "database already registered")
    control.refused(c.post("/register", {"path": new}), 400, "replica_url required")
    control.refused(c.post("/register", {"replica_url": url}), 400, "path required")
    for bad, rest in (("invalid://x", 'unsupported replica URL scheme: "invalid"'),
                      ("/no/scheme", "replica url scheme required: /no/scheme"),
                      ("s3://", "bucket required for s3 replica URL")):
        control.refused(c.post("/register", {"path": "/n", "replica_url": bad}), 400, "invalid replica url: " + rest)
    control.uploaded(t, c, new)
    t.insert(new)
    n = c.post("/sync", {"path": new}).json["txid"]
    r = c.post("/unregister", {"path": new})
    lib.equal(r.text, '{"status":"unregistered","path":"%s","txid":%d}\n' % (new, n))
    lib.equal([x["path"] for x in c.get("/list").json["databases"]], [db])
    lib.equal(c.post("/unregister", {"path": new}).text, '{"status":"already_unregistered","path":"%s","txid":0}\n' % new)
    t.ok("restore", "-o", t.path("out.db"), url)
    lib.equal(lib.dump(t.path("out.db")), lib.dump(new))


# ---- rows 27 to 34: routes, forms ----

def test_routing(t):
    d, c, db = control.one(t)
    r = c.post("/list", "")
    lib.equal((r.code, r.headers["Allow"], r.text), (405, "GET, HEAD", "Method Not Allowed\n"))
    r = c.get("/start")
    lib.equal((r.code, r.headers["Allow"], r.text), (405, "POST", "Method Not Allowed\n"))
    r = c.get("/nope")
    lib.equal((r.code, r.text, r.headers["Content-Type"], r.headers["X-Content-Type-Options"]),
              (404, "404 page not found\n", "text/plain; charset=utf-8", "nosniff"))
    r = c.ask("HEAD", "/info")
    lib.equal((r.code, r.text, r.headers["Content-Type"]), (200, "", "application/json"))
    lib.contains(c.post("/sync", {"path": "/<&>"}).text, "database not found: /\\u003c\\u0026\\u003e")


def test_sync_status(t):
    d, c, db = control.one(t)
    first = c.get("/debug/sync-status").json["databases"][0]
    lib.equal((first["path"], first["active"]), (db, False))
    lib.equal(c.get("/debug/sync-status?path=" + db).json["databases"][0]["path"], db)
    control.refused(c.get("/debug/sync-status?path=/q"), 404, "database not found")


# ---- rows 35 to 41: the socket file ----

def test_socket_mode(t):
    d, c, db = control.one(t)
    st = os.lstat(t.path("s.sock"))
    lib.check(stat.S_ISSOCK(st.st_mode))
    lib.equal(stat.S_IMODE(st.st_mode), 0o600)
    lib.equal(d.stop(), 0)
    lib.check(not t.exists("s.sock"), "the socket is still there")
    lib.contains(d.text().splitlines()[-1], "litestream shut down")


def test_socket_permissions(t):
    control.one(t, socket_lines="  path: %s\n  permissions: 0660\n")
    lib.equal(stat.S_IMODE(os.lstat(t.path("s.sock")).st_mode), 0o660)


def test_socket_after_a_kill(t):
    d, c, db = control.one(t)
    d.kill()
    lib.check(t.exists("s.sock"))
    d, c = control.start(t, t.path("c.yml"))
    lib.equal(c.get("/info").json["pid"], d.pid)


def test_socket_path_is_a_file(t):
    lib.write_file(t.path("s.sock"), b"mine")
    db = t.database()
    d = t.daemon("replicate", "-config", control.config(t, [control.entry(t, db)]))
    line = d.wait_log("failed to start control server")
    lib.contains(line, "level=WARN")
    lib.contains(line, "is not a socket")
    t.wait(lambda: t.files("replica"), "an upload", 20)
    lib.equal(lib.read_file(t.path("s.sock")), b"mine")


def test_socket_of_another_daemon(t):
    d, c, db = control.one(t)
    other = t.database("other.db")
    second = t.daemon("replicate", "-config", control.config(t, [control.entry(t, other, "replica2")], name="d.yml"))
    lib.contains(second.wait_log("failed to start control server"), "address already in use")
    lib.equal(c.get("/info").json["pid"], d.pid)
    lib.equal(second.stop(), 0)
    lib.equal(c.get("/info").json["pid"], d.pid)


def test_no_socket(t):
    db = t.database()
    for number, lines in enumerate(("", "socket: ''\n", "socket:\n  enabled: false\n  path: %s\n" % t.path("s.sock"))):
        file = lib.write_file(t.path("n.yml"), (lines + "dbs:\n  - " + control.entry(t, db).replace("\n", "\n    ") + "\n").encode())
        d = t.daemon("replicate", "-config", file)
        d.wait_log("initialized db")
        lib.check(not t.exists("s.sock") and "control socket" not in d.text(), repr(lines))
        lib.equal(d.stop(), 0)


def test_socket_flag(t):
    db = t.database()
    d = t.daemon("replicate", "-socket", t.path("s.sock"), db, "file://" + t.path("replica"))
    d.wait_log("control socket listening")
    lib.equal(control.Client(t.path("s.sock")).get("/list").json["databases"][0]["path"], db)


# ---- rows 42 to 60: JSON-RPC ----

def port():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    number = s.getsockname()[1]
    s.close()
    return number


def test_rpc(t):
    number = port()
    d, on_socket, db = control.one(t, top="addr: 127.0.0.1:%d\n" % number)
    c = control.Client("127.0.0.1:%d" % number)
    lib.equal(c.post("/control/", {"jsonrpc": "2.0", "method": "list", "id": 1}).text,
              '{"jsonrpc":"2.0","result":[{"path":"%s","status":"open"}],"id":1}\n' % db)
    lib.equal(c.rpc("databases")["result"], [{"path": db, "status": "open"}])
    lib.equal(list(c.rpc("info")["result"]), ["version", "pid", "config_path", "socket_path", "http_addr",
                                              "persist_to_config", "databases", "open_databases", "started_at"])
    lib.equal(c.rpc("status", {"path": db})["result"]["status"], "open")
    lib.equal(c.rpc("start", {"path": db})["error"], {"code": -32001, "message": "database already enabled: " + db})
    lib.equal(c.rpc("stop", {"path": db})["result"], {"status": "stopped", "path": db})
    lib.equal(c.rpc("stop", [db])["error"], {"code": -32001, "message": "database already disabled: " + db})
    lib.equal(on_socket.rpc("status", {"path": db})["result"], {"path": db, "status": "closed"})
    lib.equal(c.rpc("start", {"path": "/q"}, id="abc")["error"], {"code": -32001, "message": "database not found: /q"})
    lib.equal(c.rpc("start", {"path": db, "wait": True})["result"], {"status": "started", "path": db})
    lib.equal(c.rpc("sync", {"path": db, "wait": True})["result"]["status"], "synced")
    lib.equal(c.rpc("nope", id=7)["error"], {"code": -32601, "message": "Method not found"})
    lib.equal(c.rpc("start")["error"], {"code": -32602, "message": "path required"})
    lib.equal(c.rpc("start", "x")["error"]["code"], -32602)
    r = c.post("/control/", "{bad")
    lib.equal((r.code, r.json), (400, {"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": None}))
    invalid = {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": None}
    lib.equal(c.post("/control/", "[]").json, invalid)
    lib.equal(c.post("/control/", "[1]").json, [invalid])
    lib.equal(c.post("/control/", {"method": "list", "id": 1}).json["error"]["code"], -32600)
    r = c.post("/control/", {"jsonrpc": "2.0", "method": "list"})
    lib.equal((r.code, r.text), (204, ""))
    r = c.post("/control/", [{"jsonrpc": "2.0", "method": "list", "id": 1}, {"jsonrpc": "2.0", "method": "list"},
                             {"jsonrpc": "2.0", "method": "nope", "id": 2}])
    lib.equal([x["id"] for x in r.json], [1, 2])
    r = c.get("/control/")
    lib.equal((r.code, r.headers["Allow"], r.text), (405, "POST", "Method not allowed\n"))
    lib.equal(c.ask("POST", "/control/", "{}", headers={"Origin": "http://evil"}).code, 403)
    # What the page reads is there, and nothing that changes anything.
    lib.equal([c.get(p).code for p in ("/list", "/info", "/txid?path=" + db)], [200, 200, 404])
    for path in ("/start", "/stop", "/register", "/unregister", "/sync", "/wait"):
        lib.equal(c.post(path, {"path": db}).code, 404)
    lib.equal(c.post("/list", {}).code, 405)


def test_rpc_start_waits(t):
    d, c = control.start(t, control.config(t, [control.entry(t, t.path("none.db"))]))
    c.rpc("stop", [t.path("none.db")])
    began = time.monotonic()
    lib.equal(c.rpc("start", {"path": t.path("none.db"), "wait": True, "timeout": 1})["error"],
              {"code": -32004, "message": "timeout waiting for start"})
    lib.check(time.monotonic() - began >= 1)


def test_raw_socket(t):
    d, c, db = control.one(t)
    call = b'{"jsonrpc":"2.0","method":"list","id":1}'
    want = b'{"jsonrpc":"2.0","result":[{"path":"%s","status":"open"}],"id":1}\n' % db.encode()
    lib.equal(c.raw(call), want)
    lib.equal(c.raw(b" \n" + call + b"\n", shut=True), want)
    lib.equal(c.raw(b"{bad"), b'{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}\n')
    lib.equal(c.raw(b'[{"jsonrpc":"2.0","method":"list"}]'), b"")


# ---- rows 61, 62: the configuration file ----

def test_persist(t):
    db = t.database()
    text = ("# top\nsocket:\n  path: %s\n  persist-to-config: true\nx: $HOME  # kept\ndbs:\n  # mine\n  - path: ${HERE}/app.db # here\n"
            "    replica:\n      path: ${HERE}/replica\n" % t.path("s.sock"))
    file = lib.write_file(t.path("c.yml"), text.encode())
    os.chmod(file, 0o640)
    d, c = control.start(t, file, env={"HERE": t.dir})
    lib.equal(c.rpc("stop", {"path": db})["result"]["status"], "stopped")
    lib.contains(d.text(), 'msg="persisted db state to config" path=%s enabled=false' % db)
    lib.equal(lib.read_file(file).decode(), text.replace("# here\n", "# here\n    enabled: false\n"))
    lib.equal(stat.S_IMODE(os.stat(file).st_mode), 0o640)
    d.stop()
    d, c = control.start(t, file, env={"HERE": t.dir})
    d.wait_log("database registered but not auto-started")
    lib.equal(c.get("/list").json["databases"], [{"path": db, "status": "stopped"}])
    lib.equal(c.post("/start", {"path": db}).json["status"], "started")
    lib.equal(lib.read_file(file).decode(), text.replace("# here\n", "# here\n    enabled: true\n"))
    lib.equal(sorted(x for x in os.listdir(t.dir) if x.endswith(".tmp")), [])


def test_start_from_another_configuration(t):
    new = t.database("new.db")
    d, c = control.start(t, control.config(t, [], socket_lines="  path: %s\n  persist-to-config: true\n"))
    lib.write_file(t.path("T.yml"), ("dbs:\n  - path: %s\n    replica:\n      path: %s\n" % (new, t.path("r"))).encode())
    lib.contains(t.ok("start", "-socket", t.path("s.sock"), "-config", "T.yml", "-wait", new), "status: started\n")
    control.uploaded(t, c, new)
    lib.contains(lib.read_file(t.path("c.yml")).decode(), "dbs:\n  - path: %s\n    enabled: true\n" % new)
    lines = t.error("start", "-socket", t.path("s.sock"), "-config", "T.yml", "/other.db")
    lib.equal(lines, ["Error: start failed: failed to load config: database path /other.db not found in config file " + t.path("T.yml")])
    lines = t.error("start", "-socket", t.path("s.sock"), "-config", "none.yml", "/other.db")
    lib.contains(lines[0], "Error: start failed: failed to load config: read config file: ")


# ---- rows 63 to 81: the applets ----

def test_applets(t):
    d, c, db = control.one(t)
    s = ("-socket", t.path("s.sock"))
    lib.check(re.match(r"^%s \[replicating\] \(last sync: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\)\n$" % re.escape(db), t.ok("list", *s)))
    listed = t.ok("list", "-json", *s)
    lib.check(listed.startswith('{\n  "databases": [\n    {\n      "path": "'), listed)
    lib.equal(json.loads(listed), c.get("/list").json)
    lines = t.ok("info", *s).splitlines()
    lib.equal(len(lines), 5)
    lib.check(lines[0].startswith("Litestream ") and lines[1] == "  PID:        %d" % d.pid, lines)
    lib.equal(list(json.loads(t.ok("sync", "-wait", "-json", *s, db))), ["db_path", "txid", "replica_txid", "duration_ms"])
    lib.equal(list(json.loads(t.ok("sync", "-json", *s, db))), ["db_path", "txid", "duration_ms"])
    lib.contains(t.ok(*s, db, program=t.link("litestream-sync")), "db_path: " + db + "\n")
    lib.contains(t.ok(*s, db, program=t.link("sync")), "db_path: " + db + "\n")
    new = ("-replica", "file://" + t.path("b"), t.path("new.db"))
    lib.equal(t.ok("register", *s, *new), "status: registered\ndb_path: %s\nreplica: file://%s\nsocket: %s\n" % (
        t.path("new.db"), t.path("b"), t.path("s.sock")))
    lib.contains(t.ok("register", *s, *new), "status: already registered\n")
    lib.equal(json.loads(t.ok("register", "-json", *s, *new))["status"], "already_registered")
    lib.equal(t.error("register", "-strict", *s, *new), ["Error: register failed: database already registered"])
    lib.equal(t.ok("unregister", *s, t.path("new.db")), "status: unregistered\ndb_path: %s\nfinal_txid: 0\nsocket: %s\n" % (
        t.path("new.db"), t.path("s.sock")))
    lib.equal(json.loads(t.ok("unregister", "-json", *s, t.path("new.db")))["status"], "already_unregistered")
    lib.equal(len(t.ok("list", "--timeout=5", "-socket=" + t.path("s.sock")).splitlines()), 1)
    lib.equal(t.error("stop", *s, "/q"), ["Error: stop failed: database not found: /q"])
    lib.equal(t.ok("status", *s, db), '{\n  "path": "%s",\n  "status": "open"\n}\n' % db)
    txid = c.get("/txid?path=" + db).json["txid"]
    lib.equal(t.ok("stop", *s, db), "status: stopped\ndb_path: %s\nstate: stopped\ntxid: %d\nsocket: %s\n" % (
        db, txid, t.path("s.sock")))
    lib.contains(t.ok("stop", *s, db), "status: already_stopped\n")
    lib.equal(t.error("sync", *s, db), ["Error: sync failed: database not open: " + db])
    lib.equal(t.error("stop", "-rpc", *s, db), ["Error: stop failed: database already disabled: " + db])
    lib.equal(json.loads(t.ok("start", "-rpc", *s, db)), {"status": "started", "path": db})
    lib.equal(json.loads(t.ok("start", "-json", *s, db)), {"status": "already_running", "db_path": db, "state": "running",
                                                           "txid": txid, "socket": t.path("s.sock")})
    lib.equal(json.loads(t.ok("list", "-rpc", *s)), [{"path": db, "status": "open"}])
    lib.equal(len(json.loads(t.ok("info", "-rpc", *s))), 9)
    lib.equal(len(json.loads(t.ok("info", "-json", *s))), 11)
    # Paths: of here when something is there, else of where the daemon runs.
    os.mkdir(t.path("elsewhere"))
    lib.contains(t.ok("sync", *s, "app.db"), "db_path: " + db + "\n")
    lib.contains(t.ok("sync", *s, "../app.db", cwd=t.path("elsewhere")), "db_path: " + db + "\n")
    lib.contains(t.ok("sync", *s, "app.db", cwd=t.path("elsewhere")), "db_path: " + db + "\n")


def test_applets_without_a_daemon(t):
    lib.equal(len(t.ok("unregister", "-dry-run", "/x").splitlines()), 7)
    lib.contains(t.ok("unregister", "-dry-run", "-json", "-timeout", "1m30s", "/x"), "\n  timeout: 90s\n")
    program = t.link("litestream")
    lib.equal(t.error("start", program=program), ["Error: database path required", "Try: litestream start /path/to/db"])
    lib.equal(t.error("register", "/x", program=program),
              ["Error: -replica is required", "Try: litestream register -replica s3://bucket/prefix /path/to/db"])
    lib.equal(t.error("register", program=program)[0], "Error: database path required")
    lib.equal(t.error("sync", "a", "b"), ["Error: too many arguments"])
    lib.equal(t.error("list", "a"), ["Error: too many arguments"])
    lib.equal(t.error("list", "-timeout", "0"), ["Error: timeout must be greater than 0"])
    lib.equal(t.error("sync", "-timeout", "-1", "/x"), ["Error: timeout must be greater than 0"])
    r = t.run("list", "-timeout", "abc", program=program)
    lib.equal((r.code, r.err.splitlines()[0]), (1, 'invalid value "abc" for flag -timeout: parse error'))
    lib.contains(r.out, "usage: litestream list [OPTIONS]")
    lib.equal(t.error("list", "-socket", ""), ["Error: socket path required; use -socket flag"])
    lib.equal(t.error("list", "-socket", "/none.sock"),
              ["Error: failed to connect to control socket: dial unix /none.sock: connect: no such file or directory"])
    lib.write_file(t.path("file"))
    lib.equal(t.error("sync", "-socket", t.path("file"), "/x"),
              ["Error: failed to connect to control socket: dial unix %s: connect: connection refused" % t.path("file")])
    lib.contains(t.error("start", "-timeout", "-1", "-socket", t.path("file"), "/x")[0], "failed to connect to control socket: dial unix")
    for name in ("register", "unregister", "start", "stop", "sync", "wait", "list", "info"):
        r = t.run(name, "-help", program=program)
        lib.equal((r.code, r.err), (0, ""), name)
        lib.check(r.out.startswith("usage: litestream %s [OPTIONS]" % name), r.out)
    lib.equal((t.run(program=program).code, t.run("help", program=program).code), (1, 0))
    lib.equal(t.error("bogus", program=program), ["Error: litestream bogus: unknown command"])


def fake_daemon(t, answer):
    """Answers one connection with the bytes."""
    s = socket.socket(socket.AF_UNIX)
    s.bind(t.path("fake.sock"))
    s.listen(1)

    def serve():
        peer = s.accept()[0]
        peer.recv(65536)
        peer.sendall(answer)
        peer.close()
        s.close()
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_answers_that_are_none(t):
    for answer, error in ((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "failed to read response: response: connection closed in its body"),
                          (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{x", "failed to parse response: invalid character 'x' looking for beginning of object key string"),
                          (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "failed to parse response: not an object"),
                          (b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope", "info failed: nope"),
                          (b"", "failed to connect to control socket: response: connection closed in front of it"),
                          (b"SSH-2.0\r\n\r\n", "failed to connect to control socket: malformed HTTP version")):
        thread = fake_daemon(t, answer)
        lib.equal(t.error("info", "-socket", t.path("fake.sock")), ["Error: " + error])
        thread.join()
        os.unlink(t.path("fake.sock"))


# ---- rows 82 to 95 and beyond: what other files have, and metrics ----

def test_configuration_applets(t):
    file = control.config(t, [])
    lib.equal(t.ok("status", "-config", file, "-json"), "[]\n")
    lib.equal(t.ok("databases", "-config", file, "-json"), "[]\n")
    lib.equal(t.error("databases", "-config", "/none.yml")[-1], "Error: config file not found: /none.yml")


def test_metrics(t):
    number = port()
    d, c, db = control.one(t, top="addr: 127.0.0.1:%d\n" % number)
    for client in (control.Client("127.0.0.1:%d" % number), c):
        r = client.get("/metrics")
        lib.equal((r.code, r.headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        lib.contains(r.text, 'litestream_db_size{db="%s"} ' % db)


def test_addr(t):
    """Its failures are only told; a word without a port ends the program; it may be a socket file."""
    db = t.database()
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen(1)
    d, c = control.start(t, control.config(t, [control.entry(t, db)], top="addr: 127.0.0.1:%d\n" % taken.getsockname()[1]))
    lib.contains(d.wait_log("cannot start metrics server"), "bind: address already in use")
    lib.equal(c.get("/list").code, 200)
    d.stop()
    lines = t.run("replicate", "-config", control.config(t, [control.entry(t, db)], top="addr: '9090'\n")).err.splitlines()
    lib.equal(lines[-1], 'Error: must specify port for bind address: "9090"')
    d, c = control.start(t, control.config(t, [control.entry(t, db)], top="addr: unix:%s\n" % t.path("a.sock")))
    d.wait_log("serving metrics on")
    lib.equal(control.Client(t.path("a.sock")).rpc("list")["result"], [{"path": db, "status": "open"}])
    d.stop()
    lib.check(not t.exists("a.sock") and not t.exists("s.sock"))


def test_rows_of_other_applets(t):
    """84 to 94, which have tests of their own elsewhere; here because the list is one."""
    program, db = t.link("litestream"), t.database("x.db")
    b = "file://" + t.path("b")
    lib.equal(t.ok("ltx", "-json", "file://" + t.path("empty"), program=program), "[]\n")
    lib.equal(t.error("restore", b, program=program), ["Error: -o is required when restoring from a replica URL",
                                                       "Try: litestream restore -o /path/to/db " + b])
    lib.equal(t.run("replicate", "-once", db, b, program=program).code, 0)
    lib.check(t.files("b"), "no LTX files")
    lib.equal(t.run("restore", "-o", t.path("O"), b, program=program).code, 0)
    lib.contains(t.run("restore", "-o", t.path("O"), b, program=program).err,
                 "already exists and is not empty: %s. Use -force to overwrite" % t.path("O"))
    lib.equal(list(json.loads(t.ok("restore", "-json", "-o", t.path("O2"), b, program=program)))[:2], ["db_path", "replica"])
    lib.contains(t.run("replicate", db, program=program).err, "Error: must specify at least one replica URL for " + db)
    lib.contains(t.run("replicate", db, b, "-exec", "y", program=program).err, 'flag "-exec" must be positioned before ')
    r = t.run("replicate", "-exec", 'sh -c "exit 3"', db, b, program=program)
    lib.equal((r.code, r.err.splitlines()[-1]), (3, "Error: exit status 3"))
    file = control.config(t, ["path: ${D}/a.db\nreplica:\n  path: /r"])
    env = {"D": t.dir}
    lib.contains(t.ok("databases", "-config", file, program=program, env=env), t.path("a.db"))
    lib.contains(t.ok("databases", "-config", file, "-no-expand-env", program=program, env=env), "${D}/a.db")
    lib.write_file(t.path("l.yml"), b"levels: [{interval: 0}]\n")
    lib.equal(t.run("databases", "-config", t.path("l.yml"), program=program).err.splitlines()[-1],
              "Error: levels[0].interval: compaction interval must be greater than 0 (got 0s)")
    lib.write_file(t.path("j.yml"), json.dumps({"dbs": [{"path": db, "replica": {"path": "/r"}}]}).encode())
    lib.contains(t.ok("databases", "-config", t.path("j.yml"), program=program), db)


def test_profiles(t):
    """96 to 101 as far as they need no Go; test_pprof.py has the rest."""
    d, c, db = control.one(t)
    codes = []

    def profile():
        codes.append(c.get("/debug/pprof/profile?seconds=1").code)
    threads = [threading.Thread(target=profile) for _ in range(2)]
    for thread in threads:
        thread.start()
    lib.equal(c.get("/list").code, 200)
    for thread in threads:
        thread.join()
    lib.equal(sorted(codes), [200, 500])
    for name in ("heap", "allocs", "goroutine", "block", "mutex", "threadcreate"):
        lib.equal(c.get("/debug/pprof/" + name).bytes[:2], b"\x1f\x8b", name)
    lib.equal(c.get("/debug/pprof/goroutine?debug=2").headers["Content-Type"], "text/plain; charset=utf-8")
    r = c.get("/debug/pprof/nope")
    lib.equal((r.code, r.text), (404, "Unknown profile\n"))
    lib.equal((c.get("/debug/pprof").code, c.get("/debug/pprof").headers["Location"]), (301, "/debug/pprof/"))
