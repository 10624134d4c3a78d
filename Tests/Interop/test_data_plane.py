"""Codecs, timestamps, limits, deletion, offsets by time and acks, by unchanged clients and by the bytes stored."""

import asyncio
import itertools
import time

import pytest
from clients import CLIENTS, produce, read
from conftest import Cloud
from protocol import Connection, batch, batches, now_ms

CODECS = ["gzip", "snappy", "lz4", "zstd"]


def content(name, count=200):
    return [b"%s %d " % (name.encode(), n) + b"the same again and again " * 4 for n in range(count)]


# Codecs


@pytest.mark.parametrize("codec", CODECS)
def test_every_client_reads_what_every_client_compressed(node, wire, topic, codec):
    wire.create(topic)
    wanted = []
    for client in CLIENTS:
        produce(client, node.bootstrap, topic, content(client), codec)
        wanted += content(client)
    found = batches(wire.fetch_one(topic).records)
    assert {b.codec for b in found} == {codec}
    for client in CLIENTS:
        assert read(client, node.bootstrap, topic) == wanted, client


@pytest.mark.parametrize("target,ack", [
    ("zstd", "object"), ("zstd", "wal"), ("gzip", "object"), ("snappy", "wal"), ("lz4", "object"),
    ("uncompressed", "wal"), ("producer", "object")])
def test_a_topic_has_its_own_codec(node, wire, topic, target, ack):
    wire.create(topic, compression_type=target, cairn_ack=ack)
    wanted, came = [], []
    for codec in ["none", *CODECS]:
        produce("confluent", node.bootstrap, topic, content(codec, 50), codec)
        wanted += content(codec, 50)
        came.append(codec)
    found = [b.codec for b in batches(wire.fetch_one(topic).records)]
    if target == "producer":
        assert sorted(set(found)) == sorted(set(came))
    else:
        assert set(found) == {"none" if target == "uncompressed" else target}
    for client in CLIENTS:
        assert read(client, node.bootstrap, topic) == wanted, client


def test_recompressed_batches_keep_producer_sequence_and_records(wire, topic):
    wire.create(topic, compression_type="zstd")
    producer = wire.init_producer()
    start = now_ms()
    for sequence in (0, 3):
        data = batch(content("x", 3), timestamps=[start, start + 5, start + 3], attributes=1,
                     producer_id=producer.producer_id, epoch=0, sequence=sequence)
        assert wire.produce(topic, data).base_offset == sequence
    assert wire.produce(topic, data).base_offset == 3, "a repeat of what was stored with another codec"
    found = batches(wire.fetch_one(topic).records)
    assert [(b.codec, b.base_offset, b.count, b.producer_id, b.epoch, b.sequence, b.max_timestamp) for b in found] == [
        ("zstd", s, 3, producer.producer_id, 0, s, start + 5) for s in (0, 3)]


# Timestamps and limits


@pytest.mark.parametrize("codec", ["none", "gzip"])
@pytest.mark.parametrize("ack", ["object", "wal"])
def test_log_append_time(node, wire, topic, codec, ack):
    wire.create(topic, message_timestamp_type="LogAppendTime", cairn_ack=ack)
    before = now_ms()
    answer = wire.produce(topic, batch([b"a", b"b"], timestamps=[1000, 2000], attributes=1 if codec == "gzip" else 0))
    after = now_ms()
    assert answer.error_code == 0
    appended = int(answer.log_append_time.timestamp() * 1000 + 0.5)
    assert before <= appended <= after
    found = batches(wire.fetch_one(topic).records)[0]
    assert found.attributes & 8 and found.max_timestamp == appended
    from clients import read_messages
    from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME
    assert [m.timestamp() for m in read_messages(node.bootstrap, topic, [0])] == [
        (TIMESTAMP_LOG_APPEND_TIME, appended)] * 2
    by_time = wire.offset(topic, appended)
    assert by_time.offset == 0
    assert wire.offset(topic, appended + 1).offset == -1
    assert wire.offset(topic, -3).offset == 0


