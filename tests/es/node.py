"""A real Elasticsearch or OpenSearch node on this machine, for the time of a test.

    with Node("opensearch", "2.19.4", secure=True) as node:
        node.url, node.ca                  https://127.0.0.1:PORT, and the authority that signed its certificate
        node.call("GET", "/index/_count")  (status, JSON), as the user node.user with node.password
        node.kill(), node.restart()        SIGKILL and the same data again

The distributions come from Maven Central, once, into CACHE; they are never part of the project (Elasticsearch's is
under the Elastic License). The server runs as an unprivileged user, on loopback, with a small heap, in a folder of its
own that is removed at the end. Elasticsearch with security gets one small plugin (TestExtras.java): the distribution
has no analysis module, which the index of API keys needs.
"""

import base64
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
COORDINATES = {
    "opensearch": "org.opensearch.distribution.integ-test-zip:opensearch:%s:zip",
    "elasticsearch": "org.elasticsearch.distribution.integ-test-zip:elasticsearch:%s:zip",
    "opensearch-security": "org.opensearch.plugin:opensearch-security:%s.0:zip",
}
HOME_CACHE = Path.home() / ".cache/trackleak/servers"


def cache():
    """Where the distributions stand. The server's user must be able to read it, and root's home is often closed."""
    closed = os.getuid() == 0 and any(not folder.stat().st_mode & 0o001 for folder in HOME_CACHE.parents if folder.exists())
    return Path("/var/tmp/trackleak-servers") if closed else HOME_CACHE


CACHE = cache()
USER, PASSWORD = "tester", "A-test-only-1!"
HASH = "$2a$06$6i2hNpXmQQhtaRndbrcmyOAob3f0lyJRn3VKXm6NJfUCN4fxCzS3."  # of PASSWORD, by bcrypt
HEAP_MB, PATIENCE_S = 256, 150


class Unavailable(Exception):
    """One line: what is missing for a server."""


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)
    if done.returncode:
        raise Unavailable("%s: %s" % (" ".join(map(str, command[:3])), (done.stderr or done.stdout).strip()[-600:]))
    return done.stdout


def java_release(home):
    """17 of a Java 17; 0: this is no Java."""
    try:
        return int(re.search(r'^JAVA_VERSION="(\d+)', (home / "release").read_text(), re.M)[1])
    except (OSError, TypeError):
        return 0


def java_home(kind, version):
    """A Java that it runs on: JAVA_HOME, the one on PATH, or one of those that are installed."""
    is_new = int(version.split(".")[0]) >= {"opensearch": 3, "elasticsearch": 9}[kind]
    least, most = (21, 99) if is_new else (17, 23)  # 24 has no security manager, which the older ones need
    found = shutil.which("java")
    homes = [Path(os.environ.get("JAVA_HOME") or "/none"), *([Path(os.path.realpath(found)).parents[1]] if found else []),
             *sorted(Path("/usr/lib/jvm").glob("*"), key=java_release)]
    for home in homes:
        if least <= java_release(home) <= most:
            return home
    raise Unavailable("%s %s needs a Java from %d to %d: run `make deps-es`, or set JAVA_HOME" % (kind, version, least, most))


def fetch(artifact, version):
    coordinates = COORDINATES[artifact] % version
    _group, name, full, _kind = coordinates.split(":")
    archive = CACHE / ("%s-%s.zip" % (name, full))
    if not archive.exists():
        if not shutil.which("mvn"):
            raise Unavailable("there is no Maven: run `make deps-es`")
        part = CACHE / "part"
        run("mvn", "-B", "-q", "-Dmaven.repo.local=%s" % (CACHE / "m2"),
            "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy", "-Dartifact=" + coordinates,
            "-DoutputDirectory=%s" % part)
        os.rename(part / archive.name, archive)
        shutil.rmtree(CACHE / "m2", ignore_errors=True)
    return archive


def unpack(archive, folder):
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)


def build_extras(home, java, version):
    plugin = home / "plugins" / "trackleak-test-extras"
    plugin.mkdir()
    classes = plugin / "classes"
    run(java / "bin/javac", "-nowarn", "-Xlint:none", "-cp", "%s/lib/*" % home, "-d", classes,
        HERE / "TestExtras.java")
    run(java / "bin/jar", "cf", plugin / "extras.jar", "-C", classes, ".")
    shutil.rmtree(classes)
    (plugin / "plugin-descriptor.properties").write_text(
        "name=trackleak-test-extras\ndescription=for tests\nversion=1\nclassname=trackleak.TestExtras\n"
        "java.version=17\nelasticsearch.version=%s\n" % version)


