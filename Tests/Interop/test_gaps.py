"""A gateway with a small quota and no store: what it gives up is shown by the cloud, and adds up with a consumer."""

import json
import time

from conftest import Cloud, Edge, SeaweedFS, cairn, consume, wait_until

BATCH = 200
VALUE = b"x" * 1000


def produce(edge, topic, count, first=0):
    """`count` records that the gateway has acknowledged; the value begins with the number."""
    from confluent_kafka import Producer
    acked = []
    producer = Producer({
        "bootstrap.servers": edge.bootstrap, "enable.idempotence": True, "linger.ms": 5, "batch.num.messages": BATCH})
    for number in range(first, first + count):
        producer.produce(topic, b"%d:" % number + VALUE, partition=0,
                         on_delivery=lambda error, message: acked.append(error))
        if number % 1000 == 0:
            producer.flush(30)
    assert producer.flush(60) == 0
    assert all(error is None for error in acked), acked[:3]
    return len(acked)


def test_what_a_full_lane_gives_up_is_told_and_adds_up(launch):
    """fluent-bit #7402 (want drop oldest), greengrass log-manager PR 257 (limit only after an upload), P32 (first hours missing)."""
    weed = launch(SeaweedFS)
    edge = launch(Edge, weed.settings(), extra=[
        "--lanes-names", "telemetry,critical,standard,bulk", "--lanes-telemetry-topics", "sensor.*", "--lanes-telemetry-quota", "8MiB",
        "--lanes-telemetry-full", "drop-oldest", "--lanes-telemetry-retain", "0B",
        "--lanes-telemetry-flush", "200ms"])
    weed.kill()
    total = produce(edge, "sensor.gaps", 24_000)
    assert total == 24_000
    weed.start()
    total += produce(edge, "sensor.gaps", 100, first=total)
    cloud = launch(Cloud, weed.settings())

    def report(*more):
        done = cairn("gaps", "--cloud", cloud.announce, "--json", *more)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["lanes"]

    lanes = wait_until(report, "gaps at the cloud", 90)
    gone = sum(t["records"] for lane in lanes for t in lane["totals"])
    assert lanes[0]["lane"] == "telemetry" and lanes[0]["totals"][0]["reason"] == "quota-bytes"
    messages = consume(cloud.bootstrap, "sensor.gaps", total - gone, 90)
    time.sleep(1)
    lanes = report()
    gone = sum(t["records"] for lane in lanes for t in lane["totals"])
    assert len(messages) + gone == total
    numbers = [int(message.value().split(b":")[0]) for message in messages]
    assert numbers == sorted(set(numbers))
    missing = set()
    for gap in lanes[0]["gaps"]:
        for part in gap["partitions"]:
            lost = range(part["firstLocalOffset"], part["lastLocalOffset"] + 1)
            assert len(lost) == part["records"]
            missing |= set(lost)
            # Cloud offsets are dense: the record at this offset is the first one behind the gap.
            assert numbers[part["cloudOffset"]] == part["lastLocalOffset"] + 1
    assert missing == set(range(total)) - set(numbers)
    assert report("--site", "nobody") == []
    table = cairn("gaps", "--cloud", cloud.announce).stdout
    assert "TEST01/telemetry: quota-bytes:" in table and "sensor.gaps-0 before offset" in table, table
    print(table)


def test_lane_settings_are_checked(tmp_path):
    def check(text):
        file = tmp_path / "edge.yaml"
        file.write_text("site: A\ndata-dir: /tmp/a\nstore:\n  url: dir:/tmp/b\n" + text)
        return cairn("config", "check", "edge", file)

    assert check("lanes:\n  names: [fast, slow]\n  fast:\n    topics: [gnss.*]\n  slow:\n    topics: ['*']\n").returncode == 0
    twice = check("lanes:\n  names: [fast, slow]\n  fast:\n    topics: ['*']\n  slow:\n    topics: ['*']\n")
    assert twice.returncode == 78 and "can never match: lane fast has it" in twice.stderr, twice.stderr
    unknown = check("lanes:\n  names: [fast]\n  fast:\n    topics: ['*']\n  bulk:\n    topics: [a]\n")
    assert unknown.returncode == 78 and "lanes.bulk.topics" in unknown.stderr, unknown.stderr
    age = check("lanes:\n  bulk:\n    max-age: 1d\n")
    assert age.returncode == 78 and "needs full: drop-oldest" in age.stderr, age.stderr
