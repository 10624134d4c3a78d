"""The cloud node's figures of docs/performance.md: the same load against object mode, wal mode, the gateway, the null broker of the
same binary and any peer, in turn. Compare ratios of one run; absolute numbers are those of this machine in this minute.

usage: run.py [--quick] [--only rate|ack|e2e|catchup|memory] [--targets object-dir,null,...]     PEER=host:port adds a peer
"""

import argparse
import os
import resource
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from targets import ROOT, Cloud, DirectoryStore, Edge, Null, Peer, Refused, SeaweedFS, StubStore, client_arguments, run_client

from common import build_client  # targets.py has made it importable

SPREAD = {"topics": 25, "partitions": 4}  # 100 partitions, by topics of 4 because the null broker's have 4


class Bench:
    def __init__(self, quick, wanted):
        self.quick, self.wanted = quick, wanted
        self.seconds = 3 if quick else 6

    def makers(self):
        """How to start each target, by name."""
        makers = {"null": Null, "edge": Edge}
        for ack in ("object", "wal"):
            for suffix, store in (("dir", DirectoryStore), ("s3", SeaweedFS), ("stub", StubStore)):
                makers[f"{ack}-{suffix}"] = lambda directory, ack=ack, store=store: Cloud(ack, store, directory)
        if os.environ.get("PEER"):
            makers["peer"] = lambda directory: Peer(os.environ["PEER"], directory)
        return makers

    def run_each(self, names, step):
        """Calls `step(target)` with each; its data is removed before the next one starts."""
        with tempfile.TemporaryDirectory(dir=ROOT / ".build", prefix="bench-kafka-") as directory:
            makers = self.makers()
            for name in names:
                if name not in makers or (self.wanted and name not in self.wanted):
                    continue
                target = makers[name](directory)
                try:
                    step(target)
                except Refused as reason:
                    print(f"{name:>12}  skipped: {reason}", flush=True)
                finally:
                    target.stop()


def ms(result, name, quantile):
    return result[name][f"{quantile}_us"] / 1000


def flaw(result):
    """What a table must not hide."""
    if result["good"]:
        return ""
    return "  FAILED: " + (result.get("complaint") or str({k: result.get(k) for k in ("failed", "errors", "error", "received")}))


def per_gigabyte(seconds, size):
    return seconds / (size / 1e9) if size else 0.0


CLOUD = ["object-dir", "object-s3", "object-stub", "wal-dir", "wal-s3", "wal-stub"]


def rate(bench):
    print("\n## Produce at full speed, acks=all, 100 partitions, librdkafka, 2 connections")
    print(f"{'':>12} {'record':>7} {'MB/s':>7} {'msgs/s':>9} {'of null':>7} {'ack p50 ms':>10} {'p99 ms':>8} "
          f"{'CPU-s/GB':>8} {'client':>6} {'RSS':>5} {'peak MiB':>8}")
    yardstick = {}

    def step(target):
        for size in (100, 1000, 10_000):
            topic = f"rate{size}"
            places = target.create(topic, **SPREAD)
            result = target.measure("produce", topic, size=size, seconds=bench.seconds, warmup=1, connections=2, **places)
            if "acked" not in result:
                print(f"{target.name:>12} {size:>7} {flaw(result)}")
                continue
            volume = result["acked"] * size
            if target.name == "null":
                yardstick[size] = result["mb_per_second"]
            ratio = result["mb_per_second"] / yardstick[size] if yardstick.get(size) else 0
            print(f"{target.name:>12} {size:>7} {result['mb_per_second']:>7.0f} {result['messages_per_second']:>9.0f} {ratio:>7.2f} "
                  f"{ms(result, 'ack', 'p50'):>10.1f} {ms(result, 'ack', 'p99'):>8.1f} "
                  f"{per_gigabyte(result['server_cpu_seconds'], volume):>8.2f} {per_gigabyte(result['cpu_seconds'], volume):>6.2f} "
                  f"{result['rss_mib']:>5.0f} {result['peak_mib']:>8.0f}{flaw(result)}", flush=True)

    bench.run_each(["null", *CLOUD, "edge", "peer"], step)


