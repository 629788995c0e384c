# SPDX-License-Identifier: MIT
"""S3 with the fake server: where a bucket lies, who may ask for it, and over which connection."""
import re
import time

import lib
from fake_s3 import FakeS3, Proxy
from s3_kit import LEVEL0, blob, failure, once, restore, round_trip, setup, shared_file


# ---- regions, redirects, clocks ----

def test_region_from_the_answer(t):
    s3, db = setup(t, region="eu-west-3")
    round_trip(t, s3, db)
    lib.equal(sum(1 for r in s3.requests if r.status == 400), 2, "wrong regions, one for each run")


def test_region_from_a_header(t):
    s3, db = setup(t, region="eu-west-3")
    s3.fault("ListObjectsV2", status=301, headers={"x-amz-bucket-region": "eu-west-3"})
    once(t, s3, db)
    s3.fault("ListObjectsV2", status=400, headers={"x-amz-bucket-region": "eu-west-3"})
    restore(t, s3)


def test_redirect_to_the_same_host(t):
    s3, db = setup(t)
    other = FakeS3()
    other.objects = s3.objects
    s3.fault("PutObject", status=307, code="TemporaryRedirect", headers={"Location": other.endpoint + "/bucket/x"})
    once(t, s3, db)
    lib.equal((s3.count("PutObject", 307), other.count("PutObject", 200)), (1, 1))


def test_redirects_elsewhere_are_not_followed(t):
    s3, db = setup(t)
    for place in ("http://evil.example/x", "http://127.0.0.2:1/", "nonsense", ""):
        s3.fault("PutObject", times=9, status=307, headers={"Location": place})
        lib.contains(failure(t, "replicate", "-once", db, s3.url("db")), "TemporaryRedirect")
        s3.faults.clear()


def test_wrong_clock(t):
    s3, db = setup(t)
    s3.clock_offset = 3 * 86400
    out = once(t, s3, db)
    lib.contains(out, "clock")
    lib.equal(s3.count("ListObjectsV2", 403), 1)
    s3.clock_offset = -50 * 365 * 86400
    restore(t, s3)


# ---- credentials ----

def test_wrong_keys(t):
    s3, db = setup(t)
    text = failure(t, "replicate", "-once", db, s3.url("db"), env={"AWS_ACCESS_KEY_ID": "nobody"})
    lib.contains(text, "InvalidAccessKeyId")
    lib.contains(text, "access-key-id")
    text = failure(t, "replicate", "-once", db, s3.url("db"), env={"AWS_SECRET_ACCESS_KEY": "wrong"})
    lib.contains(text, "SignatureDoesNotMatch")
    lib.contains(text, "bucket bucket")
    text = failure(t, "restore", "-if-replica-exists", "-o", t.path("o.db"), s3.url("db"),
                   env={"AWS_ACCESS_KEY_ID": None, "HOME": t.dir})
    lib.contains(text, "no credentials")
    lib.contains(text, "LITESTREAM_ACCESS_KEY_ID")


def test_litestream_keys(t):
    s3, db = setup(t)
    t.env.pop("AWS_ACCESS_KEY_ID")
    t.env.pop("AWS_SECRET_ACCESS_KEY")
    once(t, s3, db, env={"LITESTREAM_ACCESS_KEY_ID": "key", "LITESTREAM_SECRET_ACCESS_KEY": "secret"})


def test_shared_files(t):
    s3, db = setup(t)
    s3.keys["shared"] = ("s2", "tok")
    env = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None,
           "AWS_SHARED_CREDENTIALS_FILE": shared_file(t, "credentials", "[default]\naws_access_key_id = nobody\n"
                                                      "aws_secret_access_key = x\n\n# c\n[work]\naws_access_key_id=shared\n"
                                                      "aws_secret_access_key = s2 \n  aws_secret_access_key = nested\n"
                                                      "aws_session_token=tok\n"),
           "AWS_CONFIG_FILE": t.path("nothing"), "AWS_PROFILE": "work"}
    once(t, s3, db, env=env)
    lib.contains(failure(t, "replicate", "-once", db, s3.url("db"), env=dict(env, AWS_PROFILE="absent")), "absent")


