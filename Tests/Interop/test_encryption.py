"""Encryption at rest, as an operator switches it on: keys by command, a gateway that seals, a cloud node that opens."""

import os
import subprocess

from conftest import Cloud, Edge, cairn, consume, wait_until
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
