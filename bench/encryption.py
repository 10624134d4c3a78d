"""What encryption at rest costs: the same produce through a gateway with its uplink into a directory, plain, with objects
sealed, and with objects and log sealed, in turn.

Random record values, so that what is uploaded is as much as what comes in.
"""

import tempfile
import time
from pathlib import Path

from common import BINARY, ROOT, Server, build_client, free_port, median, run_json

RUNS = 3
SIZE, COUNT = 10_000, 100_000


def uploaded_bytes(directory):
    return sum(p.stat().st_size for p in Path(directory).rglob("sites/*/*/*/*") if p.is_file())


def run(program, extra):
    """CPU seconds of the gateway for each GB, from the first produce until all is uploaded, and MB/s of that."""
    with tempfile.TemporaryDirectory(dir=ROOT / ".build") as directory:
        port, store = free_port(), Path(directory) / "store"
        edge = Server("edge", [
            BINARY, "edge", "--site", "bench", "--data-dir", Path(directory) / "edge", "--store-url", f"dir:{store}",
            "--kafka-listen", f"127.0.0.1:{port}", "--kafka-partitions", 4, "--http-listen", "", "--ntrip-listen", "",
            "--lanes-standard-quota", "64GiB", "--lanes-standard-flush", "1s", *extra], port, directory)
        try:
            before, began = edge.cpu_seconds(), time.monotonic()
            run_json([program, "produce", f"127.0.0.1:{port}", "bench", f"count={COUNT}", f"size={SIZE}", "partitions=4"])
            last, since = -1, time.monotonic()
            while time.monotonic() - since < 3:  # Nothing more for as long as three flush intervals: done.
                now = uploaded_bytes(store)
                if now != last:
                    last, since = now, time.monotonic()
                time.sleep(0.05)
            cpu, took = edge.cpu_seconds() - before, since - began
        finally:
            edge.stop()
        gigabytes = COUNT * SIZE / 1e9
        return cpu / gigabytes, gigabytes * 1000 / took, last / gigabytes / 1e9


def main():
    program = build_client()
    with tempfile.TemporaryDirectory(dir=ROOT / ".build") as directory:
        import subprocess
        key = Path(directory) / "site.key"
        subprocess.run([BINARY, "key", "new", key], check=True, stdout=subprocess.DEVNULL)
        variants = {
            "plain": [],
            "objects": ["--encryption-key-file", key, "--encryption-log", "false"],
            "all": ["--encryption-key-file", key],
        }
        rows = [{name: run(program, extra) for name, extra in variants.items()} for _ in range(RUNS)]
    print(f"gateway with uplink to a directory, {SIZE} B records, medians of {RUNS} rounds; ratios to plain of the same round")
    print(f"{'sealed':>8} {'CPU-s/GB':>9} {'MB/s':>7} {'stored/in':>10} {'CPU ratio':>10} {'MB/s ratio':>11}")
    for name in variants:
        cpu, rate, stored = (median([r[name][column] for r in rows]) for column in range(3))
        ratios = [median([r[name][column] / r["plain"][column] for r in rows]) for column in range(2)]
        print(f"{name:>8} {cpu:>9.2f} {rate:>7.0f} {stored:>10.3f} {ratios[0]:>10.2f} {ratios[1]:>11.2f}")


if __name__ == "__main__":
    main()
