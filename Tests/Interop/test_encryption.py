"""Encryption at rest, as an operator switches it on: keys by command, a gateway that seals, a cloud node that opens."""

import os
import shutil
import subprocess
import time

from conftest import Cloud, Edge, cairn, consume, wait_until
from load import AccountedProducer, assert_exactly_once_in_order
from test_clients import produce_confluent
from test_command import count

MARK = b"sealed-or-not"


def keys(path, *names):
    for index, name in enumerate(names):
        done = cairn("key", "new" if index == 0 else "rotate", path, "--id", name)
        assert done.returncode == 0, done.stderr
    return path


def produce(bootstrap, topic, first, number):
    from confluent_kafka import Producer
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "compression.type": "none"})
    for index in range(first, first + number):
        producer.produce(topic, MARK + b" %d" % index)
    assert producer.flush(20) == 0


def values(bootstrap, topic, number):
    return [m.value() for m in consume(bootstrap, topic, number)]


def expected(number):
    return [MARK + b" %d" % index for index in range(number)]


def stored(directory):
    return [p for p in directory.rglob("*") if p.is_file() and ".cairn" not in p.parts]


def plain_text(paths):
    return [p for p in paths if MARK in p.read_bytes()]


def usage(path, store):
    """Objects in the store by the name of their key."""
    done = cairn("key", "usage", path, *store)
    assert done.returncode == 0, done.stderr
    return {line.split(" objects: ")[1]: int(line.split(" objects: ")[0]) for line in done.stdout.splitlines()}


def test_sealed_objects_go_from_the_gateway_to_consumers_and_no_plain_text_is_in_the_store(launch, tmp_path):
    objects = tmp_path / "objects"
    store = ["--store-url", f"dir:{objects}"]
    site, cloud_keys = keys(tmp_path / "site.key", "site-1"), keys(tmp_path / "cloud.keys", "cloud-1")
    cloud = launch(Cloud, store, extra=["--encryption-key-file", cloud_keys])
    edge = launch(Edge, store, cloud.announce, extra=["--encryption-key-file", site])
    produce(edge.bootstrap, "t", 0, 500)

    # The cloud has no key of the site yet: it says so, by the key's name, and nothing is lost.
    wait_until(lambda: "sealed with key site-1, which is not in the key file" in cloud.output(), "the reason")
    health = subprocess.run(["curl", "-s", f"http://127.0.0.1:{cloud.http}/health"], capture_output=True, text=True)
    assert "sealed with key site-1" in health.stdout
    added = cairn("key", "add", cloud_keys, site)
    assert added.returncode == 0 and "1 keys added, 2 in all" in added.stdout
    wait_until(lambda: count(cloud.bootstrap, "t") >= 500, "adopted with the key, without a restart", 60)
    assert values(cloud.bootstrap, "t", 500) == expected(500)

    # What clients produce at the cloud node is sealed with the first of its own keys.
    produce(cloud.bootstrap, "direct", 0, 100)
    assert values(cloud.bootstrap, "direct", 100) == expected(100)
    assert stored(objects) and not plain_text(stored(objects))

    # A rotation while everything runs: old objects are read, new ones have the new key.
    rotated = cairn("key", "rotate", site, "--id", "site-2")
    assert rotated.returncode == 0, rotated.stderr
    assert cairn("key", "add", cloud_keys, site).returncode == 0
    wait_until(lambda: edge.running and _rotated(edge, cloud, cloud_keys, store), "objects of the new key", 60)
    found = usage(cloud_keys, store)
    assert found["cloud-1"] > 0 and found["site-1"] > 0 and found["site-2"] > 0, found
    kept = cairn("key", "drop", cloud_keys, "site-1", *store)
    assert kept.returncode != 0 and "are sealed with it; it stays" in kept.stderr

    # Restarted, with nothing in memory, all is read again.
    cloud.stop()
    cloud.start()
    number = count(cloud.bootstrap, "t")
    assert values(cloud.bootstrap, "t", number)[:500] == expected(500)
    assert not plain_text(stored(objects))


def _rotated(edge, cloud, cloud_keys, store):
    produce(edge.bootstrap, "t", 500, 1)
    return usage(cloud_keys, store)["site-2"] > 0


