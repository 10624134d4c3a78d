"""Power cuts of a gateway's disk under load: every acked record is there, once and in order.

mosquitto PR 206 went through 15,000 of them; here it is CAIRN_TEST_CUTS rounds.
"""

import os
import random
import time

import pytest
import power
from conftest import Cloud, Edge, consume, wait_until
from load import AccountedProducer, assert_exactly_once_in_order

CUTS = int(os.environ.get("CAIRN_TEST_CUTS", "12"))


@pytest.fixture
def disk(tmp_path):
    reason = power.why_not()
    if reason:
        pytest.skip(f"power cuts: {reason}")
    made = None
    try:
        made = power.Disk(tmp_path)
    except OSError as error:
        pytest.skip(f"power cuts: not permitted here: {error}")
    try:
        yield made
    finally:
        made.close()


def test_the_disk_forgets_what_nobody_synced(disk):
    synced, forgotten = disk.path / "synced", disk.path / "forgotten"
    with open(synced, "wb") as file:
        file.write(b"kept" * 1000)
        file.flush()
        os.fsync(file.fileno())
    directory = os.open(disk.path, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)
    forgotten.write_bytes(b"lost" * 1000)
    left = disk.snapshot()
    disk.power_on(left)
    assert synced.read_bytes() == b"kept" * 1000
    assert not forgotten.exists() or forgotten.read_bytes() != b"lost" * 1000


def test_power_cuts_lose_nothing_that_was_acked(launch, disk, processes, tmp_path):
    seed = int(os.environ.get("CAIRN_TEST_SEED", random.randrange(1 << 30)))
    print(f"seed {seed}: repeat with CAIRN_TEST_SEED={seed}")
    chance = random.Random(seed)
    store = ["--store-url", f"dir:{tmp_path / 'store'}"]
    cloud = launch(Cloud, store)
    edge = Edge(tmp_path, store, cloud.announce, extra=["--kafka-partitions", "2", "--lanes-standard-quota", "128MiB"])
    edge.data = disk.path / "edge"
    edge.arguments[edge.arguments.index("--data-dir") + 1] = str(edge.data)
    processes.append(edge)
    edge.start()
    producer = AccountedProducer(edge.bootstrap, "sensor.cuts", partitions=2).start()
    for _ in range(CUTS):
        acked = sum(map(len, producer.acked))
        wait_until(lambda: sum(map(len, producer.acked)) > acked, "the gateway acks again")
        time.sleep(chance.uniform(0.0, 0.5))
        # Nothing is acked between the instant of the cut and the end of the process: it stands still.
        edge.pause()
        left = disk.snapshot()
        edge.kill()
        wait_until(lambda: not edge.running, "the process is gone")
        disk.power_on(left)
        edge.start()
    sent = producer.finish(60)
    messages = consume(cloud.bootstrap, "sensor.cuts", sum(sent), 120)
    assert_exactly_once_in_order(messages, sent)
    assert sum(sent) > CUTS * 10
    print(f"{CUTS} cuts, {sum(sent)} records")