def test_records_of_a_wrong_time_are_refused_and_named(wire, topic):
    wire.create(topic, message_timestamp_before_max_ms=60_000, message_timestamp_after_max_ms=60_000)
    now = now_ms()
    for attributes in (0, 1):
        for wrong in (now - 120_000, now + 120_000):
            answer = wire.produce(topic, batch([b"a", b"b", b"c"], timestamps=[now, wrong, now], attributes=attributes))
            assert answer.error_code == 32
            assert [e.batch_index for e in answer.record_errors] == [1]
        assert wire.produce(topic, batch([b"a"], timestamps=[now - 30_000], attributes=attributes)).error_code == 0
    free = topic + "-free"
    wire.create(free)
    assert wire.produce(free, batch([b"a"], timestamps=[1])).error_code == 0
    assert wire.produce(free, batch([b"a"], timestamps=[now + 7_200_000])).error_code == 32, "one hour is the default"


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_name_a_wrong_time(node, wire, topic, client):
    wire.create(topic, message_timestamp_before_max_ms=60_000)
    with pytest.raises(Exception) as raised:
        produce(client, node.bootstrap, topic, [b"x"], timestamp_ms=1000)
    assert "timestamp" in repr(raised.value).lower()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_batch_beyond_max_message_bytes(node, wire, topic, client):
    import os
    wire.create(topic, max_message_bytes=2000)
    assert wire.produce(topic, batch([os.urandom(3000)])).error_code == 10
    assert wire.produce(topic, batch([b"z" * 10_000], attributes=1)).error_code == 0, "it is the compressed size that counts"
    with pytest.raises(Exception) as raised:
        produce(client, node.bootstrap, topic, [os.urandom(3000)])
    assert "large" in repr(raised.value).lower()
    produce(client, node.bootstrap, topic, [b"small"])
    assert wire.offset(topic, -1).offset == 2


def test_keyless_records_do_not_go_into_a_compacted_topic(wire, topic):
    answer = wire.call("create_topics", 7, timeout=10_000, validate_only=False, topics=[{
        "name": topic, "num_partitions": 1, "replication_factor": 1,
        "configs": [{"name": "cleanup.policy", "value": "compact"}]}])
    if answer.topics[0].error_code == 40:
        pytest.skip("cleanup.policy=compact is not served yet")
    answer = wire.produce(topic, batch([b"a", b"b", b"c"], keys=[b"k", None, b"k"]))
    assert (answer.error_code, [e.batch_index for e in answer.record_errors]) == (87, [1])
    assert wire.produce(topic, batch([b"a", None], keys=[b"k", b"k"])).error_code == 0


# DeleteRecords


@pytest.mark.parametrize("ack", ["object", "wal"])
def test_delete_records_by_the_admin_client(node, wire, topic, ack):
    from confluent_kafka import Consumer, KafkaError, TopicPartition
    from confluent_kafka.admin import AdminClient
    wire.create(topic, cairn_ack=ack)
    produce("confluent", node.bootstrap, topic, content("x", 100))
    admin = AdminClient({"bootstrap.servers": node.bootstrap})
    place = TopicPartition(topic, 0, 40)
    assert admin.delete_records([place])[TopicPartition(topic, 0)].result(20).low_watermark == 40
    assert read("confluent", node.bootstrap, topic, offset=40) == content("x", 100)[40:]
    consumer = Consumer({"bootstrap.servers": node.bootstrap, "group.id": "x", "auto.offset.reset": "error"})
    assert consumer.get_watermark_offsets(place, timeout=10) == (40, 100)
    consumer.assign([TopicPartition(topic, 0, 10)])
    message = consumer.poll(10)
    assert message.error() and message.error().code() == KafkaError._AUTO_OFFSET_RESET, message
    consumer.close()
    earliest = Consumer({"bootstrap.servers": node.bootstrap, "group.id": "x", "auto.offset.reset": "earliest"})
    earliest.assign([TopicPartition(topic, 0, 10)])
    assert earliest.poll(10).offset() == 40
    earliest.close()
    with pytest.raises(Exception):
        admin.delete_records([TopicPartition(topic, 0, 101)])[TopicPartition(topic, 0)].result(20)


