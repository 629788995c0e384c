# SPDX-License-Identifier: MIT
"""A small S3 server inside the test: it verifies signatures with code of its own and misbehaves as told.

    s3 = FakeS3()                       # bucket "bucket", keys "key" / "secret", region us-east-1
    s3.url("db")                        # s3://bucket/db?endpoint=http://127.0.0.1:PORT
    s3.fault("PutObject", status=503, code="SlowDown", times=2)
    s3.requests                         # what came: Request objects, with .op, .status, .key, .headers, .body

What it keeps is in s3.objects: key -> Object(data, headers, etag, time).
"""

import datetime
import email.utils
import hashlib
import hmac
import re
import socket
import threading
import time
import urllib.parse
import zlib
from base64 import b64encode
from xml.sax.saxutils import escape
import xml.etree.ElementTree as ET

XMLNS = "http://s3.amazonaws.com/doc/2006-03-01/"


class Object:
    def __init__(self, data, headers, etag=None, when=None):
        self.data, self.headers = data, headers
        self.etag = etag or '"%s"' % hashlib.md5(data).hexdigest()
        self.time = when or time.time()


class Request:
    def __init__(self):
        self.method = self.target = self.path = self.key = self.op = ""
        self.query, self.headers, self.body, self.status = {}, {}, b"", 0
        self.when = time.monotonic()
        self.connection = None

    def __repr__(self):
        return "%s %s -> %s" % (self.op or self.method, self.target, self.status)


class Refusal(Exception):
    def __init__(self, status, code, message="", headers=None, extra=""):
        self.status, self.code, self.message, self.headers, self.extra = status, code, message, headers or {}, extra


class Cut(Exception):
    """The connection ends here."""


class Fault:
    def __init__(self, op, times, skip, what):
        self.op, self.times, self.skip, self.what = op, times, skip, what


def quote(text, safe=""):
    return urllib.parse.quote(text, safe=safe + "-._~")


def rfc1123(seconds):
    return email.utils.formatdate(seconds, usegmt=True)


