"""The servers that get the same requests: origins that say what they understood, and proxies in
front of an origin that records what they sent on, and in front of ours."""

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from process import Process, free_port

HERE = Path(__file__).resolve().parent
PROXIES = ("nginx", "haproxy", "lighttpd", "apache")

NGINX = """
daemon off;
master_process off;
pid "{out}/nginx.pid";
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path "{out}/nginx-body";
    proxy_temp_path "{out}/nginx-proxy";
    fastcgi_temp_path "{out}/nginx-fastcgi";
    uwsgi_temp_path "{out}/nginx-uwsgi";
    scgi_temp_path "{out}/nginx-scgi";
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    server {{
        listen 127.0.0.1:{to_recorder};
        location / {{ proxy_pass http://127.0.0.1:{recorder}; }}
    }}
    server {{ listen 127.0.0.1:{to_ours}; location / {{ proxy_pass http://127.0.0.1:{ours}; }} }}
}}
"""

HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout http-request 30s
listen to_recorder
    bind 127.0.0.1:{to_recorder}
    server recorder 127.0.0.1:{recorder}
listen to_ours
    bind 127.0.0.1:{to_ours}
    server ours 127.0.0.1:{ours}
"""

# A proxy that decodes and encodes a target again says nothing about its parser.
LIGHTTPD = """
server.modules = ("mod_proxy")
server.document-root = "{out}"
server.bind = "127.0.0.1"
server.port = {to_recorder}
server.errorlog = "{out}/lighttpd-errors"
server.http-parseopts = ("url-normalize" => "disable")
proxy.server = ("" => (("host" => "127.0.0.1", "port" => {recorder})))
$SERVER["socket"] == "127.0.0.1:{to_ours}" {{
    proxy.server = ("" => (("host" => "127.0.0.1", "port" => {ours})))
}}
"""

APACHE = """
ServerRoot "{out}"
ServerName localhost
User nobody
Group nogroup
PidFile "{out}/apache.pid"
DefaultRuntimeDir "{out}"
ErrorLog "{out}/apache-errors"
LogLevel crit
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
ServerLimit 1
StartServers 1
ThreadsPerChild 64
MaxRequestWorkers 64
Listen 127.0.0.1:{to_recorder}
Listen 127.0.0.1:{to_ours}
<VirtualHost 127.0.0.1:{to_recorder}>
    AllowEncodedSlashes NoDecode
    ProxyPass / http://127.0.0.1:{recorder}/ nocanon disablereuse=on
    ProxyPreserveHost On
</VirtualHost>
<VirtualHost 127.0.0.1:{to_ours}>
    AllowEncodedSlashes NoDecode
    ProxyPass / http://127.0.0.1:{ours}/ nocanon disablereuse=on
    ProxyPreserveHost On
</VirtualHost>
"""

CONFIGURATIONS = {"nginx": NGINX, "haproxy": HAPROXY, "lighttpd": LIGHTTPD, "apache": APACHE}


def proxy_command(name, out, file):
    return {
        "nginx": ["nginx", "-p", out, "-e", "stderr", "-c", file],
        "haproxy": ["haproxy", "-q", "-db", "-f", file],
        "lighttpd": ["lighttpd", "-D", "-f", file],
        "apache": ["apache2", "-X", "-f", file],
    }[name]


@dataclass(frozen=True)
class Ours:
    """The ports of our server."""

    direct: int
    behind: int
    live: int


@contextlib.contextmanager
def our_server(arguments):
    log = arguments.out / "ours.log"
    log.unlink(missing_ok=True)
    pipes = {"stdin": -1, "stdout": -1, "text": True}
    with Process([arguments.server], log, **pipes) as server:
        yield Ours(*map(int, server.line(r"[\d ]+").split()))


class Servers:
    """All of them. `direct` is what is compared with ours, by name; `behind` is ours behind each
    proxy. `counters` say how many requests the recorder and ours got from proxies."""

    def __init__(self, arguments, ours, stack):
        self.out, self.stack = arguments.out, stack
        self.started = []
        self.ours = ("127.0.0.1", ours.direct)
        recorder, told = free_port(), free_port()
        self.start(
            "recorder",
            [sys.executable, "-B", HERE / "peers/recorder.py", recorder, told],
            recorder,
            told,
        )
        self.counters = {"recorder": ("127.0.0.1", told), "ours": ("127.0.0.1", ours.live)}
        self.direct, self.behind = {}, {}
        for name, command in origin_commands().items():
            port = free_port()
            self.start(name, [str(word).replace("PORT", str(port)) for word in command], port)
            self.direct[name] = ("127.0.0.1", port)
        for name in PROXIES:
            to_recorder, to_ours = free_port(), free_port()
            ports = {
                "recorder": recorder,
                "ours": ours.behind,
                "to_recorder": to_recorder,
                "to_ours": to_ours,
            }
            file = self.out / f"{name}.conf"
            file.write_text(CONFIGURATIONS[name].format(out=self.out, **ports))
            self.start(name, proxy_command(name, self.out, file), to_recorder, to_ours)
            self.direct[name] = ("127.0.0.1", to_recorder)
            self.behind[name] = ("127.0.0.1", to_ours)
        for process, ports in self.started:
            process.listens(*(("127.0.0.1", port) for port in ports))

    def start(self, name, command, *ports):
        log = self.out / f"{name}.log"
        log.unlink(missing_ok=True)
        environment = {**os.environ, "PYTHONPATH": f"{HERE / 'peers'}:{os.environ['PYTHONPATH']}"}
        process = self.stack.enter_context(Process(command, log, env=environment))
        self.started.append((process, ports))

    def still_run(self):
        """Fails with the name of a server that has ended."""
        for process, _ in self.started:
            process.fail_if_ended()


def origin_commands():
    python = [sys.executable, "-B"]
    uvicorn = [
        *python,
        "-m",
        "uvicorn",
        "--port",
        "PORT",
        "--lifespan",
        "off",
        "--log-level",
        "critical",
    ]
    gunicorn = [
        "--threads",
        "32",
        "-b",
        "127.0.0.1:PORT",
        "--log-level",
        "critical",
        "--no-control-socket",
    ]
    return {
        "gunicorn": [*python, "-m", "gunicorn", *gunicorn, "origins:wsgi"],
        "waitress": [*python, HERE / "peers/origins.py", "waitress", "PORT"],
        "aiohttp": [*python, HERE / "peers/origins.py", "aiohttp", "PORT"],
        "uvicorn-h11": [*uvicorn, "--http", "h11", "origins:asgi"],
        "uvicorn-httptools": [*uvicorn, "--http", "httptools", "origins:asgi"],
        "node": ["node", HERE / "peers/origin.mjs", "PORT"],
    }
