"""A slow link: it passes the server's bytes on at a limited rate, and the client's bytes at
once."""

import socket
import threading
import time

STEP_SECONDS = 0.01
# So that few bytes wait within the relay, and most in the server's own buffers.
BUFFER_BYTES = 64 * 1024


class Relay:
    """Listens on `port` until its `with` block ends."""

    def __init__(self, to_port, bytes_per_second):
        self.to_port = to_port
        self.step_bytes = int(bytes_per_second * STEP_SECONDS)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket()
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server.connect(("127.0.0.1", self.to_port))
            for way in ((client, server, 0), (server, client, STEP_SECONDS)):
                threading.Thread(target=self.carry, args=way, daemon=True).start()

    def carry(self, source, target, pause):
        """Passes on bytes, the end of them, and a reset as a reset."""
        size = self.step_bytes if pause else BUFFER_BYTES
        due = time.monotonic()
        try:
            while data := source.recv(size):
                target.sendall(data)
                due = max(due + pause * len(data) / size, time.monotonic() - 0.1)
                time.sleep(max(0, due - time.monotonic()))
            target.shutdown(socket.SHUT_WR)
        except OSError:
            for end in (source, target):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