def distribution(kind, version, secure):
    """The folder of the unpacked server, ready to run."""
    top = CACHE / ("%s-%s%s" % (kind, version, "-secure" if secure else ""))
    home = top / ("%s-%s" % (kind, version))
    if (top / "ready").exists():
        return home
    CACHE.mkdir(parents=True, exist_ok=True, mode=0o755)
    shutil.rmtree(top, ignore_errors=True)
    unpack(fetch(kind, version), top)
    if secure and kind == "opensearch":
        unpack(fetch("opensearch-security", version), home / "plugins" / "opensearch-security")
    if secure and kind == "elasticsearch":
        build_extras(home, java_home(kind, version), version)
    for path in home.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    for path in (CACHE, top, home):
        path.chmod(0o755)
    (top / "ready").touch()
    return home


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Client:
    """Asks self.url, as self.user, trusting self.ca."""

    def call(self, method, path, body=None):
        """(status, answer)"""
        headers = {"Content-Type": "application/json"}
        if self.user:
            login = base64.b64encode(("%s:%s" % (self.user, self.password)).encode()).decode()
            headers["Authorization"] = "Basic " + login
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        context = ssl.create_default_context(cafile=self.ca) if self.secure else None
        try:
            with urllib.request.urlopen(request, timeout=20, context=context) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            text = error.read()
            try:
                return error.code, json.loads(text)
            except ValueError:
                return error.code, {"text": text.decode(errors="replace")}


class Given(Client):
    """The server at ELASTICSEARCH_URL, with the credentials of the environment; nothing of it is started or stopped."""

    kind, has_streams = "given", True

    def __init__(self):
        self.settings = {k: v for k, v in os.environ.items() if k.startswith("ELASTICSEARCH_")}
        self.url = self.settings["ELASTICSEARCH_URL"].rstrip("/")
        self.secure = self.url.startswith("https")
        self.ca = self.settings.get("ELASTICSEARCH_CA_FILE")
        self.user, self.password = (self.settings.get("ELASTICSEARCH_" + name) for name in ("USERNAME", "PASSWORD"))

    def remove(self, pattern):
        for kind in ("_data_stream/", ""):
            self.call("DELETE", "/" + kind + pattern)


