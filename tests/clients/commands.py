"""The clients that are commands: curl, wget, apt and zsync; and nginx, which curl asks."""

import contextlib
import itertools
import json
import os
import re
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

WAIT_SECONDS = 40
NUMBERS = itertools.count()
# With output in English, and without requests to other servers.
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
} | {"LC_ALL": "C"}


def run(words, stdin=subprocess.DEVNULL, **options):
    """The command's exit status and its output."""
    try:
        done = subprocess.run(
            words,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=WAIT_SECONDS,
            env=ENVIRONMENT,
            **options,
        )
    except subprocess.TimeoutExpired as error:
        return None, str(error)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def head(text):
    """Status and fields of the last head that curl or wget shows."""
    found = None
    for line in text.splitlines():
        line = line.strip()
        if status := re.fullmatch(r"HTTP/1\.[01] (\d+).*", line):
            found = {"status": int(status[1]), "headers": {}}
        elif found and (field := re.fullmatch(r"([\w-]+): (.*)", line)):
            found["headers"].setdefault(field[1].lower(), field[2])
    return found


def text(path):
    return path.read_bytes().decode("latin-1") if path.exists() else ""


def drip(body):
    """An input that supplies a body piece by piece, until nobody reads it."""
    read, write = os.pipe()

    def feed():
        with contextlib.suppress(BrokenPipeError), open(write, "wb", buffering=0) as to:
            for _ in range(body["pieces"]):
                to.write(b"x" * body["bytes"])
                time.sleep(body["pause_ms"] / 1000)

    threading.Thread(target=feed).start()
    return open(read, "rb")


class Commands:
    """Runs the commands with files in a separate directory."""

    def __init__(self, scratch, tree):
        self.scratch, self.tree = scratch, tree
        scratch.mkdir()

    def room(self):
        """A directory for one try."""
        made = self.scratch / str(next(NUMBERS))
        made.mkdir()
        return made

    def payload(self, room, body):
        path = room / "body"
        path.write_bytes(b"x" * (body["pieces"] * body["bytes"]))
        return path

    def curl(self, job, room):
        words = ["curl", "-sS", "-m", str(WAIT_SECONDS), "--noproxy", "*"]
        words += ["--path-as-is", "--globoff", "-X", job["method"]]
        words += ["-D", str(room / "head"), "-o", str(room / "answer")]
        # Above 1 MB curl itself asks whether it may send, and an early answer says no.
        headers = {"Expect": "", **job["headers"]}
        source = contextlib.nullcontext(subprocess.DEVNULL)
        if body := job.get("body"):
            headers["Content-Type"] = "application/octet-stream"
            if body["pause_ms"]:
                source = drip(body)
                words += ["-T", "-"]
            else:
                words += ["--data-binary", f"@{self.payload(room, body)}"]
        for name, value in headers.items():
            words += ["-H", f"{name}: {value}" if value else f"{name}:"]
        with source as stdin:
            status, said = run([*words, job["url"]], stdin)
        if status != 0:
            return {"error": f"curl ended with {status}: {said.strip()}"}
        return {**head((room / "head").read_text("latin-1")), "body": text(room / "answer")}

    # nginx passes each request on, unbuffered: it is the server's client.
    nginx = curl

    def wget(self, job, room):
        words = ["wget", "-nv", "-S", "--no-proxy", "--no-hsts", "--tries=1"]
        words += [f"--timeout={WAIT_SECONDS}", "--content-on-error", "-O", str(room / "answer")]
        words += [f"--method={job['method']}"]
        for name, value in job["headers"].items():
            words += [f"--header={name}: {value}"]
        if body := job.get("body"):
            words += [f"--body-file={self.payload(room, body)}"]
        status, said = run([*words, job["url"]])
        # 6 and 8 mean an answer of 401, and answers with other errors.
        got = head(said)
        if status not in (0, 6, 8) or got is None:
            return {"error": f"wget ended with {status}: {said.strip()[-200:]}"}
        # wget keeps no body of a 401.
        return {**got, "body": text(room / "answer") if status != 6 else None}

    def apt(self, job, room):
        """Updates twice; the second update finds nothing new. Then downloads a package."""
        (room / "lists/partial").mkdir(parents=True)
        (room / "archives/partial").mkdir(parents=True)
        (room / "sources").write_text(f"deb [trusted=yes] {job['url']}/files/apt ./\n")
        (room / "status").write_text("")
        options = {
            "Dir::Etc::SourceList": room / "sources",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State::Lists": room / "lists",
            "Dir::State::Status": room / "status",
            "Dir::Cache": room,
            "Dir::Cache::Archives": room / "archives",
            "Acquire::http::Proxy": "DIRECT",
            "Acquire::Languages": "none",
            "Acquire::Retries": "0",
            "APT::Sandbox::User": "",
            "APT::Update::Error-Mode": "any",
        }
        words = ["apt-get"]
        for name, value in options.items():
            words += ["-o", f"{name}={value}"]
        for right in (r"^Get:.* \./ Packages", r"^Hit:.* \./ "):
            status, said = run([*words, "update"], cwd=room)
            if status != 0 or not re.search(right, said, re.MULTILINE):
                return {"wrong": f"apt-get update ended with {status}: {said[-300:]}"}
        status, said = run([*words, "download", "akurai-tried"], cwd=room)
        (package,) = (self.tree / "apt").glob("*.deb")
        come = room / package.name
        if status != 0 or not come.exists() or come.read_bytes() != package.read_bytes():
            return {"wrong": f"apt-get download ended with {status}: {said[-300:]}"}
        return {"wrong": None}

    def zsync(self, job, room):
        shutil.copy(self.tree / "old", room / "old")
        words = ["zsync", "-i", "old", "-o", "new", f"{job['url']}/files/new.zsync"]
        status, said = run(words, cwd=room)
        new = room / "new"
        if status != 0 or not new.exists() or new.read_bytes() != (self.tree / "new").read_bytes():
            return {"wrong": f"zsync ended with {status}: {said[-300:]}"}
        used = re.search(r"used (\d+) local, fetched (\d+)", said)
        if not used or int(used[2]) > int(used[1]):
            return {"wrong": f"zsync fetched too much: {said[-300:]}"}
        return {"wrong": None}

    def tried(self, client, job):
        room = self.room()
        try:
            return getattr(self, client)(job, room)
        finally:
            shutil.rmtree(room)

    def run_jobs(self, client, jobs):
        """Prints a line of JSON for each try, like the other clients' programs."""
        for job in jobs:
            with ThreadPoolExecutor(job["tries"] if job["together"] else 1) as threads:
                attempts = [client] * job["tries"], [job] * job["tries"]
                for got in threads.map(self.tried, *attempts):
                    yield json.dumps({"case": job["case"], "got": got})