def test_delete_records_by_kafka_python_to_the_end(node, wire, topic):
    from kafka import TopicPartition
    from kafka.admin import KafkaAdminClient
    wire.create(topic)
    produce("kafka-python", node.bootstrap, topic, content("x", 30))
    admin = KafkaAdminClient(bootstrap_servers=node.bootstrap)
    place = TopicPartition(topic, 0)
    assert admin.delete_records({place: 12})[place]["low_watermark"] == 12
    assert admin.delete_records({place: -1})[place]["low_watermark"] == 30
    admin.close()
    assert read("kafka-python", node.bootstrap, topic, offset=30) == []
    assert wire.produce(topic, batch([b"next"])).base_offset == 30
    assert wire.fetch_one(topic, 29).error_code == 1


def test_the_log_start_survives_a_kill(launch, directory_store):
    node = launch(Cloud, directory_store, extra=["--produce-interval", "20ms"])
    for ack in ("object", "wal"):
        with Connection(node.kafka) as wire:
            wire.create(ack, cairn_ack=ack)
            wire.produce(ack, batch([b"x"] * 10))
            answer = wire.call("delete_records", 2, timeout=10_000, topics=[
                {"name": ack, "partitions": [{"partition_index": 0, "offset": 7}]}])
            assert answer.topics[0].partitions[0].low_watermark == 7
    node.kill()
    node.start()
    with Connection(node.kafka) as wire:
        for ack in ("object", "wal"):
            assert (wire.offset(ack, -2).offset, wire.offset(ack, -1).offset) == (7, 10)
            assert wire.fetch_one(ack, 6).error_code == 1
    assert read("confluent", node.bootstrap, "wal", offset=7) == [b"x"] * 3


# Offsets by time


@pytest.mark.parametrize("ack", ["object", "wal"])
@pytest.mark.parametrize("codec", ["none", *CODECS])
def test_offsets_by_time_are_those_of_records(node, wire, topic, codec, ack):
    wire.create(topic, cairn_ack=ack)
    start = now_ms() - 100_000
    for batch_number in range(3):
        produce("kafka-python", node.bootstrap, topic, content(str(batch_number), 20), codec,
                timestamp_ms=start + batch_number * 1000)
    for number in (0, 1, 7, 19, 20, 33, 59):
        when = start + number // 20 * 1000 + number % 20
        found = wire.offset(topic, when)
        assert (found.offset, found.timestamp) == (number, when)
    assert (wire.offset(topic, start + 500).offset, wire.offset(topic, start + 500).timestamp) == (20, start + 1000)
    assert wire.offset(topic, start + 2020).offset == -1
    assert (wire.offset(topic, -3).offset, wire.offset(topic, -3).timestamp) == (59, start + 2019)
    assert (wire.offset(topic, -2).offset, wire.offset(topic, -1).offset) == (0, 60)
    from kafka import KafkaConsumer, TopicPartition
    consumer, place = KafkaConsumer(bootstrap_servers=node.bootstrap), TopicPartition(topic, 0)
    assert consumer.offsets_for_times({place: start + 1007})[place][:2] == (27, start + 1007)
    assert consumer.offsets_for_times({place: start + 9999})[place] is None
    assert (consumer.beginning_offsets([place]), consumer.end_offsets([place])) == ({place: 0}, {place: 60})
    consumer.close()


def test_offsets_by_time_skip_what_was_deleted(node, wire, topic):
    wire.create(topic)
    start = now_ms() - 100_000
    produce("confluent", node.bootstrap, topic, content("x", 20), timestamp_ms=start)
    answer = wire.call("delete_records", 2, timeout=10_000, topics=[
        {"name": topic, "partitions": [{"partition_index": 0, "offset": 5}]}])
    assert answer.topics[0].partitions[0].low_watermark == 5
    assert (wire.offset(topic, start).offset, wire.offset(topic, start).timestamp) == (5, start + 5)


# Acks and the rest