def ack(bench):
    print("\n## Ack latency at an offered rate: raw client, 256 KiB batches of 1 KB, 100 partitions, 4 connections")
    print("`due` counts from when a request had to be sent, `ack` from when it was begun to be sent; `unsent` found no room.")
    print(f"{'':>12} {'offered':>7} {'MB/s':>7} {'ack p50 ms':>10} {'p99 ms':>8} {'p99.9 ms':>8} {'max ms':>8} {'due p99 ms':>10} "
          f"{'unsent':>6} {'CPU-s/GB':>8} {'client':>6} {'peak MiB':>8}")

    def step(target):
        for offered in (20, 600):
            if offered == 600 and target.name.startswith("object"):
                continue
            topic = f"ack{offered}"
            places = target.create(topic, **SPREAD)
            # At 600 MB/s a log makes its files, which doubles what it writes, until it has filled its quota once.
            warmup = 6 if offered == 600 else 1
            seconds = warmup - 1 + bench.seconds * (2 if offered == 600 else 1)
            result = target.measure("raw", topic, mbs=offered, seconds=seconds, warmup=warmup, connections=4, inflight=16, **places)
            if "bytes" not in result:
                print(f"{target.name:>12} {offered:>7} {flaw(result)}")
                continue
            print(f"{target.name:>12} {offered:>7} {result['mb_per_second']:>7.0f} {ms(result, 'ack', 'p50'):>10.2f} "
                  f"{ms(result, 'ack', 'p99'):>8.2f} {ms(result, 'ack', 'p999'):>8.2f} {ms(result, 'ack', 'max'):>8.2f} "
                  f"{ms(result, 'due', 'p99'):>10.2f} {result['unsent']:>6} "
                  f"{per_gigabyte(result['server_cpu_seconds'], result['bytes']):>8.2f} "
                  f"{per_gigabyte(result['cpu_seconds'], result['bytes']):>6.2f} {result['peak_mib']:>8.0f}{flaw(result)}", flush=True)

    bench.run_each(["null", *CLOUD, "edge", "peer"], step)


def e2e(bench):
    print("\n## End to end: 200 messages/s of 1 KB over 4 partitions, linger 0, one consumer in the producer's process")
    print(f"{'':>12} {'ack p50 ms':>10} {'p99 ms':>8} {'e2e p50 ms':>10} {'p99 ms':>8} {'p99.9 ms':>8} {'read':>6}")

    def step(target):
        places = target.create("e2e")
        result = target.measure("e2e", "e2e", rate=200, size=1000, seconds=bench.seconds * 2, warmup=2, **places)
        if "e2e" not in result:
            print(f"{target.name:>12} {flaw(result)}")
            return
        print(f"{target.name:>12} {ms(result, 'ack', 'p50'):>10.1f} {ms(result, 'ack', 'p99'):>8.1f} {ms(result, 'e2e', 'p50'):>10.1f} "
              f"{ms(result, 'e2e', 'p99'):>8.1f} {ms(result, 'e2e', 'p999'):>8.1f} {result['received']:>6}{flaw(result)}", flush=True)

    bench.run_each([*CLOUD, "edge", "peer"], step)


def fill(target, topic, places, requests):
    """About `requests` x 256 KiB over the partitions."""
    result = target.measure("raw", topic, requests=requests, seconds=120, warmup=0, connections=4, **places)
    if not result["good"]:
        raise SystemExit(f"{target.name}: cannot fill {topic}{flaw(result)}")
    return result["answered"] * result["records"]


def catchup(bench):
    requests = 1500 if bench.quick else 6000
    print(f"\n## Catch-up: {requests * 0.262:.0f} MB over 100 partitions, read from the beginning after a restart of the node")
    print("`get` reads the same objects from the store by ranges of 4 MiB. Then acks of a 20 MB/s producer, alone and beside the reader.")
    print(f"{'':>12} {'raw MB/s':>8} {'librdkafka':>10} {'get MB/s':>8} {'raw/get':>7} {'CPU-s/GB':>8} {'peak MiB':>8}   "
          f"{'alone p50 ms':>12} {'p99 ms':>7} {'beside p50 ms':>13} {'p99 ms':>7} {'reader MB/s':>11}")

    def step(target):
        places = target.create("catchup", **SPREAD)
        count = fill(target, "catchup", places, requests)
        get = run_client("get", lines="\n".join(target.store.objects()) + "\n") if target.store else {"good": True, "mb_per_second": 0}
        if hasattr(target, "restart"):
            target.restart()
        raw = target.measure("rawfetch", "catchup", count=count, **places)
        rdkafka = target.measure("consume", "catchup", count=count, **places)
        beside = target.create("beside", **SPREAD)
        load = dict(mbs=20, seconds=bench.seconds + 2, warmup=1, connections=4, **beside)
        alone = target.measure("raw", "beside", **load)
        crowd, reader = produce_beside_reader(target, places, load)
        for result in (get, raw, rdkafka, alone, crowd):
            if "complaint" in result and not result["good"]:
                print(f"{target.name:>12} {flaw(result)}")
        if not all(result["good"] for result in (get, raw, rdkafka, alone, crowd)):
            return
        ratio = raw["mb_per_second"] / get["mb_per_second"] if get["mb_per_second"] else 0
        print(f"{target.name:>12} {raw['mb_per_second']:>8.0f} {rdkafka['mb_per_second']:>10.0f} {get['mb_per_second']:>8.0f} {ratio:>7.2f} "
              f"{per_gigabyte(raw['server_cpu_seconds'], raw['bytes']):>8.2f} {raw['peak_mib']:>8.0f}   "
              f"{ms(alone, 'ack', 'p50'):>12.1f} {ms(alone, 'ack', 'p99'):>7.1f} {ms(crowd, 'ack', 'p50'):>13.1f} "
              f"{ms(crowd, 'ack', 'p99'):>7.1f} {reader:>11.0f}", flush=True)

    bench.run_each([*CLOUD, "edge", "peer"], step)


