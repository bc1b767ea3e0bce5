"""Chromium. The proxies run here; browser.mjs runs the server, and restarts it in the middle."""

import contextlib
import json
import subprocess

from places import HERE, PROXIES, Proxy, Server

# The configuration without the answer to an EventSource that finds no server.
UNMAPPED = [(r"^ *error_page 502 503 504 .*\n", "")]


def check(arguments, checks):
    with contextlib.ExitStack() as stack:
        with Server(arguments) as server:
            proxies = {kind: Proxy(arguments, kind, server.address, "in Chromium") for kind in PROXIES}
            for proxy in proxies.values():
                stack.enter_context(proxy)
        unmapped = stack.enter_context(Proxy(arguments, "nginx", server.address, "without error_page", UNMAPPED))
        places = {
            "server": [str(word) for word in server.words()],
            "path": server.path,
            "origins": {kind: proxy.origin for kind, proxy in proxies.items()},
            "unmapped": unmapped.origin,
            "profile": str(arguments.scratch / "profile"),
            "log": str(arguments.out / "server.log"),
        }
        command = ["node", str(HERE / "browser.mjs"), json.dumps(places)]
        node = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            lines = 0
            for line in node.stdout:
                if line.startswith(("ok - ", "not ok - ")):
                    lines += 1
                    checks.that(line.startswith("ok"), line.split(" - ", 1)[1].rstrip())
                else:
                    print(line, end="", flush=True)
            status = node.wait()
        finally:
            # browser.mjs first ends the server and the browser that it started, and then itself.
            node.terminate()
            node.wait()
        checks.that(status == 0 and lines > 0, "Chromium: the program came to its end")
