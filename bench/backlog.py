"""Memory of a gateway at idle, and time and memory of its start with a backlog that was never uploaded."""

import shutil
import tempfile
import time
from pathlib import Path

from common import BINARY, ROOT, Server, free_port, run_json
from edge_produce import client

BACKLOG_GB = 4.3


def start(directory):
    port = free_port()
    server = Server("edge", [
        BINARY, "edge", "--site", "bench", "--data-dir", Path(directory) / "edge", "--uplink-enabled", "false",
        "--kafka-listen", f"127.0.0.1:{port}", "--http-listen", "", "--ntrip-listen", "",
        "--lanes-standard-quota", "64GiB"], port, directory)
    return server, port


def main():
    program = client()
    with tempfile.TemporaryDirectory(dir=ROOT / ".build") as directory:
        server, port = start(directory)
        time.sleep(2)
        print(f"idle: RSS {server.memory_mib():.0f} MiB, start to accepting {server.start_seconds * 1000:.0f} ms")
        run_json([program, f"127.0.0.1:{port}", "backlog", int(BACKLOG_GB * 1e5), 10_000, 1])
        print(f"after {BACKLOG_GB} GB: RSS {server.memory_mib():.0f} MiB, peak {server.memory_mib('VmHWM'):.0f} MiB")
        server.child.kill()
        server.child.wait()
        for label in ("with its index", "without an index"):
            if label == "without an index":
                for index in (Path(directory) / "edge").rglob("*.sqlite*"):
                    index.unlink()
            server, _ = start(directory)
            time.sleep(3)
            print(f"start after kill -9 with {BACKLOG_GB} GB, {label}: accepting after {server.start_seconds * 1000:.0f} ms, "
                  f"peak RSS {server.memory_mib('VmHWM'):.0f} MiB")
            server.child.kill()
            server.child.wait()
        shutil.rmtree(Path(directory) / "edge")


if __name__ == "__main__":
    main()