def produce_beside_reader(target, places, load):
    """Reads again and again while the producer runs: the producer's result, and the reader's MB/s over all its time."""
    readings, until = [], time.monotonic() + load["seconds"]

    def read():
        while (left := until - time.monotonic()) > 0.5:
            readings.append(run_client("rawfetch", target.bootstrap, "catchup", seconds=f"{left:.1f}", **places))

    reader = threading.Thread(target=read)
    reader.start()
    result = run_client("raw", target.bootstrap, "beside", **load)
    reader.join()
    took = sum(reading.get("seconds", 0) for reading in readings)
    return result, sum(reading.get("bytes", 0) for reading in readings) / 1e6 / took if took else 0.0


def memory(bench):
    print("\n## Memory of the node, MiB: resident, and at its peak during the step")
    print(f"{'':>12} {'step':<62} {'RSS':>6} {'peak':>6}")

    def step(target):
        def show(text, after=None):
            rss, peak = target.memory()
            print(f"{target.name:>12} {text:<62} {rss:>6.0f} {peak:>6.0f}{'' if after is None else flaw(after)}", flush=True)

        show("started")
        target.forget_peak()
        places = target.create("fill", **SPREAD)
        fill(target, "fill", places, 600 if bench.quick else 2000)
        show("after a full-speed fill of 100 partitions")
        target.forget_peak()
        many = target.create("many", topics=50, partitions=100)
        show("5000 more partitions", target.measure(
            "raw", "many", requests=5000, seconds=60, warmup=0, batch=1000, size=900, inflight=64, **many))
        with_connections(target, show, "1000 connections, each with a long poll at a partition's end", "many", longpoll=1000, **many)
        with_connections(target, show, "1000 connections that ask for everything, 4 times, and read nothing", "fill", mute=1000, **places)
        time.sleep(2)
        show("2 s after they have gone")

    bench.run_each(["object-dir", "wal-dir"], step)


def with_connections(target, show, text, topic, **options):
    target.forget_peak()
    arguments = client_arguments("idle", target.bootstrap, topic, seconds=40, **options)
    holder = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        ready = holder.stdout.readline()
        time.sleep(6)
        show(text, {"good": bool(ready), "complaint": "" if ready else holder.stderr.read()})
    finally:
        holder.stdin.close()
        holder.wait(60)


def show_machine():
    """What this machine's file system takes in as new files of 8 MiB, each synced: the directory store cannot be faster."""
    with tempfile.TemporaryDirectory(dir=ROOT / ".build") as directory:
        body, before, started = os.urandom(8 << 20), resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        count = 0
        while time.monotonic() - started < 2:
            with open(f"{directory}/{count}", "wb", buffering=0) as file:
                file.write(body)
                os.fsync(file.fileno())
            count += 1
        took, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        volume = count * len(body)
    print(f"load {Path('/proc/loadavg').read_text().split()[0]}; new files of 8 MiB, synced, one writer: "
          f"{volume / 1e6 / took:.0f} MB/s, {per_gigabyte(cpu, volume):.2f} CPU-s/GB", flush=True)


PARTS = {"rate": rate, "ack": ack, "e2e": e2e, "catchup": catchup, "memory": memory}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short runs, for a look")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--targets", default="", help="names, by commas; all if not given")
    arguments = parser.parse_args()
    build_client()
    bench = Bench(arguments.quick, [name for name in arguments.targets.split(",") if name])
    for name, part in PARTS.items():
        if arguments.only in (None, name):
            show_machine()
            part(bench)


if __name__ == "__main__":
    main()
