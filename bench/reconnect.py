"""Many gateways come back at once: what a producer of the cloud node notices.

One real gateway makes the objects of a site; each further site has the same under its own name. Then all announce what they have, each over a
connection of its own and one after the other, as gateways do after an outage of the node, while a producer goes on.
Usage: reconnect.py [GATEWAYS=500] [OBJECTS=12] [MODE=object|wal]
"""

import asyncio
import json
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "kafka"))
from targets import Cloud, DirectoryStore, run_client  # noqa: E402

from common import BINARY, ROOT, Server, build_client, free_port  # noqa: E402

LOAD = dict(mbs=20, seconds=8, warmup=2, connections=4)


def name(number):
    return f"site{number:04}"


def make_objects(store, directory, count):
    """Paths of the objects of site 0, by sequence; written by a gateway that has a directory as its store."""
    from confluent_kafka import Producer
    port = free_port()
    edge = Server("edge", [
        BINARY, "edge", "--site", name(0), "--data-dir", Path(directory) / "edge", "--store-url", f"dir:{store}",
        "--kafka-listen", f"127.0.0.1:{port}", "--http-listen", "", "--ntrip-listen", "", "--lanes-critical-topics", "gnss",
        "--lanes-critical-flush", "100ms"], port, directory)
    producer = Producer({"bootstrap.servers": f"127.0.0.1:{port}", "acks": "all", "linger.ms": 0, "log_level": 0})
    found, until = [], time.monotonic() + 60
    while len(found) < count and time.monotonic() < until:
        for record in range(100):
            producer.produce("gnss", value=random.randbytes(300))
        producer.flush(10)
        time.sleep(0.15)
        found = sorted(path for path in (Path(store) / "sites" / name(0)).rglob("*") if path.is_file())
    edge.stop()
    if len(found) < count:
        raise SystemExit(f"{len(found)} objects of {count}")
    return found[:count]


def rename(body, site):
    """The same object of another site, whose name stands in the header and once more in the footer; both have checksums."""
    import crc32c

    def renamed(head):
        head = head[:-4].replace(name(0).encode(), site.encode(), 1)
        return head + crc32c.crc32c(head).to_bytes(4, "big")

    size, footer_bytes = int.from_bytes(body[12:16], "big"), int.from_bytes(body[-24:-16], "big")
    runs, footer, trailer = body[size:-24 - footer_bytes], body[-24 - footer_bytes:-24], body[-24:]
    head = renamed(body[:size])
    footer = footer[:8] + head + footer[8 + size:]
    checksum = crc32c.crc32c(footer + trailer[:12]).to_bytes(4, "big")
    return head + runs + footer + trailer[:12] + checksum + trailer[16:]


def copy_objects(objects, store, gateways):
    """Announcements of each site, in order."""
    announcements = {}
    for number in range(gateways):
        site = name(number)
        for path in objects:
            key = str(path.relative_to(store)).replace(name(0), site, 1)
            copy = Path(store) / key
            copy.parent.mkdir(parents=True, exist_ok=True)
            if number:
                copy.write_bytes(rename(path.read_bytes(), site))
            _, _, incarnation, lane, sequence = key.split("/")
            announcements.setdefault(site, []).append({
                "site": site, "incarnation": incarnation, "lane": lane, "sequence": int(sequence), "key": key, "firstLSN": 1, "lastLSN": 1})
    return announcements


class Peer:
    """One gateway's announcing: in order, again after a refusal, with the pause that the node asks for."""

    statuses = {}

    def __init__(self, port, announcements):
        self.port, self.announcements, self.reader, self.writer = port, announcements, None, None

    async def ask(self, body):
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        text = json.dumps(body).encode()
        self.writer.write(b"POST /v1/announce HTTP/1.1\r\nhost: cairn\r\ncontent-type: application/json\r\n"
                          + f"content-length: {len(text)}\r\n\r\n".encode() + text)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        reply = await self.reader.readexactly(int(fields.get("content-length", 0)))
        return int(head.split()[1]), fields, reply

    async def run(self):
        for body in self.announcements:
            for _ in range(100):
                try:
                    status, fields, reply = await self.ask(body)
                except (OSError, asyncio.IncompleteReadError):
                    self.writer, status, fields = None, 0, {}
                Peer.statuses[status] = Peer.statuses.get(status, 0) + 1
                if status == 200 and json.loads(reply)["adopted"].get(body["lane"], 0) >= body["sequence"]:
                    break
                await asyncio.sleep(float(fields.get("retry-after", 1)) * random.uniform(0.5, 1.5))
            else:
                raise RuntimeError(f"{body['key']} is not adopted: {status} {reply!r}")


async def reconnect(port, announcements):
    """All of them at once; the seconds until everything is adopted."""
    began = time.monotonic()
    await asyncio.gather(*(Peer(port, one).run() for one in announcements.values()))
    return time.monotonic() - began


def main():
    options = dict(argument.split("=") for argument in sys.argv[1:])
    gateways, objects, mode = int(options.get("GATEWAYS", 500)), int(options.get("OBJECTS", 12)), options.get("MODE", "object")
    build_client()
    with tempfile.TemporaryDirectory(dir=ROOT / ".build", prefix="bench-reconnect-") as directory:
        target = Cloud(mode, DirectoryStore, directory)
        try:
            made = make_objects(target.store.path, directory, objects)
            places = target.create("live", topics=4, partitions=4)
            run_client("raw", target.bootstrap, "live", **LOAD, **places)
            quiet = run_client("raw", target.bootstrap, "live", **LOAD, **places)
            announcements = copy_objects(made, target.store.path, gateways)
            took = []

            async def both():
                load = asyncio.create_task(asyncio.to_thread(run_client, "raw", target.bootstrap, "live", **LOAD, **places))
                await asyncio.sleep(LOAD["warmup"] + 0.5)
                took.append(await reconnect(target.http, announcements))
                return await load

            beside = asyncio.run(both())
            print(f"{gateways} gateways, {objects} objects each, adopted in {took[0]:.1f} s; replies {Peer.statuses}")
            for text, result in (("alone", quiet), ("beside them", beside)):
                if not result["good"]:
                    raise SystemExit(str(result))
                ack = result["ack"]
                print(f"producer of 20 MB/s, {mode} mode, {text:<12}: ack p50 {ack['p50_us'] / 1000:.1f} ms, p99 {ack['p99_us'] / 1000:.1f} ms")
            print(f"RSS {target.memory()[0]:.0f} MiB, peak {target.memory()[1]:.0f} MiB")
        except Exception:
            print("".join(Path(directory).rglob("cloud.log").__next__().read_text().splitlines(keepends=True)[-10:]))
            raise
        finally:
            target.stop()


if __name__ == "__main__":
    main()
