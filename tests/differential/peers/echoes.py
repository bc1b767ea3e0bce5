"""WebSocket echoes of websockets, aiohttp and Tornado, with compression where the client offers
it."""

import asyncio
import sys


async def websockets_echo(port):
    from websockets.asyncio.server import serve
    from websockets.exceptions import ConnectionClosed

    async def echo(socket):
        try:
            async for message in socket:
                await socket.send(message)
        except ConnectionClosed:
            pass

    await serve(echo, "127.0.0.1", port)


async def aiohttp_echo(port):
    from aiohttp import WSMsgType, web

    async def echo(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                await socket.send_str(message.data)
            elif message.type == WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        return socket

    await asyncio.get_running_loop().create_server(web.Server(echo), "127.0.0.1", port)


async def tornado_echo(port):
    from tornado import web, websocket

    class Echo(websocket.WebSocketHandler):
        def get_compression_options(self):
            return {}

        async def on_message(self, message):
            await self.write_message(message, isinstance(message, bytes))

    web.Application([("/ws", Echo)], log_function=lambda _: None).listen(port, "127.0.0.1")


async def serve():
    await {"websockets": websockets_echo, "aiohttp": aiohttp_echo, "tornado": tornado_echo}[
        sys.argv[1]
    ](int(sys.argv[2]))
    await asyncio.Event().wait()


asyncio.run(serve())
