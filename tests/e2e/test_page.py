# SPDX-License-Identifier: MIT
"""The status page in a real browser, first before a scripted server, then before the daemon. Skipped without chromium."""
import datetime
import http.server
import json
import os
import queue
import re
import threading

import browser
import lib

HTML = os.path.join(lib.ROOT, "lib", "control", "page.html")
FIELDS = os.path.join(lib.ROOT, "lib", "control", "page.c")


def policy():
    """The Content-Security-Policy that the daemon sends."""
    text = open(FIELDS).read()
    lines = "".join(re.findall(r'"([^"]*)"', text[text.index("return \"Content-Type"):]))
    return re.search(r"Content-Security-Policy: (.*?)\\r\\n", lines).group(1)


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Script:
    """What the server says: `databases` for /list, and events put into `events`; None ends the stream."""

    def __init__(self, t, streams=True):
        script = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def reply(self, type_, body):
                self.send_response(200)
                self.send_header("Content-Type", type_)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Security-Policy", policy())
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                script.asked.append(self.path)
                if self.path == "/":
                    self.reply("text/html; charset=utf-8", open(HTML, "rb").read())
                elif self.path == "/list":
                    self.reply("application/json", json.dumps({"databases": script.databases}).encode())
                elif self.path == "/info":
                    self.reply("application/json", b'{"version":"9.8.7","pid":1,"uptime_seconds":7200}')
                elif self.path == "/events" and streams:
                    self.stream()
                else:
                    self.send_response(404)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def stream(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                events = script.events = queue.Queue()
                script.opened.set()
                try:
                    while True:
                        event = events.get()
                        if event is None:
                            break
                        self.wfile.write(("event: %s\ndata: %s\n\n" % (event["event"], json.dumps(event))).encode())
                except OSError:
                    pass

        self.databases, self.asked, self.opened, self.events = [], [], threading.Event(), None
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = "http://127.0.0.1:%d/" % self.server.server_address[1]

    def tell(self, event, path, txid=1, replicated=1, lag=0, wal=32, status="replicating", error=None):
        v = {"time": now(), "event": event, "path": path, "status": status, "txid": txid, "replicated_txid": replicated,
             "lag_ms": lag, "wal_size": wal}
        if error:
            v["error"] = error
        self.events.put(v)


def row(path):
    return "[...document.querySelectorAll('li')].find(r=>r.querySelector('.path').textContent==%s)" % json.dumps(path)


def in_row(path, text):
    return "(%s||{innerText:''}).innerText.includes(%s)" % (row(path), json.dumps(text))


def start(t, script, width=1200):
    page = browser.Browser(t.path("profile-%d" % width), width)
    page.open(script.url)
    return page


@lib.limit(240)
def test_page_follows_events(t):
    browser.find()
    script = Script(t)
    evil = "/data/<img src=x onerror=alert(1)>&\"'.db"
    page = start(t, script)
    try:
        lib.check(script.opened.wait(60), "the page opens /events")
        page.wait("document.getElementById('link').className=='live'", "the connection")
        page.wait("!document.getElementById('none').hidden", "the word that there is nothing")
        script.databases = [{"path": "/data/app.db", "status": "replicating"}]
        script.tell("state", "/data/app.db", txid=7, replicated=7)
        script.tell("state", evil, txid=3, replicated=3)
        script.tell("state", "/data/off.db", txid=0, replicated=0, status="stopped")
        page.wait("document.querySelectorAll('li').length==3", "three rows")
        page.wait(in_row("/data/app.db", "in step"), "the first row's state")
        page.wait(in_row(evil, "replicating"), "a name that looks like markup")
        page.wait(in_row("/data/off.db", "stopped"), "a stopped database")
        page.wait("document.getElementById('about').textContent.startsWith('9.8.7')", "the version")
        script.tell("synced", "/data/app.db", txid=8, replicated=7, lag=40, wal=4000032)
        page.wait(in_row("/data/app.db", "8 \u2192 7"), "both TXIDs")
        script.tell("replicated", "/data/app.db", txid=8, replicated=8, wal=4000032)
        page.wait(in_row("/data/app.db", "in step"), "the end of the lag")
        page.wait(in_row("/data/app.db", "max 800 kB/s"), "the plot of what was written")
        script.tell("error", evil, txid=4, replicated=3, lag=31000, error="the <b>bucket</b> is gone")
        page.wait(in_row(evil, "the <b>bucket</b> is gone"), "the error")
        page.wait("document.querySelector('li')==" + row(evil), "the trouble on top")
        page.wait("document.title=='(1) rivulet'", "the title")
        script.tell("recovered", evil, txid=4, replicated=4)
        page.wait("!" + in_row(evil, "is gone"), "the error's end")
        script.tell("unregistered", evil)
        page.wait("document.querySelectorAll('li').length==2", "the row's end")
        lib.equal(page.run("document.querySelectorAll('img,li b b').length"), 0)
        # The stream breaks off: a new one is opened, and what is said there counts.
        script.opened.clear()
        script.events.put(None)
        lib.check(script.opened.wait(60), "the page opens /events again")
        script.tell("state", "/data/app.db", txid=20, replicated=20)
        page.wait(in_row("/data/app.db", "20"), "what the new stream says")
        lib.equal(page.errors, [])
    finally:
        page.close()


@lib.limit(240)
def test_page_does_with_the_list_alone(t):
    browser.find()
    script = Script(t, streams=False)
    script.databases = [{"path": "/data/a.db", "status": "replicating", "last_sync_at": now()},
                        {"path": "/data/b.db", "status": "stopped"}]
    page = start(t, script, 390)
    try:
        page.wait("document.querySelectorAll('li').length==2", "the rows", 60)
        page.wait(in_row("/data/a.db", "ago"), "the last sync")
        page.wait(in_row("/data/b.db", "stopped"), "the other one's state")
        lib.check(page.run("document.documentElement.scrollWidth<=innerWidth"), "nothing is wider than a phone")
        script.databases = script.databases[:1]
        page.wait("document.querySelectorAll('li').length==1", "the row's end")
    finally:
        page.close()


@lib.limit(240)
def test_page_of_many(t):
    browser.find()
    script = Script(t)
    page = start(t, script)
    try:
        lib.check(script.opened.wait(60), "the page opens /events")
        script.databases = [{"path": "/data/%04d.db" % i, "status": "replicating"} for i in range(2000)]
        for i in range(2000):
            script.tell("state", "/data/%04d.db" % i, txid=i + 1, replicated=i + 1)
        page.wait("document.getElementById('s1').textContent=='2000'", "all of them", 60)
        lib.equal(page.run("document.querySelectorAll('li').length"), 200)
        script.tell("error", "/data/1999.db", error="no space left on device")
        page.wait("document.querySelector('li').innerText.includes('no space left')", "the one in trouble, in front")
        page.run("(f=>{f.value='1234';f.oninput()})(document.getElementById('find'))")
        page.wait("document.querySelectorAll('li').length==1", "the one that is looked for")
        lib.equal(page.errors, [])
    finally:
        page.close()


@lib.limit(240)
def test_page_of_the_daemon(t):
    browser.find()
    db = t.database("app.db")
    config = t.path("rivulet.yml")
    lib.write_file(config, ("addr: 127.0.0.1:0\nsocket:\n  enabled: true\n  path: %s\ndbs:\n  - path: %s\n    replica:\n"
                            "      url: file://%s\n" % (t.path("s.sock"), db, t.path("replica"))).encode())
    d = t.daemon("replicate", "-config", config)
    url = re.search(r"url=\"?(http://[0-9.:]+/)metrics", d.wait_log("serving metrics on")).group(1)
    page = browser.Browser(t.path("profile"))
    try:
        page.open(url)
        page.wait("document.getElementById('link')&&document.getElementById('link').className=='live'", "the connection")
        page.wait(in_row(db, "in step"), "the database")
        page.wait("document.getElementById('about').textContent.includes(' · up ')", "the version")
        lib.equal(page.run("document.querySelector('.st').textContent"), "replicating")
        before = page.run("document.querySelector('li .v').textContent")
        t.insert(db, 2000)
        page.wait("document.querySelector('li .v').textContent!=" + json.dumps(before), "the next TXID")
        page.wait(in_row(db, "max "), "the plot of what was written")
        lib.equal([e for e in page.errors if "Content Security" in str(e) or isinstance(e, dict)], [])
        lib.equal(d.stop(), 0)
        page.wait("document.getElementById('link').className=='off'", "the end of the connection")
    finally:
        page.close()