def test_rotated_file_and_expired_token(t):
    s3, db = setup(t)
    path = shared_file(t, "credentials", "[default]\naws_access_key_id=old\naws_secret_access_key=a\naws_session_token=expired\n")
    s3.keys["old"] = ("a", None)
    s3.keys["new"] = ("b", "fresh")
    env = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_SHARED_CREDENTIALS_FILE": path}
    s3.keys["old"] = ("a", "expired")
    lib.contains(failure(t, "replicate", "-once", db, s3.url("db"), env=env), "ExpiredToken")
    s3.keys["old"] = ("a", "good")
    shared_file(t, "credentials", "[default]\naws_access_key_id=old\naws_secret_access_key=a\naws_session_token=good\n")
    d = t.daemon("replicate", db, s3.url("db"), env=env)
    d.wait_log("ltx file uploaded")
    s3.keys.pop("old")
    shared_file(t, "credentials", "[default]\naws_access_key_id=new\naws_secret_access_key=b\naws_session_token=fresh\n")
    t.insert(db, 1)
    t.wait(lambda: s3.count("PutObject", 200) >= 2, "an upload with the new keys", 30)
    lib.check("InvalidAccessKeyId" not in d.text(), d.text())
    d.stop()


def test_credential_process(t):
    s3, db = setup(t)
    config = shared_file(t, "config", "[default]\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"key\","
                         "\"SecretAccessKey\":\"secret\",\"Expiration\":\"2199-01-01T00:00:00Z\"}'\n")
    env = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_CONFIG_FILE": config,
           "AWS_SHARED_CREDENTIALS_FILE": t.path("nothing")}
    once(t, s3, db, env=env)
    shared_file(t, "config", "[default]\ncredential_process = exit 3\n")
    lib.contains(failure(t, "replicate", "-once", db, s3.url("db"), env=env), "credential_process")


class Metadata:
    """An endpoint for keys: container, instance and STS."""

    def __init__(self):
        import http.server
        import threading
        outer = self
        self.asked, self.life = [], 3600

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                length = int(self.headers.get("content-length") or 0)
                outer.asked.append((self.command, self.path, dict(self.headers), self.rfile.read(length).decode()))
                status, body = outer.reply(self.command, self.path, self.headers)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())
            do_GET = do_PUT = do_POST = answer

            def log_message(self, *args):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]

    def keys(self):
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.life))
        return '{"Code":"Success","AccessKeyId":"key","SecretAccessKey":"secret","Expiration":"%s"}' % until

    def reply(self, method, path, headers):
        if path == "/latest/api/token":
            return (200, "tok") if method == "PUT" and headers["X-aws-ec2-metadata-token-ttl-seconds"] == "300" else (400, "")
        if path.startswith("/latest/") and headers["X-aws-ec2-metadata-token"] != "tok":
            return 401, ""
        if path == "/latest/meta-data/iam/security-credentials/":
            return 200, "role-name\n"
        if path in ("/latest/meta-data/iam/security-credentials/role-name", "/container"):
            return 200, self.keys()
        if path == "/":
            until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.life))
            return 200, ("<R xmlns='x'><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>key</AccessKeyId>"
                         "<SecretAccessKey>secret</SecretAccessKey><SessionToken>sts</SessionToken><Expiration>%s"
                         "</Expiration></Credentials></AssumeRoleWithWebIdentityResult></R>" % until)
        return 404, ""


NO_KEYS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent/a",
           "AWS_CONFIG_FILE": "/nonexistent/b"}


