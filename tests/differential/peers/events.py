"""Reads streams with httpx-sse or sseclient-py, and prints for each the events: [kind, data, last
id]."""

import json
import sys

import httpx


def httpx_sse(client, url):
    import httpx_sse

    with httpx_sse.connect_sse(client, "GET", url) as source:
        for event in source.iter_sse():
            yield [event.event, event.data, event.id]


def sseclient_py(client, url):
    import sseclient

    with client.stream("GET", url) as response:
        for event in sseclient.SSEClient(response.iter_bytes()).events():
            yield [event.event, event.data, event.id]


def main(kind, base):
    read = {"httpx-sse": httpx_sse, "sseclient-py": sseclient_py}[kind]
    with httpx.Client() as client:
        for number in range(len(client.get(f"{base}/notes/kinds").json())):
            try:
                print(json.dumps(list(read(client, f"{base}/stream/{number}"))), flush=True)
            except Exception as error:
                print(json.dumps([["failed", repr(error), ""]]), flush=True)


main(*sys.argv[1:])
