"""The processes: the server, the proxies in front of it with the configurations of conf/, and a
broken server."""

import os
import re
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from process import Process, free_port

HERE = Path(__file__).resolve().parent
PROXIES = ("nginx", "Caddy", "HAProxy")
FILES = {"nginx": "nginx.conf", "Caddy": "Caddyfile", "HAProxy": "haproxy.cfg"}

# The configurations assume that the server closes an idle connection after 15 s, and close theirs
# after 10 s.
IDLE_SECONDS = 15


def fail(text):
    raise SystemExit(f"tests/edge: {text}")


class Server(Process):
    """The server under test at a TCP address and at a Unix socket. `again` restarts it at the same
    places."""

    def __init__(self, arguments, idle_ms=IDLE_SECONDS * 1000, port=None, path=None):
        self.arguments, self.idle_ms = arguments, idle_ms
        self.address = ("127.0.0.1", port or free_port())
        # The name of a Unix socket has room for 107 bytes; the path of a working copy may be too
        # long for it.
        self.path = path or os.path.join(tempfile.mkdtemp(dir=arguments.scratch), "socket")
        Path(self.path).unlink(missing_ok=True)
        super().__init__(self.words(), arguments.out / "server.log")
        self.listens(self.address, self.path)

    def words(self):
        host, port = self.address
        return [self.arguments.server, host, str(self.idle_ms), f"{host}:{port}", f"unix:{self.path}"]

    def again(self):
        return Server(self.arguments, self.idle_ms, self.address[1], self.path)


class Certificate:
    """A certificate for localhost, and its key, made by this run."""

    def __init__(self, directory):
        self.chain, self.key, self.both = (directory / name for name in ("chain.pem", "key.pem", "both.pem"))
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        command += ["-keyout", str(self.key), "-out", str(self.chain)]
        made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode != 0:
            fail(f"no certificate: {made.stderr}")
        self.both.write_text(self.chain.read_text() + self.key.read_text())


def changed(text, changes):
    """The configuration with each of these patterns replaced. A pattern that does not occur is an
    error of this program."""
    for pattern, replacement in changes:
        text, count = re.subn(pattern, lambda _, to=replacement: to, text, flags=re.MULTILINE)
        if count == 0:
            fail(f"the configuration has no {pattern!r}")
    return text


# Settings that an operator does not need, but a run beside others, without root and on loopback.
NGINX_AROUND = """\
daemon off;
master_process off;
pid "{scratch}/nginx.pid";
error_log stderr notice;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path "{scratch}/body";
    proxy_temp_path "{scratch}/proxy";
    fastcgi_temp_path "{scratch}/fastcgi";
    uwsgi_temp_path "{scratch}/uwsgi";
    scgi_temp_path "{scratch}/scgi";
    include "{scratch}/site.conf";
}}
"""
CADDY_AROUND = """\
{{
    admin off
    skip_install_trust
    auto_https disable_redirects
}}
{site}
"""


class Proxy(Process):
    """One of Debian's proxies with its configuration of conf/, in front of `upstream`:
    ("127.0.0.1", port) or a path. `changes` apply to the configuration in addition to ports and
    paths."""

    def __init__(self, arguments, kind, upstream, name, changes=()):
        self.kind, self.name = kind, f"{kind} {name}"
        self.is_unix = not isinstance(upstream, tuple)
        self.address = ("127.0.0.1", free_port())
        self.origin = f"https://localhost:{self.address[1]}"
        self.scratch = Path(tempfile.mkdtemp(dir=arguments.scratch))
        log = arguments.out / (self.name.lower().replace(" ", "-") + ".log")
        log.unlink(missing_ok=True)
        text = (HERE / "conf" / FILES[kind]).read_text()
        text = changed(text, self.places(arguments.certificate, upstream))
        command, environment = self.write(changed(text, changes))
        super().__init__(command, log, env={**os.environ, **environment})
        self.listens(self.address)

    def places(self, certificate, upstream):
        """Ports and paths of this run, which replace an operator's."""
        port = self.address[1]
        unix = {"nginx": "unix:", "Caddy": "unix/", "HAProxy": "unix@"}[self.kind]
        where = f"{unix}{upstream}" if self.is_unix else f"{upstream[0]}:{upstream[1]}"
        changes = [(r"\b127\.0\.0\.1:8090\b", where)]
        if self.kind == "nginx":
            return changes + [
                (r"listen 443 ", f"listen 127.0.0.1:{port} "),
                (r"server_name example\.org;", "server_name localhost;"),
                (r"/etc/ssl/example\.org\.pem", str(certificate.chain)),
                (r"/etc/ssl/example\.org\.key", str(certificate.key)),
            ]
        if self.kind == "HAProxy":
            return changes + [
                (r"bind :443 ", f"bind 127.0.0.1:{port} "),
                (r"/etc/ssl/example\.org\.both\.pem", str(certificate.both)),
            ]
        # Caddy gets certificates by itself, which needs a public name; here it is given one.
        tls = f"bind 127.0.0.1\n    tls {certificate.chain} {certificate.key}"
        return changes + [(r"^example\.org \{", f"https://localhost:{port} {{\n    {tls}")]

    def write(self, text):
        """Writes the configuration; returns the command that runs it, and its environment."""
        if self.kind == "nginx":
            (self.scratch / "site.conf").write_text(text)
            around = self.scratch / "nginx.conf"
            around.write_text(NGINX_AROUND.format(scratch=self.scratch))
            return ["nginx", "-p", self.scratch, "-e", "stderr", "-c", around], {}
        file = self.scratch / FILES[self.kind]
        if self.kind == "HAProxy":
            file.write_text(text)
            return ["haproxy", "-db", "-f", file], {}
        file.write_text(CADDY_AROUND.format(site=text))
        homes = {"HOME": str(self.scratch), "XDG_DATA_HOME": str(self.scratch), "XDG_CONFIG_HOME": str(self.scratch)}
        return ["caddy", "run", "--adapter", "caddyfile", "--config", file], homes


def version(kind):
    """The version that the proxy prints."""
    command = {"nginx": ["nginx", "-v"], "Caddy": ["caddy", "version"], "HAProxy": ["haproxy", "-v"]}[kind]
    said = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"\d+\.\d+\.\d+", said.stdout + said.stderr)
    return found[0] if found else "?"


class Broken:
    """A server whose every answer is a fault for a proxy: its own 503 at /503, the connection's end
    at /502, and no answer at /504."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.open = []
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        for connection in self.open:
            connection.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        head = b""
        try:
            while b"\r\n\r\n" not in head:
                data = connection.recv(4096)
                if not data:
                    return connection.close()
                head += data
            path = head.split(b" ")[1]
            if path == b"/503":
                connection.sendall(
                    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 4\r\n"
                    b"Connection: close\r\n\r\nown\n"
                )
            if path != b"/504":
                connection.close()
        except OSError:
            connection.close()
