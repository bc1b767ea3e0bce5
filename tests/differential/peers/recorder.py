"""The origin behind the proxies: it says what it got. It reads what a proxy wrote, which is well
formed; it counts the requests, and `GET /counted` on the second port says how many there were."""

import asyncio
import sys

from origins import described

count = 0


async def body_of(reader, fields):
    named = {name.lower(): value for name, value in fields}
    if "transfer-encoding" in named:
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return body
    return await reader.readexactly(int(named.get("content-length", 0)))


async def record(reader, writer):
    global count
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *lines = head[:-4].split("\r\n")
            method, target = line.split(" ", 1)[0], line.split(" ", 1)[1].rpartition(" ")[0]
            parts = (line.partition(":") for line in lines)
            fields = [(name, value.strip(" \t")) for name, _, value in parts]
            if any(n.lower() == "expect" for n, _ in fields):
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await body_of(reader, fields)
            count += 1
            answer(writer, described(method, target, fields, body))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, OSError):
        pass
    finally:
        writer.close()


def answer(writer, body):
    head = "HTTP/1.1 200 OK\r\nX-Understood: yes\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


async def tell(reader, writer):
    global count
    await reader.readuntil(b"\r\n\r\n")
    answer(writer, str(count).encode())
    count = 0
    writer.close()


async def serve(port, told):
    await asyncio.start_server(record, "127.0.0.1", port)
    await asyncio.start_server(tell, "127.0.0.1", told)
    await asyncio.Event().wait()


asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
