"""Few bytes that stand for many: producers of them must not hold anybody else up."""

import struct
import threading
import time

import crc32c
import pytest
import zstandard
from conftest import Cloud, Edge
from protocol import KEYS, Connection, batch, batches


def bomb(opened_bytes, size_bytes=0):
    """One zstd batch of a record of zeros. `size_bytes` at least, by what does not compress at its end."""
    import os
    value = bytes(opened_bytes - size_bytes) + os.urandom(size_bytes)
    plain = batch([value])
    payload = zstandard.ZstdCompressor(level=1).compress(plain[61:])
    body = struct.pack(">h", struct.unpack(">h", plain[21:23])[0] | 4) + plain[23:61] + payload
    return plain[:8] + struct.pack(">iibI", len(body) + 9, 0, 2, crc32c.crc32c(body)) + body


def latencies(port, seconds):
    """Of ApiVersions in ms, one after the other over a few connections that share all event loops of the node."""
    wires = [Connection(port) for _ in range(4)]
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        for wire in wires:
            begin = time.perf_counter()
            wire.call("api_versions", 0)
            found.append((time.perf_counter() - begin) * 1000)
    for wire in wires:
        wire.socket.close()
    return sorted(found)


@pytest.mark.parametrize("role", ["cloud", "edge"])
@pytest.mark.parametrize("size_bytes", [0, 900_000], ids=["small", "1MiB"])
def test_bombs_do_not_delay_other_connections(launch, directory_store, role, size_bytes):
    node = launch({"cloud": Cloud, "edge": Edge}[role], directory_store)
    with Connection(node.kafka) as wire:
        if role == "cloud":
            wire.create("flood")
        else:
            assert wire.produce("flood", batch([b"first"]), 9).error_code == 0
    data = bomb(63 << 20, size_bytes)
    quiet = latencies(node.kafka, 2)
    stop, answers = threading.Event(), []

    def flood():
        with Connection(node.kafka, seconds=60) as wire:
            while not stop.is_set():
                sent = [wire.send("produce", 9, transactional_id=None, acks=1, timeout=30_000, topic_data=[
                    {"name": "flood", "partition_data": [{"index": 0, "records": data}]}]) for _ in range(3)]
                for one in sent:
                    answers.append(wire.receive(one).responses[0].partition_responses[0].error_code)

    threads = [threading.Thread(target=flood) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    under = latencies(node.kafka, 6)
    stop.set()
    for thread in threads:
        thread.join(60)

    def at(list_, share):
        return list_[min(len(list_) - 1, int(len(list_) * share))]
    print(f"\n{role} {len(data)} bytes: quiet p50 {at(quiet, .5):.2f} p99 {at(quiet, .99):.2f} max {quiet[-1]:.1f} ms;"
          f" {len(answers)} bombs in 6 s: p50 {at(under, .5):.2f} p99 {at(under, .99):.2f} max {under[-1]:.1f} ms")
    assert len(answers) > 10 and set(answers) == {0}
    # Opening one takes tens of milliseconds, and an event loop would have had several in a row.
    assert at(under, .99) < max(15, 10 * at(quiet, .99))


def test_batches_that_open_on_threads_keep_their_order(node, wire, topic):
    wire.create(topic)
    large, sent = bomb(8 << 20), []
    for number in range(30):
        data = large if number % 4 == 0 else batch([b"%d" % number])
        sent.append(wire.send("produce", 9, transactional_id=None, acks=-1, timeout=30_000, topic_data=[
            {"name": topic, "partition_data": [{"index": 0, "records": data}]}]))
    answers = [wire.receive(one).responses[0].partition_responses[0] for one in sent]
    assert [(a.error_code, a.base_offset) for a in answers] == [(0, n) for n in range(30)]
    assert KEYS["produce"] == 0 and batches(wire.fetch_one(topic, offset=1).records)[0].base_offset == 1
