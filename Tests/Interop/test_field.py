"""Failures that other products had in the field, each tried on the real gateway: the docstring names whose it was.

What has a test of its own elsewhere: power cuts (mosquitto #3695, otel-contrib #20266: `test_power_cut`), kill -9 (nats #6888: `test_kill`), a process that
is up and does nothing (fluent-bit #11847: `test_status`), a bridge that dumps its whole queue (mosquitto #1359) and backlog before fresh data
(fluent-bit #2137: `test_uplink_pacing`), dropped and not told (`test_gaps`), a clock that is decades off (iotedge #4062: Swift `ClockJudge`, the
simulation), jitter lost at the cap (fleet PR 53357: Swift `RetryTests`), half-open connections (`test_uplink_pacing`), large backlogs at start
(vector #26035: `bench/backlog.py`).
"""

import random
import socket
import sqlite3
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import Cloud, Edge, accepts, cairn, consume, free_port, wait_until
from load import put

SMALL_SEGMENTS = ["--wal-segment", "1MiB", "--wal-erase-block", "1MiB"]


def send(bootstrap, topic, values, seconds=30):
    """Each value a record of partition 0, acked; returns the offsets."""
    from confluent_kafka import Producer
    offsets, failed = [], []
    producer = Producer({
        "bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 1, "batch.num.messages": 50, "log_level": 0,
        "message.timeout.ms": int(seconds * 1000)})
    for value in values:
        producer.produce(topic, value=value, partition=0, on_delivery=lambda error, message: (
            failed.append(error) if error else offsets.append(message.offset())))
        producer.poll(0)
    assert producer.flush(seconds) == 0
    assert not failed, failed[:3]
    return offsets


def values(messages):
    return [message.value() for message in messages]


def text(count, start=0, padding=2000):
    return [f"{number}".encode().ljust(padding, b".") for number in range(start, start + count)]


def segments(edge, lane="standard"):
    return sorted(path for path in edge.data.rglob("*.seg") if lane in str(path.parent))


def store_objects(tmp_path):
    return sorted(path for path in (tmp_path / "store" / "sites").rglob("*") if path.is_file())


def indexed_records(edge, lane="standard"):
    with sqlite3.connect(f"file:{edge.data / 'lanes' / lane / 'index.sqlite'}?mode=ro", uri=True) as index:
        return index.execute("SELECT coalesce(sum(record_count), 0) FROM batches").fetchone()[0]


def overwrite(path, position, data):
    with open(path, "r+b") as raw:
        raw.seek(position)
        raw.write(data)