def test_sealing_is_switched_on_and_off_and_kill_9_in_between_loses_and_doubles_nothing(launch, tmp_path):
    objects = tmp_path / "objects"
    store = ["--store-url", f"dir:{objects}"]
    site = keys(tmp_path / "site.key", "site-1")
    cloud = launch(Cloud, store, extra=["--encryption-key-file", site, "--encryption-objects", "false"])
    edge = launch(Edge, store, cloud.announce)
    written = 0
    for extra in ([], ["--encryption-key-file", site], ["--encryption-key-file", site, "--encryption-objects", "false"],
                  ["--encryption-key-file", site]):
        arguments = list(edge.arguments)
        edge.kill()
        edge.arguments = arguments[:arguments.index("--encryption-key-file")] \
            if "--encryption-key-file" in arguments else arguments
        edge.arguments += [str(e) for e in extra]
        edge.start()
        for _ in range(3):
            produce(edge.bootstrap, "t", written, 200)
            written += 200
        wait_until(lambda: count(cloud.bootstrap, "t") >= written - 400, "some arrives", 60)
    wait_until(lambda: count(cloud.bootstrap, "t") >= written, "all arrives", 60)
    assert values(cloud.bootstrap, "t", written) == expected(written)
    found = usage(site, store)
    assert found["site-1"] > 0 and found["not sealed"] > 0, found


def test_key_files_are_checked_before_anything_is_written(tmp_path):
    path = keys(tmp_path / "site.key", "a")
    assert os.stat(path).st_mode & 0o777 == 0o600
    again = cairn("key", "new", path)
    assert again.returncode != 0 and "there is one already" in again.stderr
    rotated = cairn("key", "rotate", path, "--id", "b")
    assert rotated.returncode == 0 and "key b seals from now on, 1 older open" in rotated.stdout
    listed = cairn("key", "list", path).stdout.splitlines()
    assert listed[0].startswith("b  fingerprint ") and listed[0].endswith("seals and opens")
    assert listed[1].startswith("a  fingerprint ") and listed[1].endswith("  opens")
    assert not any(line.split()[1] in "".join(listed) for line in path.read_text().splitlines())
    first = cairn("key", "drop", path, "b", "--unchecked")
    assert first.returncode == 64 and "is the key that seals" in first.stderr
    assert cairn("key", "drop", path, "a", "--unchecked").returncode == 0
    printed = cairn("key", "new", "--id", "c")
    assert printed.stdout.startswith("c ") and len(printed.stdout.split()[1]) == 44

    start = ["edge", "--site", "S", "--data-dir", tmp_path / "edge", "--store-url", f"dir:{tmp_path}/o"]
    missing = cairn(*start, "--encryption-key-file", tmp_path / "none")
    assert missing.returncode == 78 and "encryption.key-file" in missing.stderr
    os.chmod(path, 0o644)
    exposed = cairn(*start, "--encryption-key-file", path)
    assert exposed.returncode == 78 and "others may read it (mode 644)" in exposed.stderr
    unset = cairn(*start, "--encryption-key-file", "credential:site.key")
    assert unset.returncode == 78 and "LoadCredential=" in unset.stderr
    assert not (tmp_path / "edge").exists()


def test_a_systemd_credential_is_a_key_file(launch, tmp_path):
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    path = keys(credentials / "site.key", "a")
    os.chmod(path, 0o440)  # As systemd's ACL for the service's user shows.
    objects = tmp_path / "objects"
    edge = Edge(tmp_path, ["--store-url", f"dir:{objects}"], extra=["--encryption-key-file", "credential:site.key"])
    edge.environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    edge.start()
    try:
        produce_confluent(edge.bootstrap, "t", 10)
        wait_until(lambda: [p for p in stored(objects) if "sites" in p.parts], "an object")
        assert all(p.read_bytes().startswith(b"CAIRNSEA") for p in stored(objects) if "sites" in p.parts)
    finally:
        edge.kill()


# MARK: The log


def segments(data):
    return sorted(data.rglob("*.seg"))


def is_sealed(segment):
    """Bit 0 of the features that must be understood."""
    return segment.read_bytes()[56] & 1 == 1


def log_needs(path, data, store):
    done = cairn("key", "usage", path, *store, "--data-dir", data)
    assert done.returncode == 0, done.stderr
    lines = [line.split(" segments: ") for line in done.stdout.splitlines() if " segments: " in line]
    return {name: int(number) for number, name in lines}


def test_a_log_is_sealed_and_kill_9_switching_and_rotation_lose_nothing(launch, tmp_path):
    objects = tmp_path / "objects"
    store = ["--store-url", f"dir:{objects}"]
    site = keys(tmp_path / "site.key", "site-1")
    cloud = launch(Cloud, store, extra=["--encryption-key-file", site])
    edge = launch(Edge, store, cloud.announce, extra=["--kafka-partitions", "2", "--encryption-key-file", site])
    producer = AccountedProducer(edge.bootstrap, "sensor.sealed", partitions=2).start()
    for number in range(12):
        time.sleep(0.15)
        edge.kill()
        # On, off and on again: plain and sealed segments in one lane.
        if number in (4, 8):
            edge.arguments += ["--encryption-log", "false"] if number == 4 else []
            edge.arguments = edge.arguments[:-2] if number == 8 else edge.arguments
        if number == 9:
            assert cairn("key", "rotate", site, "--id", "site-2").returncode == 0
        edge.start()
    sent = producer.finish(60)
    messages = consume(cloud.bootstrap, "sensor.sealed", sum(sent), 60)
    assert_exactly_once_in_order(messages, sent)
    edge.stop()
    verified = cairn("wal", "verify", edge.data, "--key-file", site)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "site-2" in log_needs(site, edge.data, store)