class FakeS3:
    def __init__(self, bucket="bucket", region="us-east-1", virtual_host=False, tls=None):
        self.bucket, self.region, self.virtual_host, self.tls = bucket, region, virtual_host, tls
        self.keys = {"key": ("secret", None)}  # access key -> secret, token
        self.objects, self.uploads, self.requests, self.faults = {}, {}, [], []
        self.lock = threading.RLock()
        self.page_size = 1000
        self.clock_offset = 0            # of the server's clock, seconds
        self.conditional = True          # If-Match and If-None-Match on PUT and DELETE
        self.batch_delete = True
        self.require_md5 = True
        self.ignore_range = False
        self.ignore_start_after = False
        self.tells_region = True         # to those who may nothing else
        self.denied = set()              # operations without a right
        self.min_part = 5 << 20
        self.quota = None
        self.base_path = ""
        self.latency = 0
        self.cut_every = None            # a function: bytes until the connection is cut, for each connection
        self.refuse = False              # connections are closed at once
        self.connections = 0
        self.sent = 0                    # bytes, by all connections, heads too
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(64)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    # ---- for tests ----

    @property
    def endpoint(self):
        return "%s://127.0.0.1:%d%s" % ("https" if self.tls else "http", self.port, self.base_path)

    def url(self, path, **params):
        return "s3://%s/%s?%s" % (self.bucket, path, urllib.parse.urlencode(dict(endpoint=self.endpoint, **params)))

    @property
    def env(self):
        return {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}

    def fault(self, op, times=1, skip=0, **what):
        """what: status, code, message, headers, body (of a refusal) | drop_after, stall, slow, length_off, chunked, split,
        informational, raw, rewrite (of a success) | before (close without an answer) | after (succeed, close unheard)."""
        with self.lock:
            self.faults.append(Fault(op, times, skip, what))

    def count(self, op, status=None):
        with self.lock:
            return sum(1 for r in self.requests if r.op == op and (status is None or r.status == status))

    def of(self, op):
        with self.lock:
            return [r for r in self.requests if r.op == op]

    def close(self):
        self.socket.close()

    # ---- connections ----

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            if self.refuse:
                connection.close()
                continue
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True).start()

    def _serve(self, raw, number):
        connection = raw
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                connection = self.tls.wrap_socket(raw, server_side=True)
            stream = Stream(self, connection, self.cut_every() if self.cut_every else None)
            while self._one(stream, number):
                pass
        except (Cut, OSError, ValueError):
            pass
        finally:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()

    def _one(self, stream, number):
        head = stream.until(b"\r\n\r\n")
        if head is None:
            return False
        request = Request()
        request.connection = number
        lines = head.decode("latin-1").split("\r\n")
        request.method, request.target, _ = lines[0].split(" ")
        for line in lines[1:]:
            name, value = line.split(":", 1)
            name = name.lower()
            value = value.strip()
            request.headers[name] = request.headers[name] + "," + value if name in request.headers else value
        self._route(request)
        if request.method in ("PUT", "POST") and "content-length" not in request.headers:
            raise ValueError("no length")
        if request.headers.get("expect", "").lower() == "100-continue":
            stream.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.body = stream.exactly(int(request.headers.get("content-length", "0")))
        with self.lock:
            self.requests.append(request)
            fault = self._take_fault(request)
        if self.latency:
            time.sleep(self.latency)
        if fault.get("before"):
            raise Cut()
        try:
            if "status" in fault:
                request.status = fault["status"]
                self._send_refusal(stream, request, Refusal(fault["status"], fault.get("code", ""), fault.get("message", ""),
                                                            fault.get("headers"), fault.get("extra", "")), fault.get("body"))
                return True
            self._verify(request)
            if request.op in self.denied:
                raise Refusal(403, "AccessDenied", "Access Denied")
            with self.lock:
                status, headers, body = self._answer(request)
        except Refusal as refusal:
            request.status = refusal.status
            self._send_refusal(stream, request, refusal, None)
            return True
        request.status = status
        if fault.get("after"):
            raise Cut()
        self._send(stream, request, status, headers, body, fault)
        return True

    def _take_fault(self, request):
        for fault in self.faults:
            if fault.op not in (request.op, "*"):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.times > 0:
                fault.times -= 1
                return fault.what
        return {}

    # ---- answers ----

    def _send_refusal(self, stream, request, refusal, body):
        if body is None:
            body = b""
            if refusal.code:
                body = ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message>%s"
                        "<RequestId>REQ1</RequestId></Error>" % (refusal.code, escape(refusal.message), refusal.extra)).encode()
        self._send(stream, request, refusal.status, dict(refusal.headers), body, {})

    def _send(self, stream, request, status, headers, body, fault):
        if "raw" in fault:
            stream.send(fault["raw"])
            raise Cut()
        if "rewrite" in fault:
            body = fault["rewrite"](body)
        headers.setdefault("Date", rfc1123(time.time() + self.clock_offset))
        headers.update(fault.get("add", {}))
        if fault.get("no_etag"):
            headers.pop("ETag", None)
        text = "HTTP/1.1 %d X\r\n" % status
        if fault.get("informational"):
            text = "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + text
        if fault.get("chunked"):
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers.setdefault("Content-Length", str(len(body) + fault.get("length_off", 0)))
        text += "".join("%s: %s\r\n" % pair for pair in headers.items()) + "\r\n"
        if fault.get("split"):
            for at in range(0, len(text), 7):
                stream.send(text[at:at + 7].encode())
                time.sleep(0.001)
        else:
            stream.send(text.encode())
        if request.method == "HEAD":
            return
        if fault.get("chunked"):
            body = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(body[at:at + 1000]), body[at:at + 1000])
                            for at in range(0, len(body), 1000)) + b"0\r\nTrailer: x\r\n\r\n"
        if "drop_after" in fault:
            stream.send(body[:fault["drop_after"]])
            raise Cut()
        if "stall" in fault:
            stream.send(body[:fault.get("stall_at", 0)])
            time.sleep(fault["stall"])
            raise Cut()
        if "slow" in fault:
            for at in range(len(body)):
                stream.send(body[at:at + 1])
                time.sleep(fault["slow"])
            return
        stream.send(body)
        if fault.get("length_off", 0) > 0 or fault.get("close"):
            raise Cut()

    # ---- which operation ----

    def _route(self, request):
        path, _, query = request.target.partition("?")
        request.path = path
        request.raw_query = query
        request.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        if self.base_path and path.startswith(self.base_path):
            path = path[len(self.base_path):]
        path = urllib.parse.unquote(path)
        if self.virtual_host:
            bucket, key = request.headers.get("host", "").split(".")[0], path[1:]
        else:
            bucket, _, key = path[1:].partition("/")
        request.bucket, request.key = bucket, key
        q = request.query
        table = {
            "GET": ("ListObjectsV2" if not key and "list-type" in q else "GetBucketLocation" if "location" in q else "GetObject"),
            "HEAD": "HeadObject" if key else "HeadBucket",
            "PUT": "UploadPart" if "uploadId" in q else "PutObject" if key else "CreateBucket",
            "DELETE": "AbortMultipartUpload" if "uploadId" in q else "DeleteObject",
            "POST": ("DeleteObjects" if "delete" in q else "CreateMultipartUpload" if "uploads" in q
                     else "CompleteMultipartUpload" if "uploadId" in q else "?"),
        }
        request.op = table.get(request.method, "?")

    # ---- signatures (AWS Signature Version 4, from its description) ----

    def _verify(self, request):
        text = request.headers.get("authorization", "")
        if request.op == "HeadBucket" and not text:
            raise Refusal(403, "", headers={"x-amz-bucket-region": self.region} if self.tells_region else {})
        match = re.match(r"^AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, "
                         r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$", text)
        if not match:
            raise Refusal(403, "AccessDenied", "no signature")
        access, day, region, signed, signature = match.groups()
        if access not in self.keys:
            raise Refusal(403, "InvalidAccessKeyId", "unknown key")
        secret, token = self.keys[access]
        if token != request.headers.get("x-amz-security-token"):
            raise Refusal(400, "ExpiredToken" if token == "expired" else "InvalidToken", "bad token")
        if token == "expired":
            raise Refusal(400, "ExpiredToken", "The provided token has expired.")
        when = request.headers.get("x-amz-date", "")
        then = datetime.datetime.strptime(when, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()
        if abs(then - time.time() - self.clock_offset) > 900:
            raise Refusal(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
        if region != self.region:
            raise Refusal(400, "AuthorizationHeaderMalformed", "the region '%s' is wrong; expecting '%s'" % (region, self.region),
                          extra="<Region>%s</Region>" % self.region)
        names = signed.split(";")
        must = [n for n in request.headers if n.startswith("x-amz-") or n in
                ("host", "content-type", "content-md5", "range", "if-match", "if-none-match")]
        for name in must:
            if name not in names:
                raise Refusal(403, "AccessDenied", "header %s is not signed" % name)
        for name in ("accept-encoding", "user-agent", "expect", "connection"):
            if name in names:
                raise Refusal(403, "AccessDenied", "header %s is signed" % name)
        payload = request.headers.get("x-amz-content-sha256", "")
        if payload != "UNSIGNED-PAYLOAD" and payload != hashlib.sha256(request.body).hexdigest():
            raise Refusal(400, "XAmzContentSHA256Mismatch", "the body is another")
        if "aws-chunked" in request.headers.get("content-encoding", "") or "x-amz-decoded-content-length" in request.headers:
            raise Refusal(501, "NotImplemented", "aws-chunked")
        pairs = [p.partition("=")[::2] for p in request.raw_query.split("&")] if request.raw_query else []
        pairs = sorted((quote(urllib.parse.unquote(n)), quote(urllib.parse.unquote(v))) for n, v in pairs)
        canonical = "\n".join([
            request.method, quote(urllib.parse.unquote(request.path), "/"), "&".join("%s=%s" % p for p in pairs),
            "".join("%s:%s\n" % (n, " ".join(request.headers.get(n, "").split())) for n in names), signed, payload])
        tosign = "\n".join(["AWS4-HMAC-SHA256", when, "%s/%s/s3/aws4_request" % (day, region),
                            hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + secret).encode()
        for part in (day, region, "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        if hmac.new(key, tosign.encode(), hashlib.sha256).hexdigest() != signature or not when.startswith(day):
            raise Refusal(403, "SignatureDoesNotMatch", "The request signature we calculated does not match.")

    # ---- operations ----

    def _answer(self, request):
        if request.bucket != self.bucket:
            raise Refusal(404, "NoSuchBucket", "The specified bucket does not exist")
        return getattr(self, "_do_" + request.op, self._do_unknown)(request)

    def _do_unknown(self, request):
        raise Refusal(501, "NotImplemented", request.op)

    def _do_HeadBucket(self, request):
        return 200, {"x-amz-bucket-region": self.region}, b""

    def _do_GetBucketLocation(self, request):
        return 200, {}, ("<LocationConstraint xmlns=\"%s\">%s</LocationConstraint>" % (XMLNS, self.region)).encode()

    def _conditions(self, request):
        if not self.conditional:
            return
        there = self.objects.get(request.key)
        if "if-none-match" in request.headers and there:
            raise Refusal(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        if "if-match" in request.headers:
            if not there:
                raise Refusal(404, "NoSuchKey", "The specified key does not exist.")
            if there.etag != request.headers["if-match"]:
                raise Refusal(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")

    def _kept_headers(self, request):
        return {n: v for n, v in request.headers.items() if n.startswith("x-amz-meta-") or n == "x-amz-storage-class" or
                n == "content-type" or n.startswith("x-amz-server-side-encryption")}

    def _do_PutObject(self, request):
        self._conditions(request)
        if self.quota is not None and sum(len(o.data) for o in self.objects.values()) + len(request.body) > self.quota:
            raise Refusal(403, "QuotaExceeded", "the bucket is full")
        self.objects[request.key] = made = Object(request.body, self._kept_headers(request))
        return 200, {"ETag": made.etag}, b""

    def _find(self, request):
        there = self.objects.get(request.key)
        if not there:
            raise Refusal(404, "" if request.method == "HEAD" else "NoSuchKey", "The specified key does not exist.")
        key = "x-amz-server-side-encryption-customer-key"
        if there.headers.get(key) != request.headers.get(key):
            raise Refusal(400, "" if request.method == "HEAD" else "InvalidRequest", "The object was stored using SSE-C")
        headers = {"ETag": there.etag, "Last-Modified": rfc1123(there.time), "Accept-Ranges": "bytes"}
        headers.update((n, v) for n, v in there.headers.items() if n.startswith("x-amz-meta-"))
        return there, headers

    def _do_HeadObject(self, request):
        there, headers = self._find(request)
        headers["Content-Length"] = str(len(there.data))
        return 200, headers, b""

    def _do_GetObject(self, request):
        there, headers = self._find(request)
        if "if-match" in request.headers and request.headers["if-match"] != there.etag:
            raise Refusal(412, "PreconditionFailed", "another object")
        match = re.match(r"^bytes=(\d+)-(\d*)$", request.headers.get("range", ""))
        if not match or self.ignore_range:
            return 200, headers, there.data
        first, last = int(match.group(1)), int(match.group(2) or len(there.data) - 1)
        if first >= len(there.data):
            raise Refusal(416, "InvalidRange", "The requested range is not satisfiable")
        part = there.data[first:last + 1]
        headers["Content-Range"] = "bytes %d-%d/%d" % (first, first + len(part) - 1, len(there.data))
        return 206, headers, part

    def _do_DeleteObject(self, request):
        self._conditions(request)
        self.objects.pop(request.key, None)
        return 204, {}, b""

    def _do_DeleteObjects(self, request):
        if not self.batch_delete:
            raise Refusal(501, "NotImplemented", "no batches here")
        md5 = request.headers.get("content-md5")
        if md5 and md5 != b64encode(hashlib.md5(request.body).digest()).decode():
            raise Refusal(400, "BadDigest", "bad md5")
        crc = request.headers.get("x-amz-checksum-crc32")
        if crc and crc != b64encode(zlib.crc32(request.body).to_bytes(4, "big")).decode():
            raise Refusal(400, "BadDigest", "bad crc")
        if not crc and not md5:
            raise Refusal(400, "InvalidRequest", "Missing required header for this request: Content-MD5")
        keys = [e.text for e in ET.fromstring(request.body).iter("{%s}Key" % XMLNS)]
        if len(keys) > 1000:
            raise Refusal(400, "MalformedXML", "too many keys")
        errors = ""
        for key in keys:
            if "delete:" + key in self.denied:
                errors += "<Error><Key>%s</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error>" % escape(key)
            else:
                self.objects.pop(key, None)
        return 200, {}, ("<DeleteResult xmlns=\"%s\">%s</DeleteResult>" % (XMLNS, errors)).encode()

    def _do_CreateMultipartUpload(self, request):
        name = "up/load+id=%d" % (len(self.uploads) + 1)
        self.uploads[name] = {"key": request.key, "headers": self._kept_headers(request), "parts": {}, "state": "open"}
        return 200, {}, ("<InitiateMultipartUploadResult xmlns=\"%s\"><Bucket>b</Bucket><UploadId>%s</UploadId>"
                         "</InitiateMultipartUploadResult>" % (XMLNS, escape(name))).encode()

    def _upload(self, request):
        upload = self.uploads.get(request.query["uploadId"])
        if not upload or upload["state"] != "open" or upload["key"] != request.key:
            raise Refusal(404, "NoSuchUpload", "The specified upload does not exist.")
        return upload

    def _do_UploadPart(self, request):
        etag = '"%s"' % hashlib.md5(request.body).hexdigest()
        self._upload(request)["parts"][int(request.query["partNumber"])] = (etag, request.body)
        return 200, {"ETag": etag}, b""

    def _do_CompleteMultipartUpload(self, request):
        upload = self._upload(request)
        asked = [(int(p.find("{%s}PartNumber" % XMLNS).text), p.find("{%s}ETag" % XMLNS).text)
                 for p in ET.fromstring(request.body).iter("{%s}Part" % XMLNS)]
        if asked != sorted(asked) or not asked:
            raise Refusal(400, "InvalidPartOrder", "")
        for number, etag in asked:
            if upload["parts"].get(number, ("",))[0] != etag:
                raise Refusal(400, "InvalidPart", "part %d" % number)
        bodies = [upload["parts"][number][1] for number, _ in asked]
        if any(len(body) < self.min_part for body in bodies[:-1]):
            raise Refusal(400, "EntityTooSmall", "")
        upload["state"] = "complete"
        digest = hashlib.md5(b"".join(hashlib.md5(b).digest() for b in bodies)).hexdigest()
        made = Object(b"".join(bodies), upload["headers"], '"%s-%d"' % (digest, len(bodies)))
        self.objects[request.key] = made
        return 200, {}, ("<CompleteMultipartUploadResult xmlns=\"%s\"><ETag>%s</ETag></CompleteMultipartUploadResult>"
                         % (XMLNS, escape(made.etag))).encode()

    def _do_AbortMultipartUpload(self, request):
        self._upload(request)["state"] = "aborted"
        return 204, {}, b""

    def _do_ListObjectsV2(self, request):
        q = request.query
        prefix, delimiter = q.get("prefix", ""), q.get("delimiter", "")
        after = q.get("continuation-token", "")
        after = urllib.parse.unquote(after[4:]) if after else "" if self.ignore_start_after else q.get("start-after", "")
        names = [k for k in sorted(self.objects, key=lambda k: k.encode()) if k.startswith(prefix) and k > after]
        entries, prefixes = [], []
        for name in names:
            rest = name[len(prefix):]
            if delimiter and delimiter in rest:
                common = prefix + rest[:rest.index(delimiter) + 1]
                if common not in prefixes:
                    prefixes.append(common)
            else:
                entries.append(name)
        page, more = entries[:self.page_size], len(entries) > self.page_size
        shown = (lambda text: quote(text, "/")) if q.get("encoding-type") == "url" else escape
        out = ["<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"%s\"><Name>%s</Name><Prefix>%s</Prefix>"
               % (XMLNS, self.bucket, shown(prefix))]
        if q.get("encoding-type") == "url":
            out.append("<EncodingType>url</EncodingType>")
        out.append("<KeyCount>%d</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>%s</IsTruncated>"
                   % (len(page), "true" if more else "false"))
        if more:
            out.append("<NextContinuationToken>tok+%s</NextContinuationToken>" % escape(quote(page[-1])))
        for name in page:
            o = self.objects[name]
            stamp = datetime.datetime.fromtimestamp(o.time, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            out.append("<Contents><Key>%s</Key><LastModified>%s</LastModified><ETag>%s</ETag><Size>%d</Size>"
                       "<Owner><ID>x</ID></Owner><StorageClass>STANDARD</StorageClass></Contents>"
                       % (shown(name), stamp, escape(o.etag, {'"': "&quot;"}), len(o.data)))
        out += ["<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>" % shown(p) for p in prefixes]
        return 200, {"Content-Type": "application/xml"}, ("".join(out) + "</ListBucketResult>").encode()


class Proxy:
    """An HTTP proxy that leads every CONNECT to one port, whatever host was named."""

    def __init__(self, port):
        self.to, self.hosts = port, []
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(64)
        self.url = "http://127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self.socket.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1)
        self.hosts.append(head.split(b" ")[1].decode())
        server = socket.create_connection(("127.0.0.1", self.to))
        client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        threading.Thread(target=self._pump, args=(server, client), daemon=True).start()
        self._pump(client, server)

    @staticmethod
    def _pump(source, sink):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Stream:
    """A connection, which may end after a number of bytes in either direction."""

    def __init__(self, server, connection, left):
        self.server, self.connection, self.left, self.buffer = server, connection, left, b""

    def _spend(self, n):
        if self.left is not None:
            self.left -= n
            if self.left < 0:
                raise Cut()

    def _more(self):
        data = self.connection.recv(65536)
        self._spend(len(data))
        self.buffer += data
        return data

    def until(self, mark):
        while mark not in self.buffer:
            if not self._more():
                return None
        head, _, self.buffer = self.buffer.partition(mark)
        return head

    def exactly(self, n):
        parts, have = [self.buffer[:n]], min(n, len(self.buffer))
        self.buffer = self.buffer[n:]
        while have < n:
            data = self.connection.recv(min(1 << 20, n - have))
            if not data:
                raise Cut()
            self._spend(len(data))
            parts.append(data)
            have += len(data)
        return b"".join(parts)

    def send(self, data):
        if self.left is not None and len(data) > self.left:
            self._pass(data[:max(self.left, 0)])
            self.left = 0
            raise Cut()
        self._spend(len(data))
        self._pass(data)

    def _pass(self, data):
        for at in range(0, len(data), 1 << 18):
            piece = data[at:at + (1 << 18)]
            self.connection.sendall(piece)
            with self.server.lock:
                self.server.sent += len(piece)
