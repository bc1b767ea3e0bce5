"""Code that the scenarios share: a process on its own core, and readings from /proc."""

import os
import subprocess
import time

PINNED = {"server": "0", "client": "1"}
NICE = 0


class Process:
    """A process on its own core. It reads commands as lines, and answers with lines."""

    def __init__(self, core, program, *args):
        self.name = os.path.basename(program)
        # In a separate session, since Linux first divides a core among sessions: a process's nice
        # value counts for others only through its session.
        self.process = subprocess.Popen(
            ["taskset", "-c", core, program, *map(str, args)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        if NICE:
            os.setpriority(os.PRIO_PROCESS, self.process.pid, NICE)
            with open(f"/proc/{self.process.pid}/autogroup", "w") as file:
                file.write(str(NICE))

    def read(self):
        line = self.process.stdout.readline().strip()
        if not line:
            raise SystemExit(f"tests/bench: {self.name} ended with status {self.process.wait()}")
        return line

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ask(self, line):
        self.tell(line)
        return self.read()

    def close(self):
        """Both programs end at the end of their input."""
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def pids(self):
        """The process and its children."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            return [self.process.pid, *map(int, file.read().split())]

    def cpu(self):
        """Seconds on a core, of all the process's threads, including ended ones, and of its
        children: by Linux's clock for a process, as `clock_getcpuclockid` names it."""
        return sum(time.clock_gettime(~pid << 3 | 2) for pid in self.pids())

    def cpu_without_computing(self):
        """The same without what the task's `compute` took, as servers of this package read it."""
        return int(self.ask("cpu")) / 1e9

    def switches(self):
        """How often the threads that still run have slept."""
        total = 0
        for pid in self.pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                try:
                    with open(f"/proc/{pid}/task/{task}/status") as file:
                        total += next(
                            int(line.split()[1]) for line in file if line.startswith("voluntary")
                        )
                except (FileNotFoundError, ProcessLookupError):
                    pass
        return total

    def status(self, field):
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(field + ":"))

    def rss(self):
        """Exact resident bytes: VmRSS of /proc/PID/status may be some pages off for each thread."""
        with open(f"/proc/{self.process.pid}/smaps_rollup") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Rss:")) * 1024


def title(text):
    load = os.getloadavg()[0]
    print(f"\n### {text}\n\nLoad of the machine before: {load:.1f}\n", flush=True)