def test_no_plain_text_is_in_the_log_and_local_readers_read_it(launch, tmp_path):
    site = keys(tmp_path / "site.key", "site-1")
    edge = launch(Edge, ["--store-url", f"dir:{tmp_path}/objects"], extra=[
        "--uplink-enabled", "false", "--encryption-key-file", site])
    produce(edge.bootstrap, "t", 0, 2000)
    assert values(edge.bootstrap, "t", 2000) == expected(2000)
    everything = [p for p in edge.data.rglob("*") if p.is_file()]
    assert segments(edge.data) and all(is_sealed(s) for s in segments(edge.data))
    assert plain_text(everything) == []
    edge.kill()
    assert plain_text(everything) == []
    for index in edge.data.rglob("index.sqlite*"):
        index.unlink()
    edge.start()
    wait_until(lambda: values(edge.bootstrap, "t", 2000) == expected(2000), "read again, the index made anew")
    assert plain_text([p for p in edge.data.rglob("*") if p.is_file()]) == []


def test_a_lost_key_does_not_stop_the_start_and_the_data_is_back_with_it(launch, tmp_path):
    objects = tmp_path / "objects"
    store = ["--store-url", f"dir:{objects}"]
    first, second = keys(tmp_path / "first.key", "site-1"), keys(tmp_path / "second.key", "site-2")
    both = tmp_path / "cloud.keys"
    shutil.copy(first, both)
    assert cairn("key", "add", both, second).returncode == 0
    cloud = launch(Cloud, store, extra=["--encryption-key-file", both])
    site = tmp_path / "site.key"
    shutil.copy(first, site)
    edge = launch(Edge, store, cloud.announce, extra=["--encryption-key-file", site, "--uplink-enabled", "false"])
    produce(edge.bootstrap, "t", 0, 300)
    edge.kill()

    shutil.copy(second, site)
    before = {p: p.read_bytes() for p in (edge.data / "lanes" / "standard").iterdir()}
    edge.arguments = edge.arguments[:edge.arguments.index("--uplink-enabled")] + ["--uplink-announce", cloud.announce]
    edge.start()
    assert "sealed with key site-1, which is not in the key file" in edge.output()
    assert (edge.data / "lanes" / "standard-v1").is_dir()
    health = subprocess.run(["curl", "-s", f"http://127.0.0.1:{edge.http}/health"], capture_output=True, text=True)
    assert "sealed with key site-1" in health.stdout and "encryption.key-file" in health.stdout
    produce(edge.bootstrap, "u", 0, 200)
    wait_until(lambda: count(cloud.bootstrap, "u") >= 200, "what came meanwhile goes up", 60)
    assert {p: p.read_bytes() for p in (edge.data / "lanes" / "standard").iterdir()} == before

    # A key that segments need is not dropped, wherever they are.
    assert cairn("key", "add", site, first).returncode == 0
    needs = log_needs(site, edge.data, store)
    assert needs["site-1"] == 1 and needs["site-2"] >= 1, needs
    kept = cairn("key", "drop", site, "site-1", *store, "--data-dir", edge.data)
    assert kept.returncode != 0 and "segments of the log are sealed with it; it stays" in kept.stderr
    edge.stop()
    edge.start()
    wait_until(lambda: count(cloud.bootstrap, "t") >= 300, "what was sealed with the lost key goes up", 60)
    assert values(cloud.bootstrap, "t", 300) == expected(300)


