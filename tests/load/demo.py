"""The demo under a load: with few descriptors, and how much of a core it takes."""

import os
import resource

import process


class Demo(process.Demo):
    """A running demo. `files` is a directory that it serves, `descriptors` the most that it may
    have, `environment` what it has in its environment besides, `options` more of its options."""

    def __init__(self, arguments, files=None, descriptors=None, environment=(), options=()):
        def limit():
            if descriptors is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        env = {**os.environ, **dict(environment)}
        served = () if files is None else ("--dir", files)
        super().__init__(
            arguments.server, arguments.out / "demo.log", *served, *options, preexec_fn=limit, env=env
        )

    def warm(self):
        """The starting point of a load."""
        return self.settled("/api/health")

    def cpu_seconds(self):
        """User and system time of all its threads so far."""
        with open(f"/proc/{self.pid}/stat") as stat:
            # The name before the last parenthesis may contain spaces; utime and stime are fields 14
            # and 15 of proc(5).
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
