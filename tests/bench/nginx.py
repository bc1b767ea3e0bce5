"""nginx, for the scenarios that have it."""

import os
import shutil
import socket
import time

from process import PINNED, Process

CONFIG = """
daemon off;
worker_processes 1;
pid {work}/nginx.pid;
error_log stderr;
{user}
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {work}/body;
  proxy_temp_path {work}/proxy;
  fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi;
  scgi_temp_path {work}/scgi;
  {http}
}}
"""


class Nginx(Process):
    """A master with one worker. `http` is what its block of that name has besides, with the words,
    `work` and `address` in it."""

    def __init__(self, work, http, **words):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = "127.0.0.1:%d" % free.getsockname()[1]
        config = os.path.join(work, "nginx.conf")
        user = "user root;" if os.geteuid() == 0 else ""
        with open(config, "w") as file:
            file.write(
                CONFIG.format(
                    work=work, user=user, http=http.format(address=self.address, work=work, **words)
                )
            )
        super().__init__(PINNED["server"], shutil.which("nginx"), "-p", work, "-c", config)
        self.await_worker()

    def await_worker(self):
        host, port = self.address.split(":")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection((host, int(port)), 1).close()
                if len(self.pids()) >= 2:
                    return
            except ConnectionRefusedError:
                pass
            time.sleep(0.05)
        self.close()
        raise SystemExit("tests/bench: nginx does not listen")

    def peak(self):
        """The worker's peak: the memory that it shares with its master would count twice."""
        with open(f"/proc/{self.pids()[1]}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) * 1024

    def close(self):
        self.process.terminate()
        super().close()