@pytest.mark.parametrize("ack", ["object", "wal"])
@pytest.mark.parametrize("acks", [0, 1, "all"])
@pytest.mark.parametrize("client", CLIENTS)
def test_every_acks_of_every_client(node, wire, topic, client, acks, ack):
    from conftest import wait_until
    wire.create(topic, cairn_ack=ack)
    wanted = content("x", 50)
    if client == "confluent":
        from confluent_kafka import Producer
        producer = Producer({"bootstrap.servers": node.bootstrap, "acks": acks})
        for value in wanted:
            producer.produce(topic, value, partition=0)
        assert producer.flush(20) == 0
    elif client == "kafka-python":
        from kafka import KafkaProducer
        producer = KafkaProducer(bootstrap_servers=node.bootstrap, acks=acks, enable_idempotence=False)
        for value in wanted:
            producer.send(topic, value, partition=0)
        producer.flush(20)
        producer.close(timeout=2)
    else:
        async def run():
            from aiokafka import AIOKafkaProducer
            producer = AIOKafkaProducer(bootstrap_servers=node.bootstrap, acks=acks)
            await producer.start()
            for value in wanted:
                await producer.send(topic, value, partition=0)
            await producer.stop()
        asyncio.run(run())
    wait_until(lambda: wire.offset(topic, -1).offset == 50, "all records are there", 10)
    assert read(client, node.bootstrap, topic) == wanted


def test_administrators_see_producers_and_transactions(node, wire, topic):
    """kafka-python's administration client; the other two have none of these requests."""
    from clients import KafkaPythonTransactions
    from kafka import TopicPartition
    from kafka.admin import KafkaAdminClient
    wire.create(topic)
    producer = KafkaPythonTransactions(node.bootstrap, topic)
    producer.init()
    producer.begin()
    producer.send(topic, [b"a", b"b"])
    producer.flush()
    admin = KafkaAdminClient(bootstrap_servers=node.bootstrap)
    shown = str(admin.list_transactions())
    assert topic in shown and "Ongoing" in shown
    assert "Ongoing" in str(admin.describe_transactions([topic]))
    active = str(admin.describe_producers([TopicPartition(topic, 0)]))
    assert "last_sequence=1" in active and f"topic='{topic}'" in active
    admin.close()
    producer.abort()
    producer.close()


def test_requests_in_flight_hide_the_time_of_an_upload(launch, directory_store):
    """In object mode an ack takes a round; five requests at a time must give several times the throughput of one."""
    node = launch(Cloud, directory_store, extra=["--produce-interval", "100ms"])

    def seconds(in_flight):
        topic = f"flight-{in_flight}"
        with Connection(node.kafka) as wire:
            wire.create(topic)
            producer = wire.init_producer()
            data = [batch([b"x" * 100], producer_id=producer.producer_id, epoch=0, sequence=n) for n in range(20)]
            started = time.monotonic()
            sent, got = [], []
            for one in data:
                if len(sent) - len(got) == in_flight:
                    got.append(wire.receive(sent[len(got)]))
                sent.append(wire.send("produce", 9, acks=-1, timeout=10_000, topic_data=[
                    {"name": topic, "partition_data": [{"index": 0, "records": one}]}]))
            got += [wire.receive(s) for s in sent[len(got):]]
            took = time.monotonic() - started
        offsets = [a.responses[0].partition_responses[0].base_offset for a in got]
        assert offsets == list(range(20))
        return took
    one, five = seconds(1), seconds(5)
    assert one / five > 3, f"20 requests took {one:.2f} s one at a time, {five:.2f} s five at a time"


def test_offsets_are_dense_whatever_is_mixed(node, wire, topic):
    """Codecs, ack modes of other topics, refused batches and repeats between: no offset is left out or given twice."""
    wire.create(topic, partitions=2)
    count = 0
    for number, (codec, client) in enumerate(itertools.product(CODECS, CLIENTS)):
        produce(client, node.bootstrap, topic, content(str(number), 7), codec)
        count += 7
        assert wire.produce(topic, batch([b"bad"], crc=1)).error_code == 2
    assert wire.offset(topic, -1).offset == count
    assert len(read("aiokafka", node.bootstrap, topic)) == count
    next_offset = 0
    for found in batches(wire.fetch_one(topic).records):
        assert found.base_offset == next_offset
        next_offset = found.last_offset + 1
    assert next_offset == count
