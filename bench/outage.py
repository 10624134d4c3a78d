"""An outage of the uplink in accelerated time: what intake notices of it, and how fast a gateway catches up while live data goes first.

Terminals write `LIVE` into lane critical and `STEADY` into lane bulk. The link (a relay with a token bucket) is cut; bulk gets as much as three
days would bring at a slower pace, `BACKLOG`; then the link is back. Usage: outage.py [BACKLOG_GB=3] [LINK_MBS=30]
"""

import json
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "kafka"))
from targets import SeaweedFS, run_client  # noqa: E402

from common import BINARY, ROOT, Server, build_client, free_port  # noqa: E402
from relay import Relay  # noqa: E402

LIVE_RECORDS, RECORD_BYTES = 100, 10_000  # a second: 1 MB/s
STEADY_MBS, FILL_MBS = 1, 60
PHASE_SECONDS = 20


class Live:
    """Stamped records into lane critical at the gateway, and a consumer of them in the cloud."""

    def __init__(self, gateway, cloud):
        from confluent_kafka import Consumer, Producer
        self.acks, self.lags, self.failed, self.stop = [], [], 0, threading.Event()
        self.producer = Producer({"bootstrap.servers": gateway, "acks": "all", "linger.ms": 0, "log_level": 0})
        self.consumer = Consumer({
            "bootstrap.servers": cloud, "group.id": "live", "auto.offset.reset": "earliest",
            "topic.metadata.refresh.interval.ms": 500, "fetch.wait.max.ms": 100, "log_level": 0})
        self.consumer.subscribe(["live"])
        self.threads = [threading.Thread(target=run) for run in (self.write, self.acknowledge, self.read)]
        for thread in self.threads:
            thread.start()

    def write(self):
        due = time.monotonic()
        while not self.stop.is_set():
            sent = time.time()
            self.producer.produce("live", value=repr(sent).encode().ljust(RECORD_BYTES),
                                  on_delivery=lambda error, _, sent=sent: self.acknowledged(error, sent))
            due += 1 / LIVE_RECORDS
            time.sleep(max(0, due - time.monotonic()))

    def acknowledged(self, error, sent):
        self.failed += error is not None
        self.acks.append((sent, time.time() - sent))

    def acknowledge(self):
        while not self.stop.is_set():
            self.producer.poll(0.05)

    def read(self):
        while not self.stop.is_set():
            message = self.consumer.poll(0.1)
            if message is not None and not message.error():
                sent = float(message.value())
                self.lags.append((sent, time.time() - sent))

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        self.producer.flush(10)
        self.consumer.close()


