"""Unchanged Kafka clients against both roles."""

import threading
import time

import pytest
from conftest import Cloud, Edge, consume, kcat, wait_until


def produce_confluent(bootstrap, topic, count, **settings):
    from confluent_kafka import Producer
    failures = []
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, **settings})
    for number in range(count):
        producer.produce(topic, key=f"k{number % 7}", value=f"v{number}",
                         callback=lambda error, _: failures.append(error) if error else None)
        producer.poll(0)
    assert producer.flush(30) == 0
    assert failures == []


@pytest.fixture
def cloud(launch, directory_store):
    return launch(Cloud, directory_store)


@pytest.fixture
def edge(launch, directory_store):
    return launch(Edge, directory_store)


@pytest.mark.parametrize("role", ["edge", "cloud"])
def test_kcat_produces_and_reads_back(request, role):
    node = request.getfixturevalue(role)
    lines = [f"line-{n}" for n in range(500)]
    kcat("-P", "-b", node.bootstrap, "-t", "notes", "-X", "acks=all", data="\n".join(lines).encode())
    read = kcat("-C", "-b", node.bootstrap, "-t", "notes", "-o", "beginning", "-e", "-q").decode().split()
    assert read == lines


@pytest.mark.parametrize("role", ["edge", "cloud"])
@pytest.mark.parametrize("settings", [
    {"acks": "all"}, {"acks": "1"}, {"enable.idempotence": True},
    {"compression.type": "zstd"}, {"compression.type": "gzip"}, {"compression.type": "lz4"}],
    ids=lambda s: "-".join(f"{k}={v}" for k, v in s.items()))
def test_confluent_kafka_produces_with_every_setting(request, role, settings):
    node = request.getfixturevalue(role)
    produce_confluent(node.bootstrap, "settings", 2000, **settings)
    values = [m.value().decode() for m in consume(node.bootstrap, "settings", 2000)]
    assert values == [f"v{n}" for n in range(2000)]


@pytest.mark.parametrize("role", ["edge", "cloud"])
def test_kafka_python_produces_and_reads(request, role):
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition
    node = request.getfixturevalue(role)
    producer = KafkaProducer(bootstrap_servers=node.bootstrap, acks="all", linger_ms=5)
    futures = [producer.send("python", key=b"k", value=b"v%d" % n, headers=[("h", b"1")]) for n in range(300)]
    assert [f.get(timeout=30).offset for f in futures] == list(range(300))
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=node.bootstrap, consumer_timeout_ms=5000,
                             enable_auto_commit=False, auto_offset_reset="earliest")
    partition = TopicPartition("python", 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    found = []
    for record in consumer:
        found.append(record)
        if len(found) == 300:
            break
    assert [r.value for r in found] == [b"v%d" % n for n in range(300)]
    assert found[0].headers == [("h", b"1")]
    middle = found[150]
    by_time = consumer.offsets_for_times({partition: middle.timestamp})[partition]
    assert by_time.offset <= 150 and by_time.timestamp == middle.timestamp
    assert consumer.end_offsets([partition]) == {partition: 300}
    consumer.close()


def test_a_group_of_confluent_consumers_shares_a_topic_and_goes_on_after_a_restart_of_the_node(cloud):
    from confluent_kafka import Consumer
    from confluent_kafka.admin import AdminClient, NewTopic
    admin = AdminClient({"bootstrap.servers": cloud.bootstrap})
    admin.create_topics([NewTopic("work", num_partitions=6, replication_factor=1)])["work"].result(20)
    assert len(admin.list_topics(timeout=10).topics["work"].partitions) == 6

    seen, lock = [], threading.Lock()
    stop = threading.Event()

    def member():
        consumer = Consumer({
            "bootstrap.servers": cloud.bootstrap, "group.id": "workers", "auto.offset.reset": "earliest",
            "enable.auto.commit": False, "session.timeout.ms": 6000})
        consumer.subscribe(["work"])
        while not stop.is_set():
            message = consumer.poll(0.2)
            if message is None or message.error():
                continue
            with lock:
                seen.append((message.partition(), message.offset(), message.value()))
            consumer.commit(message, asynchronous=False)
        consumer.close()

    members = [threading.Thread(target=member) for _ in range(2)]
    for thread in members:
        thread.start()
    produce_confluent(cloud.bootstrap, "work", 600)
    wait_until(lambda: len({s[2] for s in seen}) == 600, "the group read everything", 60)
    stop.set()
    for thread in members:
        thread.join(30)
    assert len({(s[0], s[1]) for s in seen}) == 600

    cloud.kill()
    cloud.start()
    produce_confluent(cloud.bootstrap, "work", 60)
    again = Consumer({"bootstrap.servers": cloud.bootstrap, "group.id": "workers", "auto.offset.reset": "earliest",
                      "enable.auto.commit": False})
    again.subscribe(["work"])
    after = []
    deadline = time.monotonic() + 40
    while len(after) < 60 and time.monotonic() < deadline:
        message = again.poll(0.5)
        if message is not None and not message.error():
            after.append((message.partition(), message.offset()))
    again.close()
    assert len(after) == 60
    assert not set(after) & {(s[0], s[1]) for s in seen}


def test_kafka_python_group_and_admin(cloud):
    from kafka import KafkaConsumer, KafkaProducer
    from kafka.admin import KafkaAdminClient, NewTopic
    admin = KafkaAdminClient(bootstrap_servers=cloud.bootstrap)
    admin.create_topics([NewTopic("pairs", 2, 1)])
    producer = KafkaProducer(bootstrap_servers=cloud.bootstrap, acks="all")
    for number in range(100):
        producer.send("pairs", key=b"%d" % number, value=b"%d" % number)
    producer.flush(30)
    producer.close()
    consumer = KafkaConsumer("pairs", bootstrap_servers=cloud.bootstrap, group_id="g", auto_offset_reset="earliest",
                             consumer_timeout_ms=15000)
    values = set()
    for record in consumer:
        values.add(int(record.value))
        if len(values) == 100:
            break
    consumer.commit()
    consumer.close()
    assert values == set(range(100))
    admin.delete_topics(["pairs"])
    wait_until(lambda: "pairs" not in admin.list_topics(), "topic deleted")
    admin.close()


def test_records_produced_at_the_gateway_are_consumed_in_the_cloud(launch, directory_store):
    cloud = launch(Cloud, directory_store)
    edge = launch(Edge, directory_store, cloud.announce)
    produce_confluent(edge.bootstrap, "sensor.temperature", 5000, **{"enable.idempotence": True})
    produce_confluent(edge.bootstrap, "logs.app", 1000, **{"compression.type": "zstd"})
    values = [m.value().decode() for m in consume(cloud.bootstrap, "sensor.temperature", 5000)]
    assert values == [f"v{n}" for n in range(5000)]
    found = consume(cloud.bootstrap, "logs.app", 1000)
    assert [m.value().decode() for m in found] == [f"v{n}" for n in range(1000)]
    assert [m.offset() for m in found] == list(range(1000))
