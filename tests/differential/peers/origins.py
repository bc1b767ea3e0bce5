"""Apps that say as JSON what their server understood of a request: for gunicorn, waitress, uvicorn
and aiohttp. Bytes are characters of Latin-1 in the JSON."""

import json
import os
import sys

ANSWER = [("Content-Type", "application/json"), ("X-Understood", "yes")]


def described(method, target, fields, body):
    names = {"method": method, "target": target, "fields": fields, "body": body.decode("latin-1")}
    return json.dumps(names).encode()


def wsgi(environ, start_response):
    fields = [
        (key.removeprefix("HTTP_").replace("_", "-").lower(), value)
        for key, value in environ.items()
        if key.startswith("HTTP_") or key in ("CONTENT_TYPE", "CONTENT_LENGTH")
    ]
    body = environ["wsgi.input"].read()
    target = environ.get("RAW_URI") or environ["REQUEST_URI"]
    answer = described(environ["REQUEST_METHOD"], target, fields, body)
    start_response("200 OK", [*ANSWER, ("Content-Length", str(len(answer)))])
    return [answer]


async def asgi(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    answer = described(scope["method"], target.decode("latin-1"), fields, body)
    names = [(name.encode(), value.encode()) for name, value in ANSWER]
    names.append((b"Content-Length", str(len(answer)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": names})
    await send({"type": "http.response.body", "body": answer})


def run_waitress(port):
    import waitress

    waitress.serve(wsgi, host="127.0.0.1", port=port, threads=16)


def run_aiohttp(port):
    # Its C parser is llhttp, which node and httptools have too; this is its own parser in Python.
    os.environ["AIOHTTP_NO_EXTENSIONS"] = "1"
    import asyncio

    from aiohttp import web

    async def handle(request):
        fields = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in request.raw_headers]
        target = request.raw_path if hasattr(request, "raw_path") else request.path_qs
        answer = described(request.method, target, fields, await request.read())
        return web.Response(body=answer, headers=dict(ANSWER))

    async def serve():
        await asyncio.get_running_loop().create_server(web.Server(handle), "127.0.0.1", port)
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    {"waitress": run_waitress, "aiohttp": run_aiohttp}[sys.argv[1]](int(sys.argv[2]))