def test_container_keys(t):
    s3, db = setup(t)
    m = Metadata()
    token = shared_file(t, "token", "Basic abc\n")
    once(t, s3, db, env=dict(NO_KEYS, AWS_CONTAINER_CREDENTIALS_FULL_URI=m.url + "/container",
                             AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=token))
    lib.equal(m.asked[0][2]["authorization"], "Basic abc")
    text = failure(t, "replicate", "-once", db, s3.url("db"),
                   env=dict(NO_KEYS, AWS_CONTAINER_CREDENTIALS_FULL_URI="http://192.0.2.1/c"))
    lib.contains(text, "https")


def test_instance_keys(t):
    s3, db = setup(t)
    m = Metadata()
    once(t, s3, db, env=dict(NO_KEYS, AWS_EC2_METADATA_DISABLED="false", AWS_EC2_METADATA_SERVICE_ENDPOINT=m.url))
    lib.equal([path for _, path, _, _ in m.asked],
              ["/latest/api/token", "/latest/meta-data/iam/security-credentials/",
               "/latest/meta-data/iam/security-credentials/role-name"])


def test_web_identity(t):
    s3, db = setup(t)
    s3.keys["key"] = ("secret", "sts")
    m = Metadata()
    env = dict(NO_KEYS, AWS_WEB_IDENTITY_TOKEN_FILE=shared_file(t, "jwt", "a+b/c=\n"), AWS_ROLE_ARN="arn:aws:iam::1:role/x",
               AWS_ENDPOINT_URL_STS=m.url, AWS_ROLE_SESSION_NAME="me")
    once(t, s3, db, env=env)
    form = m.asked[0][3]
    lib.contains(form, "Action=AssumeRoleWithWebIdentity")
    lib.contains(form, "WebIdentityToken=a%2Bb%2Fc%3D")
    lib.contains(form, "RoleSessionName=me")
    lib.check("Authorization" not in m.asked[0][2])


def test_role_of_a_profile(t):
    s3, db = setup(t)
    s3.keys["key"] = ("secret", "sts")
    m = Metadata()
    config = shared_file(t, "config", "[profile base]\naws_access_key_id=b\naws_secret_access_key=c\n[profile  work]\n"
                         "role_arn=arn:aws:iam::1:role/x\nsource_profile = base\nexternal_id=e\nregion=eu-west-1\n")
    once(t, s3, db, env=dict(NO_KEYS, AWS_CONFIG_FILE=config, AWS_PROFILE="work", AWS_ENDPOINT_URL_STS=m.url))
    lib.contains(m.asked[0][3], "Action=AssumeRole&")
    lib.contains(m.asked[0][3], "ExternalId=e")
    lib.contains(m.asked[0][2]["authorization"], "/eu-west-1/sts/aws4_request")


def test_keys_that_expire_are_renewed(t):
    s3, db = setup(t)
    m = Metadata()
    m.life = 302  # five minutes early, so after two seconds
    d = t.daemon("replicate", db, s3.url("db"), env=dict(NO_KEYS, AWS_CONTAINER_CREDENTIALS_FULL_URI=m.url + "/container"))
    d.wait_log("ltx file uploaded")
    time.sleep(3)
    t.insert(db, 1)
    t.wait(lambda: s3.count("PutObject", 200) >= 2, "the second upload", 20)
    lib.check(len(m.asked) >= 2, "%d fetches of keys" % len(m.asked))
    d.stop()


# ---- TLS ----

