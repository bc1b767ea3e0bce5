"""Clients over Python's ssl with the wire in our hands: it can be cut anywhere, and an end without a
close_notify is an error."""

import socket
import ssl

from client import Client


class Cut(ConnectionError):
    """The server ended the connection without a close_notify, or reset it."""


def context(certificates, version=None, alpn=("http/1.1",), certificate=False):
    """A context that trusts the run's CA. `version` is one version of TLS."""
    made = ssl.create_default_context(cafile=certificates / "ca.pem")
    if version is not None:
        made.minimum_version = made.maximum_version = version
    made.set_alpn_protocols(list(alpn))
    if certificate:
        made.load_cert_chain(certificates / "client.pem", certificates / "client.key")
    return made


class TlsClient(Client):
    """A connection under TLS."""

    def __init__(self, address, tls, handshake=True, session=None, **options):
        super().__init__(address, **options)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = tls.wrap_bio(
            self.incoming, self.outgoing, server_hostname="localhost", session=session
        )
        if handshake:
            try:
                self.step(self.tls.do_handshake)
                self.flush()
            except Exception:
                self.socket.close()
                raise

    def wire_out(self):
        """The wire's bytes that are to be sent."""
        return self.outgoing.read()

    def flush(self):
        if data := self.wire_out():
            self.socket.sendall(data)

    def step(self, call):
        """Calls this until it needs no more of the server's bytes."""
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                self.flush()
                self.fill()

    def fill(self):
        try:
            data = self.socket.recv(64 * 1024)
        except ConnectionResetError as error:
            raise Cut("reset") from error
        if not data:
            raise Cut("the end of the wire")
        self.incoming.write(data)

    def send(self, data):
        self.step(lambda: self.tls.write(data))
        self.flush()

    def receive(self):
        """False at the server's close_notify."""
        try:
            data = self.step(lambda: self.tls.read(64 * 1024))
        except ssl.SSLZeroReturnError:
            return False
        self.buffer += data
        return bool(data)

    def say_close(self):
        """Sends our close_notify, and goes on reading."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.flush()

    def wire_ends(self):
        """Whether the server's FIN follows what was read, without any byte."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return False


def raw_answer(address, data, half_close=False, wait=20):
    """All bytes that come back for these, on a connection without TLS."""
    with socket.create_connection(address, wait) as wire:
        wire.sendall(data)
        if half_close:
            wire.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while more := wire.recv(4096):
                received += more
        except ConnectionResetError:
            pass
        return received
