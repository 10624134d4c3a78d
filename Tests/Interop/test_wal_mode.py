"""A cloud node that acknowledges from its own log: kill -9, a store that is away, a lost node, a full quota."""

import random
import shutil
import threading
import time
import urllib.request

import pytest
from clients import ConfluentTransactions, produce, read
from conftest import Cloud, SeaweedFS, cairn, consume, wait_until
from load import AccountedProducer, assert_exactly_once_in_order
from protocol import Connection, batch

WAL = ["--produce-ack", "wal", "--produce-interval", "20ms"]


def metric(node, name):
    with urllib.request.urlopen(f"{node.announce}/metrics", timeout=5) as answer:
        for line in answer.read().decode().splitlines():
            if line.split("{")[0].split(" ")[0] == name:
                return float(line.split()[-1])
    raise AssertionError(f"no metric {name}")


def only_in_log(node):
    return metric(node, "cairn_volume_waiting_bytes")


def create(node, topic, partitions=1, **configs):
    with Connection(node.kafka) as wire:
        wire.create(topic, partitions=partitions, **configs)


@pytest.fixture(params=["directory", "seaweedfs"])
def store(request, launch, directory_store):
    return directory_store if request.param == "directory" else launch(SeaweedFS).settings()


def test_kill_9_under_load_loses_nothing_and_doubles_nothing(launch, store):
    node = launch(Cloud, store, extra=[*WAL, "--wal-upload-interval", "300ms", "--wal-object-bytes", "1MiB"])
    create(node, "direct", 2)
    chance = random.Random(7)
    producer = AccountedProducer(node.bootstrap, "direct", partitions=2).start()
    for _ in range(8):
        time.sleep(chance.uniform(0.05, 0.7))
        node.kill()
        node.start()
    sent = producer.finish(60)
    assert_exactly_once_in_order(consume(node.bootstrap, "direct", sum(sent), 60), sent)
    # What is in objects needs no log any more.
    wait_until(lambda: only_in_log(node) == 0, "everything is in objects")
    node.kill()
    shutil.rmtree(node.data / "wal")
    node.start()
    assert_exactly_once_in_order(consume(node.bootstrap, "direct", sum(sent), 60), sent)
    print(f"{sum(sent)} records")


def test_a_restart_serves_what_no_object_holds(launch, directory_store):
    node = launch(Cloud, directory_store, extra=[*WAL, "--wal-upload-interval", "60s"])
    create(node, "t")
    for number in range(3):
        produce("confluent", node.bootstrap, "t", [b"%d-%d" % (number, n) for n in range(100)])
        assert only_in_log(node) > 0
        node.kill()
        node.start()
    wanted = [b"%d-%d" % (number, n) for number in range(3) for n in range(100)]
    assert read("confluent", node.bootstrap, "t") == wanted
    waiting = only_in_log(node)
    assert waiting > 0
    # One that is asked to stop does so soon, and the next start goes on.
    assert node.stop() == 0
    node.start()
    assert read("confluent", node.bootstrap, "t") == wanted


def test_an_outage_of_the_store_stops_neither_produce_nor_tail_reads(launch):
    weed = launch(SeaweedFS)
    node = launch(Cloud, weed.settings(), extra=[*WAL, "--wal-upload-interval", "300ms"])
    create(node, "t", 2)
    producer = AccountedProducer(node.bootstrap, "t", partitions=2).start()
    time.sleep(1)
    weed.kill()
    before = sum(map(len, producer.acked))
    wait_until(lambda: sum(map(len, producer.acked)) > before + 1000, "produce goes on without a store", 15)
    with Connection(node.kafka) as wire:
        end = wire.offset("t", -1).offset
        tail = wire.fetch_one("t", end - 1, max_wait=2000, min_bytes=1)
        assert tail.error_code == 0 and tail.records, "the tail is read without a store"
    time.sleep(0.7)
    assert only_in_log(node) > 0
    node.kill()  # Even a restart needs no store for what the log holds.
    node.start()
    before = sum(map(len, producer.acked))
    wait_until(lambda: sum(map(len, producer.acked)) > before + 500, "produce goes on after a restart without a store", 15)
    weed.start()
    sent = producer.finish(60)
    wait_until(lambda: only_in_log(node) == 0, "everything is in objects", 30)
    assert_exactly_once_in_order(consume(node.bootstrap, "t", sum(sent), 60), sent)
    node.kill()
    shutil.rmtree(node.data / "wal")
    node.start()
    assert_exactly_once_in_order(consume(node.bootstrap, "t", sum(sent), 60), sent)