def certificate(t, *names):
    """A certificate for those DNS names by a CA of the test; returns the server's context and the CA's file."""
    import shutil
    import ssl
    import subprocess
    if not shutil.which("openssl"):
        lib.skip("there is no openssl program to make certificates with")

    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, cwd=t.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=Test CA", "-keyout", "ca.key",
            "-out", "ca.pem")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "s.key", "-out", "s.csr")
    lib.write_file(t.path("ext"), ("subjectAltName=" + ",".join("DNS:" + name for name in names)).encode())
    openssl("x509", "-req", "-in", "s.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
            "-extfile", "ext", "-out", "s.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(t.path("s.pem"), t.path("s.key"))
    return context, t.path("ca.pem")


def test_over_tls(t):
    context, ca = certificate(t, "localhost")
    s3, db = setup(t, tls=context)
    blob(t, db, 6)
    url = s3.url("db").replace("127.0.0.1", "localhost")
    env = {"SSL_CERT_FILE": ca}
    t.ok("replicate", "-once", db, url, env=env)
    t.ok("restore", "-o", t.path("o.db"), url, env=env)
    lib.equal(lib.dump(t.path("o.db")), lib.dump(db))
    lib.contains(failure(t, "restore", "-o", t.path("no.db"), url), "certificate")
    lib.contains(failure(t, "restore", "-o", t.path("no.db"), s3.url("db"), env=env), "name")
    t.ok("restore", "-o", t.path("any.db"), s3.url("db", skipVerify="true"))


AMAZON = ("*.s3.us-east-1.amazonaws.com", "*.s3.eu-west-3.amazonaws.com", "*.s3-accesspoint.eu-west-3.amazonaws.com")


def amazon(t, **options):
    """Amazon's hosts, by way of a proxy."""
    context, ca = certificate(t, *AMAZON)
    s3, db = setup(t, tls=context, virtual_host=True, region="eu-west-3", **options)
    proxy = Proxy(s3.port)
    t.env.update(SSL_CERT_FILE=ca, HTTPS_PROXY=proxy.url)
    return s3, db, proxy


def test_region_is_found_out(t):
    s3, db, proxy = amazon(t)
    t.ok("replicate", "-once", db, "s3://bucket/db")
    t.ok("restore", "-o", t.path("o.db"), "s3://bucket/db")
    lib.equal(lib.dump(t.path("o.db")), lib.dump(db))
    lib.equal(s3.count("HeadBucket"), 2)
    lib.check("authorization" not in s3.of("HeadBucket")[0].headers)
    lib.equal(set(proxy.hosts), {"bucket.s3.us-east-1.amazonaws.com:443", "bucket.s3.eu-west-3.amazonaws.com:443"})
    lib.equal(sum(1 for r in s3.requests if r.status >= 400 and r.op != "HeadBucket"), 0)


def test_region_that_was_set_wrong(t):
    s3, db, proxy = amazon(t)
    out = t.ok("replicate", "-once", db, "s3://bucket/db?region=us-east-1")
    lib.contains(out, "another region")
    lib.equal(s3.count("PutObject", 200), 1)


def test_redirect_to_another_region(t):
    s3, db, proxy = amazon(t)
    s3.fault("ListObjectsV2", status=301, code="PermanentRedirect",
             extra="<Endpoint>bucket.s3.eu-west-3.amazonaws.com</Endpoint>")
    t.ok("replicate", "-once", db, "s3://bucket/db?region=us-east-1")
    lib.equal(s3.count("PutObject", 200), 1)


def test_region_from_the_environment(t):
    s3, db, proxy = amazon(t)
    s3.tells_region = False
    s3.denied = {"GetBucketLocation"}
    t.ok("replicate", "-once", db, "s3://bucket/db", env={"AWS_REGION": "eu-west-3"})
    lib.contains(failure(t, "restore", "-o", t.path("o.db"), "s3://bucket/db"), "region")


def test_access_point(t):
    s3, db, proxy = amazon(t, bucket="ap-123456789012")
    t.ok("replicate", "-once", db, "s3://arn:aws:s3:eu-west-3:123456789012:accesspoint/ap/db")
    lib.equal(set(proxy.hosts), {"ap-123456789012.s3-accesspoint.eu-west-3.amazonaws.com:443"})
    lib.check(all(re.match(LEVEL0, key) for key in s3.objects), str(list(s3.objects)))
