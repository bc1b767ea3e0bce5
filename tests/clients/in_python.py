"""The tries of one of Python's clients: `python3 in_python.py CLIENT`, the jobs as JSON on its
input, a line of JSON for each try on its output."""

import asyncio
import http.client
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import requests
import tornado.websocket
import websockets

WAIT_SECONDS = 40
SHOWN = 64 * 1024


def told(text):
    """In the same form as the other languages' clients: a text, or its length and ends."""
    if len(text) <= SHOWN:
        return text
    return f"{len(text)}: {text[:32]}...{text[-32:]}"


class Pieces:
    """A body that comes slowly, read like a file."""

    def __init__(self, pieces, bytes, pause_ms):
        self.left = pieces * bytes
        self.piece, self.pause = bytes, pause_ms / 1000

    def __len__(self):
        return self.left

    def read(self, size=-1):
        if self.left == 0:
            return b""
        in_piece = self.left % self.piece or self.piece
        taken = in_piece if size < 0 else min(size, in_piece)
        self.left -= taken
        if taken == in_piece:
            time.sleep(self.pause)
        return b"x" * taken


def payload(job):
    body = job.get("body")
    if body is None:
        return None, job["headers"]
    length = body["pieces"] * body["bytes"]
    headers = {**job["headers"], "Content-Length": str(length)}
    headers["Content-Type"] = "application/octet-stream"
    if body["pause_ms"]:
        return Pieces(**body), headers
    return b"x" * length, headers


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def by_urllib(job):
    data, headers = payload(job)
    request = urllib.request.Request(job["url"], data, headers, method=job["method"])
    try:
        answer = OPENER.open(request, timeout=WAIT_SECONDS)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.headers, answer.read()


SESSION = requests.Session()
SESSION.trust_env = False


def by_requests(job):
    data, headers = payload(job)
    # Threads must not share a session.
    session = requests if job["together"] else SESSION
    options = {"data": data, "headers": headers, "timeout": WAIT_SECONDS}
    answer = session.request(job["method"], job["url"], **options)
    return answer.status_code, answer.headers, answer.content


def by_http_client(job):
    place = urllib.parse.urlsplit(job["url"])
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=WAIT_SECONDS)
    try:
        data, headers = payload(job)
        connection.request(job["method"], place.path, data, headers)
        if "crlf_after_ms" in job:
            time.sleep(job["crlf_after_ms"] / 1000)
            connection.sock.sendall(b"\r\n")
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


async def push(send, send_other, parts):
    """Sends the parts, and ends when the connection does."""
    for part in parts:
        if "text" in part:
            await send(part["text"])
        elif "other" in part:
            await send_other(part["other"])
        else:
            for _ in range(part["count"]):
                await send(bytes(part["zeros"]))


async def until_closed(read, pushing, job, send):
    """Everything that comes until `read` has no more. After enough of it, a last word."""
    messages = []
    pushing = asyncio.create_task(pushing)
    while (message := await read()) is not None:
        messages.append(told(message))
        if len(messages) == job.get("enough"):
            await send("bye")
    pushing.cancel()
    await asyncio.gather(pushing, return_exceptions=True)
    return messages


async def by_websockets(job):
    async def read():
        try:
            return await socket.recv()
        except websockets.ConnectionClosed:
            return None

    async def other(what):
        if what == "bad UTF-8":
            await socket.send(b"\xff\xfe", text=True)
        else:
            await socket.send(["part"] * 10)

    options = {"max_size": None, "proxy": None, "open_timeout": WAIT_SECONDS}
    socket = await websockets.connect(job["url"], **options)
    pushing = push(socket.send, other, job["send"])
    messages = await until_closed(read, pushing, job, socket.send)
    extensions = socket.response.headers.get("Sec-WebSocket-Extensions", "")
    return {
        "messages": messages,
        "code": socket.close_code,
        "reason": socket.close_reason,
        "extensions": extensions,
    }


async def by_tornado(job):
    async def send(data):
        await socket.write_message(data, binary=isinstance(data, bytes))

    async def other(_):
        await socket.write_message(b"\xff\xfe", binary=False)

    options = {"compression_options": {}, "max_message_size": 1 << 30}
    socket = await tornado.websocket.websocket_connect(job["url"], **options)
    pushing = push(send, other, job["send"])
    messages = await until_closed(socket.read_message, pushing, job, send)
    extensions = socket.headers.get("Sec-WebSocket-Extensions", "")
    return {
        "messages": messages,
        "code": socket.close_code,
        "reason": socket.close_reason,
        "extensions": extensions,
    }


HTTP = {"urllib": by_urllib, "requests": by_requests, "http.client": by_http_client}
WEBSOCKET = {"websockets": by_websockets, "tornado": by_tornado}


def http_try(attempt, job):
    status, headers, body = attempt(job)
    headers = {name.lower(): value for name, value in headers.items()}
    return {"status": status, "headers": headers, "body": told(body.decode("latin-1"))}


def tell(job, got):
    print(json.dumps({"case": job["case"], "got": got}), flush=True)


def what(error):
    return {"error": f"{type(error).__name__}: {error}"}


def run_http(attempt, jobs):
    def tried(job):
        try:
            return http_try(attempt, job)
        except Exception as error:  # Whatever a client may raise is what it came to.
            return what(error)

    for job in jobs:
        with ThreadPoolExecutor(job["tries"] if job["together"] else 1) as threads:
            for got in threads.map(tried, [job] * job["tries"]):
                tell(job, got)


async def run_websocket(attempt, jobs):
    async def tried(job):
        try:
            tell(job, await asyncio.wait_for(attempt(job), WAIT_SECONDS))
        except Exception as error:  # As above.
            tell(job, what(error))

    for job in jobs:
        if job["together"]:
            await asyncio.gather(*(tried(job) for _ in range(job["tries"])))
        else:
            for _ in range(job["tries"]):
                await tried(job)


def main():
    client, jobs = sys.argv[1], json.load(sys.stdin)
    if client in HTTP:
        run_http(HTTP[client], jobs)
    else:
        asyncio.run(run_websocket(WEBSOCKET[client], jobs))


if __name__ == "__main__":
    main()
