"""Starts servers for the bench and reads what they cost from /proc."""

import json
import os
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BINARY = Path(os.environ.get("CAIRN_BINARY", ROOT / ".build/release/cairn"))
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A process that is listening when the constructor returns, and its CPU seconds and memory."""

    def __init__(self, name, arguments, port, directory, seconds=30):
        self.log = open(Path(directory) / f"{name}.log", "wb")
        # Variables that begin with CAIRN_ are settings of cairn; those of the bench are none.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CAIRN_")}
        self.child = subprocess.Popen(
            [str(a) for a in arguments], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=environment)
        started = time.monotonic()
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
                break
            except OSError:
                if self.child.poll() is not None or time.monotonic() - started > seconds:
                    raise SystemExit(f"{name} did not start; see {self.log.name}")
                time.sleep(0.005)
        self.start_seconds = time.monotonic() - started

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mib(self, field="VmRSS"):
        for line in Path(f"/proc/{self.child.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
        return 0.0

    def stop(self):
        self.child.terminate()
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def build_client():
    """Compiles bench/kafka, the Kafka client of the bench; returns the program."""
    program = ROOT / ".build/bench-client"
    program.parent.mkdir(exist_ok=True)
    sources = sorted((ROOT / "bench/kafka").glob("*.c"))
    # Renamed when it is whole: another bench may be running the one that is there.
    made = program.with_suffix(f".{os.getpid()}")
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", made, *sources, "-lrdkafka", "-lcurl", "-lpthread"], check=True)
    made.rename(program)
    return program


def run_json(arguments, seconds=300):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=seconds)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def median(values):
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
