# SPDX-License-Identifier: MIT
"""Where the keys for S3 come from."""
import time

import lib
from s3_kit import failure, once, setup, shared_file


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