def quantiles(samples, begin, end):
    """p50 and p99 of what was sent between the two times."""
    found = sorted(took for sent, took in samples if begin <= sent < end)
    return (found[len(found) // 2], found[len(found) * 99 // 100]) if found else (float("nan"),) * 2


class Steady(threading.Thread):
    """The steady part of lane bulk, until told to stop."""

    def __init__(self, gateway):
        super().__init__()
        self.gateway, self.stop, self.flaw = gateway, threading.Event(), ""
        self.start()

    def run(self):
        while not self.stop.is_set() and not self.flaw:
            done = run_client("raw", self.gateway, "bulk", mbs=STEADY_MBS, seconds=5, warmup=0, connections=1)
            self.flaw = "" if done["good"] else str(done)


def main():
    options = dict(argument.split("=") for argument in sys.argv[1:])
    backlog, link = float(options.get("BACKLOG_GB", 3)), float(options.get("LINK_MBS", 30)) * 1e6
    build_client()
    with tempfile.TemporaryDirectory(dir=ROOT / ".build", prefix="bench-outage-") as directory:
        weed = SeaweedFS(directory)
        relay = Relay(weed.port, bytes_per_second=link)
        ports = {name: free_port() for name in ("cloud", "cloud-http", "edge", "edge-http")}
        cloud = Server("cloud", [
            BINARY, "cloud", "--data-dir", Path(directory) / "cloud", "--kafka-listen", f"127.0.0.1:{ports['cloud']}",
            "--http-listen", f"127.0.0.1:{ports['cloud-http']}", *weed.settings], ports["cloud"], directory)
        settings = [value.replace(str(weed.port), str(relay.port)) for value in weed.settings]
        edge = Server("edge", [
            BINARY, "edge", "--site", "bench", "--data-dir", Path(directory) / "edge", *settings,
            "--kafka-listen", f"127.0.0.1:{ports['edge']}", "--http-listen", f"127.0.0.1:{ports['edge-http']}", "--ntrip-listen", "",
            "--lanes-critical-topics", "live", "--lanes-bulk-topics", "bulk", "--lanes-bulk-quota", "64GiB",
            "--uplink-announce", f"http://127.0.0.1:{ports['cloud-http']}"], ports["edge"], directory)
        gateway = f"127.0.0.1:{ports['edge']}"
        live, steady = Live(gateway, f"127.0.0.1:{ports['cloud']}"), Steady(gateway)

        def backlog_bytes(*names):
            with urllib.request.urlopen(f"http://127.0.0.1:{ports['edge-http']}/status.json", timeout=20) as reply:
                return sum(lane["backlogBytes"] for lane in json.load(reply)["lanes"] if not names or lane["name"] in names)

        def phase(name, begin, end):
            time.sleep(2)
            ack, lag = quantiles(live.acks, begin, end), quantiles(live.lags, begin, end)
            print(f"{name:<34} {ack[0] * 1e3:>8.1f} {ack[1] * 1e3:>8.1f} {lag[0]:>8.2f} {lag[1]:>8.2f} "
                  f"{edge.memory_mib():>8.0f} {edge.memory_mib('VmHWM'):>8.0f}", flush=True)

        print(f"{'':<34} {'ack p50':>8} {'p99 ms':>8} {'lag p50':>8} {'p99 s':>8} {'RSS':>8} {'peak MiB':>8}")
        try:
            time.sleep(8)  # the consumer has its partitions
            begin = time.time()
            time.sleep(PHASE_SECONDS)
            phase("linked", begin, time.time())
            relay.cut()
            began = time.time()
            filled = run_client("raw", gateway, "bulk", mbs=FILL_MBS, seconds=backlog * 1e3 / FILL_MBS, warmup=0,
                                connections=4, limit_seconds=3600)
            if not filled["good"]:
                raise SystemExit(f"the gateway refused: {filled}")
            phase(f"cut, bulk gets {FILL_MBS} MB/s", began, time.time())
            begin = time.time()
            time.sleep(PHASE_SECONDS)
            phase(f"cut, {backlog_bytes() / 1e9:.1f} GB behind", begin, time.time())
            before, waiting = relay.sent_bytes, backlog_bytes()
            relay.mend()
            began = time.time()
            while relay.sent_bytes == before:  # the pause before the next attempt, at most the retry's cap
                time.sleep(0.05)
            begin = time.time()
            while backlog_bytes("critical") > 3 * LIVE_RECORDS * RECORD_BYTES:
                time.sleep(0.1)
            level = time.time()
            while backlog_bytes() > 30e6:
                time.sleep(0.2)
            end = time.time()
            share = (relay.sent_bytes - before) / (end - begin) / link
            phase("linked again, bulk catching up", level, end)
            print(f"The first byte went {begin - began:.1f} s after the link was back; lane critical was level {level - begin:.1f} s later; "
                  f"{waiting / 1e9:.1f} GB, and what came meanwhile, in {end - begin:.0f} s: {share:.0%} of the link. "
                  f"Failed produces: {live.failed}{steady.flaw}")
        finally:
            steady.stop.set()
            live.end()
            steady.join()
            edge.stop()
            cloud.stop()
            weed.server.stop()
            relay.end()


if __name__ == "__main__":
    main()
