"""Throughput and latency from node to node, beside the embedded engine and redis-benchmark's own
figures."""

import re
import subprocess
from pathlib import Path

from processes import Redis


def benchmark(port, *options):
    command = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-n", "40000", *options, "--csv"]
    command += ["XADD", "bench", "MAXLEN", "~", "100000", "*", "topic", "t", "event", "", "data", "x" * 100, "key", "0123456789abcdef-10000"]
    text = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    row = text.strip().splitlines()[-1]
    rate, _, _, p50, _, p99 = [float(cell) for cell in re.findall(r'"([\d.]+)"', row)[-7:-1]]
    return f"{rate:.0f} XADD/s, p50 {p50 * 1000:.0f} us, p99 {p99 * 1000:.0f} us"


def figures(arguments, checks):
    with Redis(arguments.out, "redis") as redis:
        print(f"# redis-benchmark, 1 connection: {benchmark(redis.port, '-c', '1')}", flush=True)
        print(f"# redis-benchmark, 8 connections: {benchmark(redis.port, '-c', '8')}", flush=True)
        print(f"# redis-benchmark, 1 connection, 64 pipelined: {benchmark(redis.port, '-c', '1', '-P', '64')}", flush=True)
        command = [str(Path(arguments.examples) / "engine_figures"), redis.url]
        told = subprocess.run(command, capture_output=True, text=True, timeout=180)
        for line in told.stdout.splitlines():
            print(f"# {line}", flush=True)
        checks.that(
            told.returncode == 0 and "redis: 8 publishing threads" in told.stdout,
            f"every event that was published came to the subscriber of the other node {told.stderr.strip()}",
        )