class Node(Client):
    def __init__(self, kind, version, secure=False):
        self.kind, self.secure = kind, secure
        self.java = java_home(kind, version)
        # Elasticsearch's are a module of the default distribution; from 8 on the core makes them from a template.
        self.has_streams = kind != "elasticsearch" or version >= "8"
        self.home = distribution(kind, version, secure)
        self.port = free_port()
        self.url = "%s://127.0.0.1:%d" % ("https" if secure else "http", self.port)
        self.user, self.password = (USER, PASSWORD) if secure else (None, None)
        self.folder = Path(tempfile.mkdtemp(prefix="trackleak-node-"))
        self.config = self.folder / "config"
        self.ca = self.config / "ca.crt" if secure else None
        self.process = None
        self.pid_file = self.folder / "pid"

    def __enter__(self):
        try:
            self.configure()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop(signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)

    # Its configuration

    def certificates(self):
        request = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-days", "30"]
        run(*request, "-x509", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.crt", "-addext",
            "keyUsage=critical,keyCertSign", cwd=self.config)
        (self.config / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
        for name in ("node", "admin"):
            run(*request, "-subj", "/CN=" + name, "-keyout", name + ".pem", "-out", name + ".csr", cwd=self.config)
            run("openssl", "pkcs8", "-topk8", "-nocrypt", "-in", name + ".pem", "-out", name + ".key", cwd=self.config)
            run("openssl", "x509", "-req", "-in", name + ".csr", "-CA", "ca.crt", "-CAkey", "ca.key",
                "-CAcreateserial", "-days", "30", "-out", name + ".crt", "-extfile", "names", cwd=self.config)

    def configure(self):
        shutil.copytree(self.home / "config", self.config)
        for name in ("data", "logs", "tmp"):
            (self.folder / name).mkdir()
        options = self.config / "jvm.options"
        kept = [line for line in options.read_text().splitlines()
                if not any(word in line for word in ("gc.log", "gc,gc", "G1", "-Xms", "-Xmx", "HeapDump", "incubator",
                                                     "InitiatingHeapOccupancy", "ErrorFile"))]
        kept += ["-Xms%dm" % HEAP_MB, "-Xmx%dm" % HEAP_MB, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        options.write_text("\n".join(kept) + "\n")
        lines = ["cluster.name: trackleak-test", "node.name: n1", "discovery.type: single-node",
                 "network.host: 127.0.0.1", "http.port: %d" % self.port, "transport.port: 0",
                 "path.data: %s" % (self.folder / "data"), "path.logs: %s" % (self.folder / "logs"),
                 "cluster.routing.allocation.disk.threshold_enabled: false"]
        if self.secure:
            self.certificates()
        lines += getattr(self, "configure_" + self.kind)()
        (self.config / (self.kind + ".yml")).write_text("\n".join(lines) + "\n")
        if os.getuid() == 0:
            run("chown", "-R", "nobody", self.folder)
        self.folder.chmod(0o755)

    def configure_elasticsearch(self):
        if not self.secure:
            return ["xpack.security.enabled: false"]
        (self.config / "users").write_text("%s:%s\n" % (USER, HASH))
        (self.config / "users_roles").write_text("superuser:%s\n" % USER)
        return ["xpack.security.enabled: true", "xpack.security.autoconfiguration.enabled: false",
                "xpack.security.http.ssl.enabled: true", "xpack.security.http.ssl.key: node.key",
                "xpack.security.http.ssl.certificate: node.crt",
                "xpack.security.http.ssl.certificate_authorities: [ ca.crt ]",
                "xpack.security.transport.ssl.enabled: false"]

    def configure_opensearch(self):
        if not self.secure:
            return []
        security = self.config / "opensearch-security"
        shutil.copytree(self.home / "plugins" / "opensearch-security" / "config", security)
        with open(security / "internal_users.yml", "a") as users:
            users.write('\n%s:\n  hash: "%s"\n  backend_roles: [ "admin" ]\n' % (USER, HASH))
        lines = []
        for layer in ("transport", "http"):
            for name, file in (("pemcert", "node.crt"), ("pemkey", "node.key"), ("pemtrustedcas", "ca.crt")):
                lines.append("plugins.security.ssl.%s.%s_filepath: %s" % (layer, name, file))
        return lines + ["plugins.security." + line for line in (
            "ssl.transport.enforce_hostname_verification: false", "ssl.http.enabled: true",
            "allow_default_init_securityindex: true", 'nodes_dn: [ "CN=node" ]', 'authcz.admin_dn: [ "CN=admin" ]',
            'restapi.roles_enabled: [ "all_access" ]', "audit.type: noop")]

    # Its life

    def start(self):
        prefix = "OPENSEARCH" if self.kind == "opensearch" else "ES"
        environment = {k: v for k, v in os.environ.items() if k != "JAVA_HOME"}
        environment.update({prefix + "_PATH_CONF": str(self.config), prefix + "_JAVA_HOME": str(self.java),
                            prefix + "_TMPDIR": str(self.folder / "tmp"), "HOME": str(self.folder)})
        command = [str(self.home / "bin" / self.kind), "-p", str(self.pid_file)]
        if os.getuid() == 0:
            command = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] + command
        self.pid_file.unlink(missing_ok=True)
        self.process = subprocess.Popen(command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
                                        stdout=open(self.folder / "out.log", "ab"), stderr=subprocess.STDOUT,
                                        start_new_session=True)
        end = time.monotonic() + PATIENCE_S
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise Unavailable("%s does not start:\n%s" % (self.kind, self.log()))
            time.sleep(0.3)

    def log(self):
        return (self.folder / "out.log").read_text(errors="replace")[-3000:]

    def answers(self):
        try:
            status, _ = self.call("GET", "/_cluster/health?wait_for_status=yellow&timeout=3s")
        except OSError:
            return False
        return status == 200

    def stop(self, how):
        """The launcher and the server behind it."""
        if self.process is None:
            return
        try:
            os.kill(int(self.pid_file.read_text()), how)
        except (OSError, ValueError):
            pass
        try:
            self.process.wait(20 if how == signal.SIGTERM else 2)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def kill(self):
        self.stop(signal.SIGKILL)

    def restart(self):
        self.kill()
        self.start()
