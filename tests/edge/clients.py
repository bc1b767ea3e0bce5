"""Clients of a proxy by TLS: HTTP/1.1 on a bare socket, HTTP/2 by python-h2, HTTP/3 by aioquic.
They accept any certificate: the checks do not test certificates."""

import asyncio
import ssl
import time

import h2.config
import h2.connection
import h2.events
import h2.settings
from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from client import Answer, Client, Closed, EventStream, request


def context(protocol):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.set_alpn_protocols([protocol])
    return made


class Tls(Client):
    """A connection to `address` within TLS that speaks HTTP/1.1, or `protocol`."""

    def __init__(self, address, source=None, protocol="http/1.1"):
        super().__init__(address, source)
        self.host = f"localhost:{address[1]}"
        try:
            self.socket = context(protocol).wrap_socket(self.socket, server_hostname="localhost")
        except OSError:
            self.socket.close()
            raise
        if self.socket.selected_alpn_protocol() != protocol:
            self.socket.close()
            raise Closed(f"{protocol} was not agreed on")

    def ask(self, path, lines=(), method="GET", body=b""):
        """Sends a request and returns its answer's head."""
        length = [f"Content-Length: {len(body)}"] if body else []
        self.send(request(method, path, [*length, *lines], host=self.host) + body)
        return self.head()


class Stream(Client):
    """One stream of an HTTP/2 connection, read like a separate connection."""

    def __init__(self, connection, number):
        self.connection, self.number = connection, number
        self.buffer = bytearray()
        self.fields = None
        self.is_over = False

    def head(self):
        while self.fields is None:
            if self.is_over:
                raise Closed("before the head")
            self.connection.pump()
        return Answer(int(self.fields[":status"]), list(self.fields.items()))

    def receive(self):
        had = len(self.buffer)
        while len(self.buffer) == had and not self.is_over:
            self.connection.pump()
        return len(self.buffer) > had

    def rest(self):
        while self.receive():
            pass
        return bytes(self.buffer)

    def send(self, data):
        http2 = self.connection.http2
        while data:
            room = min(http2.local_flow_control_window(self.number), http2.max_outbound_frame_size)
            if room == 0:
                self.connection.pump()
                continue
            http2.send_data(self.number, data[:room])
            self.connection.flush()
            data = data[room:]

    def cancel(self):
        self.connection.http2.reset_stream(self.number, error_code=8)  # CANCEL, RFC 9113 §7
        self.connection.flush()


class Http2:
    """A connection that speaks HTTP/2."""

    def __init__(self, address, source=None):
        self.tls = Tls(address, source, protocol="h2")
        self.host = self.tls.host
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.http2 = h2.connection.H2Connection(config)
        self.streams = {}
        self.has_settings = False
        self.http2.initiate_connection()
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tls.__exit__()

    def flush(self):
        self.tls.send(self.http2.data_to_send())

    def pump(self):
        """Takes the bytes that have arrived, or waits for them."""
        data = self.tls.socket.recv(64 * 1024)
        if not data:
            raise Closed("the HTTP/2 connection ended")
        for event in self.http2.receive_data(data):
            stream = self.streams.get(getattr(event, "stream_id", None))
            if isinstance(event, h2.events.RemoteSettingsChanged):
                self.has_settings = True
            elif isinstance(event, h2.events.ResponseReceived):
                stream.fields = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                stream.buffer += event.data
                if event.flow_controlled_length:
                    self.http2.acknowledge_received_data(event.flow_controlled_length, stream.number)
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)) and stream:
                stream.is_over = True
        self.flush()

    def has_extended_connect(self):
        """Whether the proxy announces SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 §3)."""
        while not self.has_settings:
            self.pump()
        return self.http2.remote_settings.enable_connect_protocol == 1

    def ask(self, path, fields=(), method="GET", is_over=True):
        """Sends a request's head; returns its stream."""
        number = self.http2.get_next_available_stream_id()
        stream = self.streams[number] = Stream(self, number)
        head = [(":method", method), (":scheme", "https"), (":authority", self.host), (":path", path)]
        self.http2.send_headers(number, head + list(fields), end_stream=is_over)
        self.flush()
        return stream

    def websocket(self, path, origin):
        """Opens a WebSocket by an extended CONNECT (RFC 8441 §5); returns its stream."""
        fields = [(":protocol", "websocket"), ("sec-websocket-version", "13"), ("origin", origin)]
        return self.ask(path, fields, method="CONNECT", is_over=False)


class Http3(QuicConnectionProtocol):
    """A connection that speaks HTTP/3, for one request."""

    def __init__(self, *args, **named):
        super().__init__(*args, **named)
        self.http3 = None
        self.arrived = asyncio.Queue()

    def quic_event_received(self, event):
        if self.http3 is not None:
            for part in self.http3.handle_event(event):
                self.arrived.put_nowait(part)

    def ask(self, host, path, fields):
        self.http3 = H3Connection(self._quic)
        number = self._quic.get_next_available_stream_id()
        head = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", host.encode()), (b":path", path.encode())]
        self.http3.send_headers(number, head + fields, end_stream=True)
        self.transmit()


async def read_http3(address, path, events):
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE)
    configuration.server_name = "localhost"
    async with connect(*address, configuration=configuration, create_protocol=Http3) as client:
        begun = time.monotonic()
        client.ask(f"localhost:{address[1]}", path, [(b"accept", b"text/event-stream")])
        status, stream, times = None, EventStream(), []
        while len(times) < events:
            part = await asyncio.wait_for(client.arrived.get(), 10)
            if isinstance(part, HeadersReceived):
                status = int(dict(part.headers)[b":status"])
            elif isinstance(part, DataReceived):
                come = time.monotonic() - begun
                times += [come] * len(stream.feed(part.data))
        return status, times


def http3_events(address, path, events):
    """An event stream over HTTP/3: its status, and when each of the first `events` came, in seconds
    since the request."""
    return asyncio.run(read_http3(address, path, events))
