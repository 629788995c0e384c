# SPDX-License-Identifier: MIT
"""A headless Chromium spoken to over its debugging pipe: pages, scripts in them, screenshots. Standard library only."""
import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import time

import lib

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find():
    """Path of a browser, or the test is skipped."""
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    lib.skip("no chromium")


class Browser:
    """One page. Errors that its scripts throw, and what it may not load, are collected in `errors`."""

    def __init__(self, folder, width=1200, height=900, dark=False):
        pipes = os.pipe() + os.pipe()
        # Out of the way of the shell's 3, 4, 8 and 9.
        to_read, self.to, self.source, to_write = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20) for fd in pipes)
        for fd in pipes:
            os.close(fd)
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
                 "--user-data-dir=" + folder, "--remote-debugging-pipe", "about:blank"]
        # The browser reads commands from descriptor 3 and writes answers to 4.
        shell = 'exec 8<&%d 9>&%d; exec 3<&8 4>&9 8<&- 9>&-; exec "$@"' % (to_read, to_write)
        self.process = subprocess.Popen(["bash", "-c", shell, "browser", find()] + flags, pass_fds=(to_read, to_write),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        start_new_session=True)
        os.close(to_read)
        os.close(to_write)
        self.pending, self.number, self.errors, self.session = b"", 0, [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(domain + ".enable")
        self.resize(width, height)
        if dark:
            self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if width < 600 else 1,
                  mobile=width < 600)

    def receive(self, deadline):
        while b"\0" not in self.pending:
            ready, _, _ = select.select([self.source], [], [], max(0, deadline - time.time()))
            data = os.read(self.source, 1 << 20) if ready else b""
            lib.check(data, "the browser does not answer")
            self.pending += data
        message, self.pending = self.pending.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        deadline = time.time() + 40
        while True:
            answer = self.receive(deadline)
            if answer.get("id") == self.number:
                lib.check("error" not in answer, "%s: %s" % (method, answer.get("error")))
                return answer["result"]
            if answer.get("method") == "Runtime.exceptionThrown":
                self.errors.append(answer["params"]["exceptionDetails"])
            elif answer.get("method") == "Log.entryAdded" and answer["params"]["entry"]["level"] == "error":
                self.errors.append(answer["params"]["entry"]["text"])

    def open(self, url):
        self.call("Page.navigate", url=url)

    def run(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        lib.check("exceptionDetails" not in result, "%s: %s" % (expression, result.get("exceptionDetails")))
        return result["result"].get("value")

    def wait(self, expression, what, timeout=30):
        """Until the expression is true in the page."""
        deadline = time.time() + timeout
        while not self.run(expression):
            lib.check(time.time() < deadline, "waited in vain for %s; the page:\n%s" % (what, self.text()))
            time.sleep(0.1)

    def text(self):
        return self.run("document.body ? document.body.innerText : ''")

    def screenshot(self, path, whole=False):
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.to)
        os.close(self.source)