@pytest.mark.parametrize("damage", ["random", "zeros", "cut"])
def test_damage_in_the_log_stops_nobody(launch, directory_store, damage):
    """vector #17644 and #16525 (loops until the buffer is deleted), fluent-bit #5003 (one chunk stops the start) and #11847 (up, and collects
    nothing), mosquitto #3160 (refuses to start) and #2639 (files full of zeros), iotedge #961 (nothing is forwarded any more)."""
    cloud = launch(Cloud, directory_store)
    edge = launch(Edge, directory_store, cloud.announce, extra=[*SMALL_SEGMENTS, "--uplink-enabled", "false"])
    sent = text(3000)
    send(edge.bootstrap, "field.damage", sent)
    edge.kill()
    chance = random.Random(5)
    damaged = segments(edge)[1:-1:2]
    assert len(damaged) >= 2
    for path in damaged:
        size = path.stat().st_size
        if damage == "cut":
            with open(path, "r+b") as raw:
                raw.truncate(size // 2)
        else:
            junk = bytes(50_000) if damage == "zeros" else chance.randbytes(50_000)
            overwrite(path, chance.randrange(8192, size // 2), junk)
    edge.arguments = [a if a != "false" else "true" for a in map(str, edge.arguments)]
    edge.start()
    after = [b"after " + value for value in text(100)]
    send(edge.bootstrap, "field.damage", after)
    read = []

    def arrived():
        read[:] = values(consume(cloud.bootstrap, "field.damage", len(sent) + len(after), 3))
        return read[-len(after):] == after

    wait_until(arrived, "what came after the damage reaches the cloud", 60)
    before = read[:-len(after)]
    assert [value for value in sent if value in set(before)] == before, "in order, once, and nothing else"
    lost = len(sent) - len(before)
    assert 0 < lost <= 600 * len(damaged), f"{lost} lost in {len(damaged)} damaged segments"
    gaps = cairn("gaps", "--cloud", f"http://127.0.0.1:{cloud.http}", "--json")
    assert "unreadable" in gaps.stdout, gaps.stdout + gaps.stderr


def test_one_bit_costs_one_batch(launch, directory_store):
    """nats #7549: a single flipped bit dropped 287,000 acknowledged records."""
    cloud = launch(Cloud, directory_store)
    edge = launch(Edge, directory_store, cloud.announce, extra=["--uplink-enabled", "false"])
    sent = text(5000, padding=200)
    send(edge.bootstrap, "field.bit", sent)
    # In the last write rot looks like a power cut, but for the index, which is written a moment later.
    wait_until(lambda: indexed_records(edge) == len(sent), "the index knows it all")
    edge.kill()
    path = max(segments(edge), key=lambda segment: segment.stat().st_mtime)
    data = bytearray(path.read_bytes())
    position = data.index(sent[2500]) + 100
    overwrite(path, position, bytes([data[position] ^ 1]))
    edge.arguments = [a if a != "false" else "true" for a in map(str, edge.arguments)]
    edge.start()
    send(edge.bootstrap, "field.bit", [b"end"])
    read = []

    def arrived():
        read[:] = values(consume(cloud.bootstrap, "field.bit", len(sent) + 1, 3))
        return read[-1:] == [b"end"]

    wait_until(arrived, "the last record reaches the cloud", 60)
    assert len(sent) + 1 - len(read) <= 50, "more than the batch around the bit is gone"
    assert sent[2500] not in read


def test_verify_tells_and_salvage_gets_out_the_rest(launch, directory_store, tmp_path):
    """vector #20561 (`validate` passes while the buffer is corrupt) and #19154 (no fsck: gigabytes are deleted instead)."""
    edge = launch(Edge, ["--uplink-enabled", "false"], extra=SMALL_SEGMENTS)
    send(edge.bootstrap, "field.verify", text(2000))
    edge.stop()
    assert cairn("wal", "verify", edge.data).returncode == 0
    overwrite(segments(edge)[1], 300_000, random.Random(1).randbytes(5000))
    told = cairn("wal", "verify", edge.data)
    assert told.returncode == 1 and "quarantined: segment 2" in told.stdout, told.stdout
    out = tmp_path / "salvaged"
    done = cairn("wal", "salvage", edge.data, "--to", out)
    assert out.exists(), done.stdout + done.stderr
    kept = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    found = sum(value in kept for value in text(2000))
    assert 1800 <= found < 2000, f"{found} of 2000 records, {done.stdout}"


@pytest.mark.parametrize("damage", ["gone", "zeros", "empty", "older"])
def test_an_index_that_is_lost_or_wrong_takes_nothing_back(launch, directory_store, damage):
    """mosquitto #2639 (databases full of zeros after power cuts), nats #2055 and #5412 (sequences begin at 0 again), raspberrypi/firmware #397."""
    edge = launch(Edge, ["--uplink-enabled", "false"])
    first = send(edge.bootstrap, "field.index", text(100, padding=50))
    indexes = [path for path in edge.data.rglob("*.sqlite*") if "groups" not in path.name]
    assert indexes
    older = {path: path.read_bytes() for path in indexes}
    second = send(edge.bootstrap, "field.index", text(100, start=100, padding=50))
    edge.kill()
    for path in indexes:
        if damage == "gone":
            path.unlink(missing_ok=True)
        elif damage == "older":
            path.write_bytes(older[path])
        elif path.exists():
            path.write_bytes(bytes(path.stat().st_size) if damage == "zeros" else b"")
    edge.start()
    third = send(edge.bootstrap, "field.index", text(100, start=200, padding=50))
    assert first + second + third == list(range(300))
    assert values(consume(edge.bootstrap, "field.index", 300, 30)) == text(300, padding=50)


def test_a_wrong_configuration_after_an_outage_costs_no_backlog(launch, directory_store):
    """fluent-bit #2246: a start with a bad configuration deleted the backlog."""
    cloud = launch(Cloud, directory_store)
    edge = launch(Edge, directory_store, cloud.announce, extra=["--uplink-enabled", "false"])
    send(edge.bootstrap, "field.config", text(500, padding=100))
    edge.stop()
    right = [str(argument) for argument in edge.arguments]
    for wrong in (["--lanes-standard-quota", "lots"], ["--no-such-setting", "1"], ["--lanes-names", "urgent"]):
        assert cairn(*right[1:], *wrong, seconds=10).returncode != 0
    # Other lanes than before: valid, and what the old ones hold still has to go.
    right = [argument if argument != "false" else "true" for argument in right]
    renamed = [argument for argument in right if not argument.startswith("--lanes-") and argument != "200ms"]
    edge.arguments = [*renamed, "--lanes-names", "urgent", "--lanes-names", "rest", "--lanes-rest-topics", "*"]
    edge.start()
    send(edge.bootstrap, "field.config", text(10, start=500, padding=100))
    edge.stop()
    edge.arguments = right
    edge.start()
    wait_until(lambda: len(consume(cloud.bootstrap, "field.config", 510, 3)) >= 500, "the backlog reaches the cloud", 60)
    read = values(consume(cloud.bootstrap, "field.config", 510, 3))
    assert [value for value in read if value in set(text(500, padding=100))] == text(500, padding=100)


def test_the_quota_holds_in_an_outage_and_space_comes_back_after_it(launch, directory_store, tmp_path):
    """greengrass log-manager PR 257 (the limit was enforced after an upload only), fluent-bit #7402 and #10494, mosquitto #2256 (never connects
    again once full), kura #2006 and iotedge #3981 (full although everything had been sent)."""
    from confluent_kafka import KafkaException, Producer
    cloud = launch(Cloud, directory_store)
    edge = launch(Edge, directory_store, cloud.announce, extra=[
        *SMALL_SEGMENTS, "--lanes-standard-quota", "8MiB", "--lanes-standard-retain", "0"])
    store = tmp_path / "store" / "sites"
    cloud.stop()
    store.parent.mkdir(exist_ok=True)
    store.write_bytes(b"in the way")  # a store that takes nothing
    producer = Producer({"bootstrap.servers": edge.bootstrap, "acks": "all", "linger.ms": 1, "message.timeout.ms": 4000, "log_level": 0})
    acked, refused = [], []
    for value in text(8000):
        put(producer, "field.quota", value=value, partition=0,
            on_delivery=lambda error, message: (refused if error else acked).append(message.value()))
        producer.poll(0)
    producer.flush(20)
    assert refused and acked, (len(acked), len(refused))
    used = sum(path.stat().st_size for path in segments(edge))
    assert used <= 9 << 20, used
    store.unlink()
    cloud.start()
    wait_until(lambda: len(consume(cloud.bootstrap, "field.quota", len(acked), 3)) >= len(acked), "all that was acked", 60)
    again = send(edge.bootstrap, "field.quota", text(3000, start=8000), 60)
    assert len(again) == 3000
    read = values(consume(cloud.bootstrap, "field.quota", len(acked) + 3000, 20))
    assert read[:len(acked)] == acked and read[len(acked):] == text(3000, start=8000)


def test_a_restart_sends_nothing_again_and_a_backlog_drains_by_itself(launch, directory_store, tmp_path):
    """telegraf #16500 (the whole disk buffer is sent again at each start), otel-contrib #48635 (the first hours of an outage are missing), nanomq #2423 (a
    backlog waits for the next publish)."""
    edge = launch(Edge, directory_store)  # nobody to announce to
    sent = text(400, padding=100)
    send(edge.bootstrap, "field.again", sent[:200])
    wait_until(lambda: store_objects(tmp_path), "an object")
    edge.stop()
    held = {path: path.stat().st_mtime_ns for path in store_objects(tmp_path)}
    for _ in range(3):
        edge.start()
        time.sleep(0.6)
        edge.kill()
    assert {path: path.stat().st_mtime_ns for path in store_objects(tmp_path)} == held
    edge.arguments = [*map(str, edge.arguments), "--uplink-enabled", "false"]
    edge.start()
    send(edge.bootstrap, "field.again", sent[200:])
    edge.kill()
    edge.arguments = edge.arguments[:-2]
    edge.start()  # and nothing more is produced
    cloud = launch(Cloud, directory_store)
    wait_until(lambda: values(consume(cloud.bootstrap, "field.again", 400, 3)) == sent, "all of it, in order", 60)


def test_a_base_that_sends_nothing_is_not_banned(launch, directory_store):
    """sparkfun RTK #175: a caster bans a base that connects and sends no data; #775: it never comes back after an outage."""
    edge = launch(Edge, directory_store, extra=["--uplink-enabled", "false", "--ntrip-mountpoints", "BASE:secret"])

    def connect():
        base = socket.create_connection(("127.0.0.1", edge.ntrip), timeout=10)
        base.sendall(b"SOURCE secret /BASE\r\nSource-Agent: NTRIP test\r\n\r\n")
        return base, base.recv(100)

    def accepted():
        base, answer = connect()
        if answer.startswith(b"ICY 200 OK"):
            return base
        base.close()  # the end of the one before has not been noticed yet
        return None

    for _ in range(5):
        wait_until(accepted, "a silent base is accepted again", 5).close()
    held = wait_until(accepted, "and again", 5)
    edge.kill()
    edge.start()
    wait_until(accepted, "after a restart of the gateway", 5).close()
    held.close()


def test_a_base_that_comes_back_takes_its_mountpoint_from_its_dead_connection(launch, directory_store):
    """BNC and casters on LTE: the base's address changes, the old connection stays half open, the base is told "taken"."""
    edge = launch(Edge, directory_store, extra=[
        "--uplink-enabled", "false", "--ntrip-mountpoints", "BASE:secret", "--ntrip-takeover", "3s", "--ntrip-record", "frame"])

    def login(password=b"secret"):
        base = socket.create_connection(("127.0.0.1", edge.ntrip), timeout=20)
        base.sendall(b"SOURCE " + password + b" /BASE\r\nSource-Agent: NTRIP test\r\n\r\n")
        return base, base.recv(200)

    sentence = b"$GNGGA,,,,,,0,,,,,,,,*78\r\n"
    old, answer = login()
    assert answer.startswith(b"ICY 200 OK")
    for _ in range(20):  # four seconds: longer than the takeover takes
        old.sendall(sentence)
        time.sleep(0.2)
        again, answer = login()
        assert answer == b"ERROR - Mount Point Taken or Invalid\r\n", "a source that sends was replaced"
        again.close()
    stranger, answer = login(b"wrong")
    assert answer == b"ERROR - Bad Password\r\n"

    def returned():
        base, answer = login()
        return base if answer.startswith(b"ICY 200 OK") else base.close()

    new = wait_until(returned, "the mountpoint of the silent source is given to the new one", 20)
    assert old.recv(100) == b"", "the old connection is closed"
    new.sendall(sentence * 5)
    assert len(values(consume(edge.bootstrap, "gnss.rtcm", 25, 20))) == 25, "of both connections, all of it"
    metrics = urllib.request.urlopen(f"http://127.0.0.1:{edge.http}/metrics", timeout=10).read().decode()
    assert 'cairn_intake_takeovers_total{listener="ntrip"} 1' in metrics
    assert edge.output().count("a source takes the mountpoint of one that has fallen silent") == 1
    for connection in (old, new, stranger):
        connection.close()


def test_a_store_that_is_not_there_at_start_is_waited_for(launch, directory_store):
    """ELT_RTKBase #14 and mosquitto #3472: what starts before the network never connects, and a person pulls the plug."""
    port = free_port()
    cloud_port = free_port()
    edge = launch(Edge, [
        "--store-url", "s3://cairn-test", "--store-endpoint", f"http://127.0.0.1:{port}", "--store-path-style", "true",
        "--store-access-key", "a", "--store-secret-key", "b"], f"http://127.0.0.1:{cloud_port}")
    assert len(send(edge.bootstrap, "field.later", text(50, padding=50))) == 50
    assert accepts(edge.http) and edge.running
    shown = cairn("status", "--url", f"http://127.0.0.1:{edge.http}", "--json")
    assert '"backlogBytes"' in shown.stdout, shown.stderr
    assert Path(edge.data).exists()