def test_key_usage_counts_lanes_of_any_name(launch, tmp_path):
    store = ["--store-url", f"dir:{tmp_path}/objects"]
    site = keys(tmp_path / "site.key", "site-1")
    config = tmp_path / "edge.yaml"
    config.write_text(
        "lanes:\n  names: [field, rest]\n  field:\n    topics: [sensor.*]\n  rest:\n    topics: ['*']\n"
        f"store:\n  url: dir:{tmp_path}/objects\ndata-dir: {tmp_path}/edge\n")
    edge = Edge(tmp_path, store, extra=["--encryption-key-file", site, "--uplink-enabled", "false", "--config", config])
    edge.arguments = [a for i, a in enumerate(edge.arguments)
                      if not (a.startswith("--lanes-") or edge.arguments[i - 1].startswith("--lanes-"))]
    edge.start()
    try:
        produce_confluent(edge.bootstrap, "sensor.x", 5)
        produce_confluent(edge.bootstrap, "y", 5)
    finally:
        edge.kill()
    done = cairn("key", "usage", site, "--config", config)
    assert done.returncode == 0 and "2 segments: site-1" in done.stdout, done.stdout + done.stderr
    assert cairn("key", "rotate", site, "--id", "site-2").returncode == 0
    kept = cairn("key", "drop", site, "site-1", "--config", config)
    assert kept.returncode != 0 and "2 segments of the log" in kept.stderr
    blind = cairn("key", "drop", site, "site-1", *store)
    assert blind.returncode == 64 and "no data-dir is named" in blind.stderr


def test_wal_commands_on_a_sealed_log_with_and_without_the_key(launch, tmp_path):
    site, other = keys(tmp_path / "site.key", "site-1"), keys(tmp_path / "other.key", "other")
    edge = launch(Edge, ["--store-url", f"dir:{tmp_path}/objects"], extra=[
        "--uplink-enabled", "false", "--encryption-key-file", site])
    produce(edge.bootstrap, "t", 0, 500)
    edge.kill()
    lane = edge.data / "lanes" / "standard"
    for key in ([], ["--key-file", other]):
        verified = cairn("wal", "verify", lane, *key)
        assert verified.returncode == 2 and "sealed with key site-1" in verified.stdout
    inspected = cairn("wal", "inspect", lane, "--key-file", site)
    assert inspected.returncode == 0 and "sealed with key site-1" in inspected.stdout and "t 0: offsets 0 to 500" in inspected.stdout
    refused = cairn("wal", "rebuild-index", lane)
    assert refused.returncode != 0 and "nothing has been touched" in refused.stderr
    assert cairn("wal", "rebuild-index", lane, "--key-file", site).returncode == 0
    saved = cairn("wal", "salvage", edge.data, "--to", tmp_path / "saved", "--key-file", site)
    assert saved.returncode == 0, saved.stdout + saved.stderr
    assert plain_text([p for p in (tmp_path / "saved").rglob("*") if p.is_file()]) == []
    edge.arguments = [str(tmp_path / "saved") if a == str(edge.data) else a for a in map(str, edge.arguments)]
    edge.start()
    assert values(edge.bootstrap, "t", 500) == expected(500)


def test_a_cloud_nodes_log_is_sealed_and_adopted_with_the_key_only(launch, tmp_path):
    objects = tmp_path / "objects"
    store = ["--store-url", f"dir:{objects}"]
    site = keys(tmp_path / "cloud.keys", "cloud-1")
    other = keys(tmp_path / "other.keys", "other")
    cloud = launch(Cloud, store, extra=[
        "--encryption-key-file", site, "--produce-ack", "wal", "--wal-upload-interval", "60s"])
    produce(cloud.bootstrap, "t", 0, 500)
    volume = cloud.data / "wal"
    assert segments(volume) and all(is_sealed(s) for s in segments(volume))
    assert plain_text([p for p in volume.rglob("*") if p.is_file()]) == []
    cloud.kill()
    cloud.start()
    assert values(cloud.bootstrap, "t", 500) == expected(500)
    cloud.kill()

    # Without its key the node starts, with a volume beside, and says what it lacks.
    before = {p: p.read_bytes() for p in (volume / "log").iterdir()}
    arguments = list(cloud.arguments)
    cloud.arguments[cloud.arguments.index(str(site))] = str(other)
    cloud.start()
    health = subprocess.run(["curl", "-s", f"http://127.0.0.1:{cloud.http}/health"], capture_output=True, text=True)
    assert "sealed with key cloud-1" in health.stdout
    produce(cloud.bootstrap, "u", 0, 10)
    cloud.kill()
    assert {p: p.read_bytes() for p in (volume / "log").iterdir()} == before
    adopt = ["cloud", "adopt-wal", volume, "--data-dir", cloud.data, *store]
    refused = cairn(*adopt, "--encryption-key-file", other)
    assert refused.returncode == 69 and "sealed with key cloud-1" in refused.stderr and "nothing has been touched" in refused.stderr
    adopted = cairn(*adopt, "--encryption-key-file", site)
    assert adopted.returncode == 0 and "brought into objects" in adopted.stdout, adopted.stderr
    assert cairn("key", "add", site, other).returncode == 0
    cloud.arguments = arguments
    shutil.rmtree(volume / "log")
    cloud.start()
    assert values(cloud.bootstrap, "t", 500) == expected(500)
