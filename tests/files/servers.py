"""The demo and nginx as processes, and what the system says about them."""

import os
import re
import socket
import subprocess
import time
from dataclasses import dataclass

from client import ask

START_SECONDS = 15
MIB = 1 << 20

# Threads that a load may leave: the server keeps them to accept the next connections.
SPARE_THREADS = 4


@dataclass(frozen=True)
class Usage:
    """What a server holds at one moment. `peak` is the most memory it has had, in bytes."""

    threads: int
    descriptors: int
    peak: int

    def __str__(self):
        return f"{self.threads} threads, {self.descriptors} descriptors, VmHWM {self.peak / MIB:.1f} MiB"


class Process:
    """A server that ends with the `with` block, which stops only this pid."""

    def __init__(self, command, log):
        self.log = log
        with open(log, "wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.pid = self.process.pid
        try:
            self.address = ("127.0.0.1", self.wait_for_port())
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process.poll() is None:
            self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def wait_for(self, look):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if found := look():
                return found
            if self.process.poll() is not None:
                raise SystemExit(f"tests/files: {self.process.args[0]} ended: {self.log.read_text()}")
            time.sleep(0.02)
        raise SystemExit(f"tests/files: {self.process.args[0]} did not start within {START_SECONDS} s")

    def usage(self):
        with open(f"/proc/{self.pid}/status") as status:
            fields = dict(line.split(":", 1) for line in status)
        return Usage(
            threads=int(fields["Threads"]),
            descriptors=len(os.listdir(f"/proc/{self.pid}/fd")),
            peak=int(fields["VmHWM"].split()[0]) * 1024,
        )

    def settled(self):
        """The usage after one request has been answered and is over: the starting point of a
        load."""
        before = self.usage()
        ask(self.address, "GET", "/")
        return self.wait_until_back_at(before, START_SECONDS)[0]

    def wait_until_back_at(self, start, seconds):
        """Waits until threads and descriptors are back at `start`, `seconds` at most; returns the
        last usage."""
        deadline = time.monotonic() + seconds
        while True:
            usage = self.usage()
            back = usage.threads <= start.threads + SPARE_THREADS and usage.descriptors == start.descriptors
            if back or time.monotonic() >= deadline:
                return usage, back
            time.sleep(0.1)


class Demo(Process):
    """The demo over a directory, on a free port or on the port of an earlier demo."""

    def __init__(self, arguments, directory, port=0):
        command = [arguments.server, "--addr", f"127.0.0.1:{port}", "--quiet", "--dir", str(directory), "--list"]
        super().__init__(command, arguments.out / "demo.log")

    def wait_for_port(self):
        says = re.compile(r"listening on http://127\.0\.0\.1:(\d+)$", re.MULTILINE)
        return int(self.wait_for(lambda: says.search(self.log.read_text()))[1])


NGINX = """
daemon off;
master_process off;
pid "{out}/nginx.pid";
error_log stderr crit;
events {{ worker_connections 256; }}
http {{
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log off;
    client_body_temp_path "{out}/nginx-body";
    proxy_temp_path "{out}/nginx-proxy";
    fastcgi_temp_path "{out}/nginx-fastcgi";
    uwsgi_temp_path "{out}/nginx-uwsgi";
    scgi_temp_path "{out}/nginx-scgi";
    sendfile on;
    gzip_static on;
    gzip_http_version 1.0;
    gzip_vary on;
    if_modified_since before;
    autoindex on;
    server {{
        listen 127.0.0.1:{port};
        root "{root}";
    }}
}}
"""


class Nginx(Process):
    """Debian's nginx as one process with `root` as its root; `root/files` holds the files that the
    demo serves under /files/."""

    def __init__(self, arguments, root):
        self.arguments, self.root = arguments, root
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        configuration = arguments.out / "nginx.conf"
        configuration.write_text(NGINX.format(out=arguments.out, port=self.port, root=root))
        command = [arguments.nginx, "-p", str(arguments.out), "-e", "stderr", "-c", str(configuration)]
        super().__init__(command, arguments.out / "nginx.log")

    def wait_for_port(self):
        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        self.wait_for(listens)
        return self.port