def test_adopt_wal_finishes_the_log_of_a_lost_node(launch, directory_store, tmp_path):
    settings = [*WAL, "--wal-upload-interval", "60s"]
    node = launch(Cloud, directory_store, extra=settings)
    create(node, "t")
    produce("confluent", node.bootstrap, "t", [b"a%d" % n for n in range(500)])
    transaction = ConfluentTransactions(node.bootstrap, "x")
    transaction.init()
    for value, end in ((b"committed", transaction.commit), (b"aborted", transaction.abort)):
        transaction.begin()
        transaction.send("t", [value])
        transaction.flush()
        end()
    moved = tmp_path / "moved"
    command = ["cloud", "adopt-wal", moved, "--data-dir", node.data, *directory_store]
    running = cairn("cloud", "adopt-wal", node.data / "wal", "--data-dir", node.data, *directory_store)
    assert running.returncode != 0, "not while a node runs on the ledger"
    node.kill()
    shutil.move(node.data / "wal", moved)
    # Another node takes over with an empty log: what the lost one holds is missing, and said to be, until it is adopted.
    node.start()
    produce("confluent", node.bootstrap, "t", [b"b%d" % n for n in range(10)])
    with Connection(node.kafka) as wire:
        assert wire.fetch_one("t", 0, max_wait=100, min_bytes=1).error_code == 56
        assert wire.offset("t", -1).offset == 514
        assert wire.fetch_one("t", 504, max_wait=100, min_bytes=1).error_code == 0
    assert node.stop() == 0
    done = cairn(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bytes brought into objects" in done.stdout
    again = cairn(*command)
    assert again.returncode == 0, "a second time changes nothing"
    assert cairn("cloud", "adopt-wal", tmp_path, "--data-dir", node.data, *directory_store).returncode != 0
    shutil.rmtree(moved)
    node.start()
    wanted = [b"a%d" % n for n in range(500)]
    last = [b"b%d" % n for n in range(10)]
    assert read("confluent", node.bootstrap, "t", True) == [*wanted, b"committed", *last]
    assert read("kafka-python", node.bootstrap, "t", False) == [*wanted, b"committed", b"aborted", *last]


def test_a_full_quota_gives_a_retriable_error_and_heals(launch, tmp_path):
    """The store is a directory; a file in its place is a store that is away."""
    store = tmp_path / "store"
    node = launch(Cloud, ["--store-url", f"dir:{store}"], extra=[
        *WAL, "--wal-quota", "256MiB", "--wal-upload-interval", "200ms", "--kafka-batch-bytes-max", "8MiB"])
    create(node, "t")
    produce("confluent", node.bootstrap, "t", [b"first"])
    wait_until(lambda: only_in_log(node) == 0, "the first is in an object")
    store.rename(tmp_path / "away")
    store.write_text("no directory")
    data = batch([b"x" * 4_000_000])
    codes = []
    with Connection(node.kafka) as wire:
        for _ in range(100):
            codes.append(int(wire.produce("t", data).error_code))
            if codes[-1] != 0:
                break
        accepted = codes.count(0)
        assert codes[-1] in (19, 20), f"a retriable error, not {codes[-1]}, after {accepted} batches"
        assert accepted * len(data) > 128 << 20, "most of the quota can be used"
        assert wire.fetch_one("t", accepted, max_wait=2000, min_bytes=1).records, "the tail is read"
        refused = []
        late = threading.Thread(target=lambda: refused.append(produce("confluent", node.bootstrap, "t", [b"late"])))
        late.start()  # A client that goes on trying gets through when the store is back.
        time.sleep(0.5)
        assert not refused or only_in_log(node) > 0
        store.unlink()
        (tmp_path / "away").rename(store)
        wait_until(lambda: only_in_log(node) == 0, "everything is in objects", 30)
        late.join(30)
        wait_until(lambda: wire.produce("t", data).error_code == 0, "the log takes batches again", 10)
        end = wire.offset("t", -1).offset
        assert end == 1 + accepted + 2, "nothing refused is there, nothing accepted is lost"
    with Connection(node.kafka) as wire:
        for offset in range(1, end, 7):
            assert wire.fetch_one("t", offset, max_wait=2000, min_bytes=1, max_bytes=1).error_code == 0
    assert metric(node, "cairn_volume_refused_total") >= 1


def test_ack_modes_of_topics_side_by_side(launch, directory_store):
    node = launch(Cloud, directory_store, extra=["--produce-interval", "500ms", "--wal-upload-interval", "200ms"])
    with Connection(node.kafka) as wire:
        wire.create("slow")
        wire.create("quick", cairn_ack="wal")
        took = {}
        for topic in ("quick", "slow"):
            wire.produce(topic, batch([b"warm"]))
            started = time.monotonic()
            assert wire.produce(topic, batch([b"x"])).error_code == 0
            took[topic] = time.monotonic() - started
        assert took["quick"] < 0.25 < took["slow"], took
        # One request to both: each in its own way.
        answer = wire.call("produce", 9, acks=-1, timeout=10_000, topic_data=[
            {"name": name, "partition_data": [{"index": 0, "records": batch([b"y"])}]} for name in ("quick", "slow")])
        assert [(t.name, t.partition_responses[0].error_code, t.partition_responses[0].base_offset)
                for t in answer.responses] == [("quick", 0, 2), ("slow", 0, 2)]
    for topic in ("quick", "slow"):
        assert read("confluent", node.bootstrap, topic) == [b"warm", b"x", b"y"]


def test_a_node_without_a_log_takes_no_topic_of_it(launch, directory_store):
    node = launch(Cloud, directory_store, extra=["--wal-enabled", "false"])
    with Connection(node.kafka) as wire:
        answer = wire.call("create_topics", 7, timeout=10_000, validate_only=False, topics=[{
            "name": "t", "num_partitions": 1, "replication_factor": 1,
            "configs": [{"name": "cairn.ack", "value": "wal"}]}])
        assert answer.topics[0].error_code == 40
