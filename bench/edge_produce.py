"""Kafka produce at the gateway, acks=all (durable), against the null broker of the same binary, in turn, as ratios."""

import tempfile
from pathlib import Path

from common import BINARY, ROOT, Server, build_client, free_port, median, run_json

RUNS = 3
SIZES = [(100, 3_000_000), (1000, 1_500_000), (10_000, 200_000)]
PARTITIONS = 4


def measure(server, port, program, size, count):
    before = server.cpu_seconds()
    result = run_json([
        program, "produce", f"127.0.0.1:{port}", "bench", f"count={count}", f"size={size}", f"partitions={PARTITIONS}"])
    gigabytes = count * size / 1e9
    return {"mb": result["mb_per_second"], "server_cpu": (server.cpu_seconds() - before) / gigabytes,
            "client_cpu": result["cpu_seconds"] / gigabytes}


def main():
    program = build_client()
    with tempfile.TemporaryDirectory(dir=ROOT / ".build") as directory:
        edge_port, null_port = free_port(), free_port()
        edge = Server("edge", [
            BINARY, "edge", "--site", "bench", "--data-dir", Path(directory) / "edge", "--uplink-enabled", "false",
            "--kafka-listen", f"127.0.0.1:{edge_port}", "--kafka-partitions", PARTITIONS, "--http-listen", "",
            "--ntrip-listen", "", "--lanes-standard-quota", "64GiB", "--lanes-standard-window", "1ms"], edge_port, directory)
        null = Server("null", [BINARY, "null-broker", "--listen", f"127.0.0.1:{null_port}"], null_port, directory)
        print("edge produce, acks=all, librdkafka, median of", RUNS, "runs in turn")
        print(f"{'record':>8} {'null MB/s':>10} {'edge MB/s':>10} {'ratio':>6} {'null CPU-s/GB':>14} {'edge CPU-s/GB':>14} {'client':>7}")
        for size, count in SIZES:
            rows = [(measure(null, null_port, program, size, count), measure(edge, edge_port, program, size, count))
                    for _ in range(RUNS)]
            null_mb, edge_mb = median([r[0]["mb"] for r in rows]), median([r[1]["mb"] for r in rows])
            ratio = median([r[1]["mb"] / r[0]["mb"] for r in rows])
            print(f"{size:>8} {null_mb:>10.0f} {edge_mb:>10.0f} {ratio:>6.2f} "
                  f"{median([r[0]['server_cpu'] for r in rows]):>14.2f} {median([r[1]['server_cpu'] for r in rows]):>14.2f} "
                  f"{median([r[1]['client_cpu'] for r in rows]):>7.2f}")
        print(f"edge RSS {edge.memory_mib():.0f} MiB, peak {edge.memory_mib('VmHWM'):.0f} MiB")
        edge.stop()
        null.stop()


if __name__ == "__main__":
    main()
