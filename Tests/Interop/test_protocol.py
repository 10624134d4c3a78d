"""What no Python client sends, byte by byte: transactions of KIP-890, versions, sessions, epochs and limits."""

import struct
import uuid

import pytest
from conftest import Cloud, wait_until
from protocol import (
    CONTROL, KEYS, LOG_APPEND_TIME, TRANSACTIONAL, Closed, Connection, batch, batches, now_ms)

ACKS = ["object", "wal"]


def transactional(values, producer, sequence=0, epoch=None, **more):
    return batch(values, attributes=TRANSACTIONAL, producer_id=producer.producer_id,
                 epoch=producer.producer_epoch if epoch is None else epoch, sequence=sequence, **more)


def end(wire, name, producer, committed, version=5, epoch=None):
    return wire.call("end_txn", version, transactional_id=name, producer_id=producer.producer_id,
                     producer_epoch=producer.producer_epoch if epoch is None else epoch, committed=committed)


def settled(wire, topic, **more):
    """The partition once no transaction is open in it."""
    def look():
        found = wire.fetch_one(topic, isolation=1, **more)
        return found if found.last_stable_offset == found.high_watermark else None
    return wait_until(look, "the transactions of the partition ended")


# ApiVersions


def test_api_versions_names_features_and_their_epoch(wire):
    answer = wire.call("api_versions", 4, client_software_name="hand", client_software_version="1.0")
    assert answer.error_code == 0 and answer.finalized_features_epoch >= 0
    finalized = {f.name: f.max_version_level for f in answer.finalized_features}
    assert finalized["transaction.version"] == 2
    older = wire.call("api_versions", 3, client_software_name="hand", client_software_version="1.0")
    assert all(f.min_version > 0 for f in older.supported_features), "KAFKA-17492: a minimum of 0 is for version 4"
    ranges = {a.api_key: (a.min_version, a.max_version) for a in answer.api_keys}
    assert ranges[KEYS["produce"]] == (0, 13)
    assert ranges[KEYS["init_producer_id"]] == (0, 5)
    for name in ("add_partitions_to_txn", "add_offsets_to_txn", "end_txn", "txn_offset_commit"):
        assert ranges[KEYS[name]][0] == 0, "old clients send version 0"


def test_api_versions_of_an_unknown_version_is_answered_in_version_0(node):
    with Connection(node.kafka) as wire:
        sent = wire.send_raw(KEYS["api_versions"], 99, b"", True)
        answer = wire.receive((sent[0], 0, sent[2]))
        assert answer.error_code == 35
        assert [(a.api_key, a.min_version) for a in answer.api_keys] == [(18, 0)]


def test_api_versions_refuses_a_client_name_that_is_none(wire):
    answer = wire.call("api_versions", 3, client_software_name="-bad-", client_software_version="1")
    assert answer.error_code == 42


@pytest.mark.parametrize("key,version", [(0, 2), (0, 14), (1, 3), (1, 19), (22, 6), (4, 0), (500, 0)])
def test_a_request_of_an_unknown_key_or_version_closes_the_connection(node, key, version):
    with Connection(node.kafka) as wire:
        wire.send_raw(key, version, b"\0" * 64, False)
        assert wire.is_closed()


# Produce


@pytest.mark.parametrize("version", range(3, 14))
def test_every_version_of_produce(wire, topic, version):
    name = wire.create(topic)
    name = name if version >= 13 else topic
    first = wire.produce(name, batch([b"a", b"b"]), version)
    second = wire.produce(name, batch([b"c"]), version, acks=1)
    assert (first.error_code, first.base_offset, second.base_offset) == (0, 0, 2)
    assert first.log_append_time is None
    if version >= 5:
        assert second.log_start_offset == 0
    found = batches(wire.fetch_one(topic).records)
    assert [(b.base_offset, b.count, b.leader_epoch) for b in found] == [(0, 2, 0), (2, 1, 0)]


def test_produce_to_what_is_not_there(wire, topic):
    assert wire.produce("no-such-topic-here", batch([b"x"])).error_code == 3
    assert wire.produce(uuid.uuid4(), batch([b"x"]), 13).error_code == 100
    wire.create(topic)
    assert wire.produce(topic, batch([b"x"]), partition=7).error_code == 3
    assert wire.produce(topic, batch([b"x"]), partition=-1).error_code == 3
    assert wire.produce(topic, batch([b"x"]), acks=2).error_code == 21


GOOD = batch([b"x"])


@pytest.mark.parametrize("data,code", [
    (b"", 87), (GOOD[:40], 87), (GOOD + GOOD, 87), (batch([b"x"], magic=1), 87),
    (batch([b"x"], crc=1), 2), (batch([b"x"], base_offset=5), 87), (batch([b"x"], count=2), 87),
    (batch([b"x"], count=0), 87), (batch([b"x"], attributes=CONTROL), 87), (batch([b"x"], attributes=LOG_APPEND_TIME), 32),
    (batch([b"x"], producer_id=7, epoch=0, sequence=-1), 87), (batch([b"x"], attributes=5), (76, 87, 2)),
    (batch([b"x" * 2_000_000]), 10)],
    ids=["nothing", "cut", "two", "magic", "crc", "base", "count", "empty", "control", "append-time", "sequence", "codec",
         "size"])
def test_a_batch_that_is_none_is_refused_and_the_connection_lives(wire, topic, data, code):
    wire.create(topic)
    assert wire.produce(topic, data).error_code in (code if isinstance(code, tuple) else (code,))
    assert wire.produce(topic, GOOD).base_offset == 0


def test_zstd_is_for_produce_7(wire, topic):
    import zstandard
    wire.create(topic)
    plain = batch([b"z" * 100])
    payload = zstandard.compress(plain[61:])
    import crc32c
    body = struct.pack(">h", 4) + plain[23:61] + payload
    data = plain[:8] + struct.pack(">iibI", len(body) + 9, 0, 2, crc32c.crc32c(body)) + body
    assert wire.produce(topic, data, 6).error_code == 76
    assert wire.produce(topic, data, 7).error_code == 0
    assert batches(wire.fetch_one(topic, version=10).records)[0].codec == "zstd"


def test_a_topic_of_zstd_is_for_fetch_10(wire, topic):
    wire.create(topic, compression_type="zstd")
    assert wire.produce(topic, batch([b"z" * 1000])).error_code == 0
    assert batches(wire.fetch_one(topic, version=10).records)[0].codec == "zstd"
    assert wire.fetch_one(topic, version=9).error_code == 76


def test_no_acks_no_answer_and_an_error_closes_the_connection(node, topic):
    with Connection(node.kafka) as wire:
        wire.create(topic)
        for number in range(3):
            wire.send("produce", 9, acks=0, timeout=1000, topic_data=[
                {"name": topic, "partition_data": [{"index": 0, "records": batch([b"%d" % number])}]}])
        wait_until(lambda: wire.offset(topic, -1).offset == 3, "the records arrived", 10)
        wire.send("produce", 9, acks=0, timeout=1000, topic_data=[
            {"name": topic, "partition_data": [{"index": 9, "records": batch([b"x"])}]}])
        assert wire.is_closed()


@pytest.mark.parametrize("ack", ACKS)
def test_sequences(wire, topic, ack):
    wire.create(topic, cairn_ack=ack)
    producer = wire.init_producer()

    def send(sequence, epoch=0, count=2):
        return wire.produce(topic, batch([b"v"] * count, producer_id=producer.producer_id, epoch=epoch, sequence=sequence))
    assert [send(s).base_offset for s in (0, 2, 4, 6, 8, 10)] == [0, 2, 4, 6, 8, 10]
    assert [(a.error_code, a.base_offset) for a in map(send, (2, 6, 10))] == [(0, 2), (0, 6), (0, 10)], "rule I1"
    assert send(0).error_code == 45, "older than five batches"
    assert send(14).error_code == 45
    assert send(10, count=1).error_code == 45
    assert send(5, epoch=1).error_code == 45, "a new epoch begins at 0"
    assert send(0, epoch=1).base_offset == 12
    assert send(12, epoch=0).error_code == 47
    assert wire.offset(topic, -1).offset == 14


def test_a_sequence_wraps(wire, topic):
    wire.create(topic)
    producer = wire.init_producer()

    def send(sequence, count):
        return wire.produce(topic, batch([b"v"] * count, producer_id=producer.producer_id, epoch=0, sequence=sequence))
    assert send(2147483645, 2).error_code == 0
    assert send(2147483647, 2).error_code == 0, "the batch holds 2147483647 and 0"
    assert send(1, 1).error_code == 0
    assert wire.offset(topic, -1).offset == 5


# Fetch


@pytest.mark.parametrize("version", range(4, 19))
def test_every_version_of_fetch(wire, topic, version):
    name = wire.create(topic)
    name = name if version >= 13 else topic
    wire.produce(topic, batch([b"a", b"b"]))
    wire.produce(topic, batch([b"c"]))
    answer = wire.fetch(name, 1, version)
    if version >= 7:
        assert (answer.error_code, answer.session_id) == (0, 0)
    found = answer.responses[0].partitions[0]
    assert (found.error_code, found.high_watermark, found.last_stable_offset) == (0, 3, 3)
    assert not found.aborted_transactions
    assert [b.base_offset for b in batches(found.records)] == [0, 2]
    at_end = wire.fetch(name, 3, version).responses[0].partitions[0]
    assert at_end.error_code == 0 and not at_end.records
    for wrong in (4, -1, 1 << 40):
        assert wire.fetch(name, wrong, version).responses[0].partitions[0].error_code == 1
    if version >= 13:
        assert wire.fetch(uuid.uuid4(), 0, version).responses[0].partitions[0].error_code == 100
    else:
        assert wire.fetch("no-such-topic-here", 0, version).responses[0].partitions[0].error_code == 3


def test_aborted_transactions_are_null_for_read_uncommitted_and_a_list_for_read_committed(wire, topic):
    wire.create(topic)
    wire.produce(topic, batch([b"a"]))
    assert wire.fetch_one(topic, isolation=0).aborted_transactions is None
    assert wire.fetch_one(topic, isolation=1).aborted_transactions == ()


def test_fetch_sessions(wire, topic):
    wire.create(topic)
    wire.produce(topic, batch([b"a"]))
    full = wire.fetch(topic, session_id=0, session_epoch=0)
    assert full.error_code == 0 and batches(full.responses[0].partitions[0].records)
    if full.session_id == 0:
        assert wire.fetch(topic, session_id=77, session_epoch=1).error_code == 70
    else:
        assert wire.fetch(topic, session_id=full.session_id, session_epoch=9).error_code == 71
        assert wire.fetch(topic, session_id=full.session_id ^ 1, session_epoch=1).error_code == 70


@pytest.mark.parametrize("epoch", [0, -1])
def test_a_full_fetch_that_names_an_old_session_is_answered(wire, topic, epoch):
    """Kafka's `FetchManager.newContext`: epoch 0 or -1 is a full request, the session it names is only removed."""
    wire.create(topic)
    wire.produce(topic, batch([b"a"]))
    answer = wire.fetch(topic, session_id=77, session_epoch=epoch)
    assert answer.error_code == 0 and batches(answer.responses[0].partitions[0].records)


def test_a_batch_larger_than_the_limits_is_fetched_whole(wire, topic):
    wire.create(topic, partitions=2)
    for partition in (0, 1):
        for _ in range(2):
            assert wire.produce(topic, batch([b"x" * 50_000]), partition=partition).error_code == 0
    for limits in ({"max_bytes": 1}, {"partition_max_bytes": 1}, {"max_bytes": 1, "partition_max_bytes": 1},
                   {"max_bytes": 0, "partition_max_bytes": 0}):
        assert [b.base_offset for b in batches(wire.fetch_one(topic, **limits).records)] == [0], limits
    answer = wire.call("fetch", 12, max_wait=0, min_bytes=0, max_bytes=60_000, session_epoch=-1, topics=[
        {"topic": topic, "partitions": [
            {"partition": p, "current_leader_epoch": -1, "fetch_offset": 0, "partition_max_bytes": 1000} for p in (0, 1)]}])
    sizes = [len(batches(p.records)) for p in answer.responses[0].partitions]
    assert sizes == [1, 0], "only the first partition may go over its limit"


def test_a_fetch_waits_for_data_no_longer_than_asked(node, wire, topic):
    import threading
    import time
    wire.create(topic)
    started = time.monotonic()
    assert not wire.fetch_one(topic, max_wait=300, min_bytes=1).records
    assert 0.25 < time.monotonic() - started < 3

    def later():
        time.sleep(0.2)
        with Connection(node.kafka) as other:
            other.produce(topic, batch([b"x"]))
    thread = threading.Thread(target=later)
    thread.start()
    started = time.monotonic()
    assert batches(wire.fetch_one(topic, max_wait=15_000, min_bytes=1).records)
    assert time.monotonic() - started < 5
    thread.join()


def test_leader_epochs(wire, topic):
    wire.create(topic)
    wire.produce(topic, batch([b"a"]))
    assert wire.fetch_one(topic, leader_epoch=0).error_code == 0
    assert wire.fetch_one(topic, leader_epoch=1).error_code == 75
    ends = wire.call("offset_for_leader_epoch", 4, replica_id=-1, topics=[
        {"topic": topic, "partitions": [{"partition": 0, "current_leader_epoch": 0, "leader_epoch": 0}]}])
    found = ends.topics[0].partitions[0]
    assert (found.error_code, found.leader_epoch, found.end_offset) == (0, 0, 1)
    ends = wire.call("offset_for_leader_epoch", 4, replica_id=-1, topics=[
        {"topic": topic, "partitions": [{"partition": 0, "current_leader_epoch": 3, "leader_epoch": 0}]}])
    assert ends.topics[0].partitions[0].error_code == 75
    listed = wire.call("list_offsets", 9, isolation_level=0, topics=[
        {"name": topic, "partitions": [{"partition_index": 0, "current_leader_epoch": 5, "timestamp": -1}]}])
    assert listed.topics[0].partitions[0].error_code == 75


# Transactions


@pytest.mark.parametrize("ack", ACKS)
@pytest.mark.parametrize("committed", [True, False], ids=["commit", "abort"])
def test_a_transaction_of_version_2(wire, topic, ack, committed):
    wire.create(topic, partitions=2, cairn_ack=ack)
    producer = wire.init_producer(topic)
    for partition in (0, 1):  # Nothing said AddPartitionsToTxn.
        answer = wire.produce(topic, transactional([b"a", b"b"], producer), 12, partition, transactional_id=topic)
        assert (answer.error_code, answer.base_offset) == (0, 0)
    open_now = wire.fetch_one(topic, isolation=1)
    assert (open_now.last_stable_offset, open_now.high_watermark) == (0, 2) and not open_now.records
    assert wire.offset(topic, -1, isolation=1).offset == 0
    assert wire.offset(topic, -1, isolation=0).offset == 2
    first = end(wire, topic, producer, committed)
    assert first.error_code == 0
    assert (first.producer_id, first.producer_epoch) == (producer.producer_id, producer.producer_epoch + 1)
    again = end(wire, topic, producer, committed)
    assert (again.error_code, again.producer_id, again.producer_epoch) == (
        0, first.producer_id, first.producer_epoch), "a repeat gets the same answer"
    assert end(wire, topic, producer, not committed).error_code in (48, 90)
    for partition in (0, 1):
        found = settled(wire, topic, partition=partition)
        assert found.high_watermark == 3
        marks = [b for b in batches(found.records) if b.is_control]
        assert [(b.base_offset, b.count, b.epoch, b.attributes) for b in marks] == [
            (2, 1, first.producer_epoch, CONTROL | TRANSACTIONAL)]
        assert marks[0].payload.find(struct.pack(">hh", 0, 1 if committed else 0)) > 0
        aborted = [(a.producer_id, a.first_offset) for a in found.aborted_transactions]
        assert aborted == ([] if committed else [(producer.producer_id, 0)])
    # The old epoch is fenced, the new one begins at sequence 0.
    assert wire.produce(topic, transactional([b"c"], producer, 2), 12, transactional_id=topic).error_code in (47, 90)
    assert wire.produce(topic, transactional([b"c"], first), 12, transactional_id=topic).base_offset == 3
    assert end(wire, topic, first, True).error_code == 0


def test_a_transaction_of_version_2_without_records(wire, topic):
    producer = wire.init_producer(topic)
    aborted = end(wire, topic, producer, False)
    assert (aborted.error_code, aborted.producer_epoch) == (0, producer.producer_epoch + 1)
    assert end(wire, topic, aborted, True).error_code == 48, "there is nothing to commit"


def test_a_version_2_producer_begins_at_sequence_0(wire, topic):
    wire.create(topic)
    producer = wire.init_producer(topic)
    assert wire.produce(topic, transactional([b"a"], producer, 5), 12, transactional_id=topic).error_code == 45


def test_produce_in_a_transaction_that_was_not_added(wire, topic):
    wire.create(topic)
    producer = wire.init_producer(topic)
    data = transactional([b"a"], producer)
    assert wire.produce(topic, data, 10, transactional_id=topic).error_code == 48
    assert wire.produce(topic, data, 11, transactional_id=topic).error_code == 120
    assert wire.produce(topic, data, 12).error_code == 53, "no transactional id"
    assert wire.offset(topic, -1).offset == 0


def test_a_batch_outside_of_the_open_transaction_of_its_producer(wire, topic):
    wire.create(topic)
    producer = wire.init_producer(topic)
    assert wire.produce(topic, transactional([b"a"], producer), 12, transactional_id=topic).error_code == 0
    plain = batch([b"b"], producer_id=producer.producer_id, epoch=producer.producer_epoch, sequence=1)
    assert wire.produce(topic, plain, 12).error_code == 48
    assert end(wire, topic, producer, False).error_code == 0


def test_a_transaction_of_version_1(wire, topic):
    """Requests in their first versions, as aiokafka and librdkafka send them."""
    wire.create(topic, partitions=2)
    producer = wire.init_producer(topic, version=0)

    def add(partitions, epoch=None, version=0, name=topic):
        answer = wire.call("add_partitions_to_txn", version, transactional_id=topic, producer_id=producer.producer_id,
                           producer_epoch=producer.producer_epoch if epoch is None else epoch,
                           topics=[{"name": name, "partitions": partitions}],
                           v3_and_below_transactional_id=topic, v3_and_below_producer_id=producer.producer_id,
                           v3_and_below_producer_epoch=producer.producer_epoch if epoch is None else epoch,
                           v3_and_below_topics=[{"name": name, "partitions": partitions}])
        found = getattr(answer, "results_by_topic_v3_and_below", None) or answer.results
        rows = found[0]
        rows = getattr(rows, "results_by_partition", None) or getattr(rows, "results", None)
        return [r.partition_error_code for r in rows]
    assert add([0, 9]) == [55, 3], "rule T2"
    assert add([0], epoch=5) == [47] and add([0], epoch=5, version=2) == [90]
    assert end(wire, topic, producer, True, version=0).error_code == 48, "it is empty"
    assert add([0, 1]) == [0, 0]
    assert wire.produce(topic, transactional([b"a"], producer), 7, transactional_id=topic).error_code == 0
    assert end(wire, topic, producer, True, 0, epoch=9).error_code == 47
    assert end(wire, topic, producer, True, 2, epoch=9).error_code == 90
    assert end(wire, topic, producer, True, 0).error_code == 0
    assert end(wire, topic, producer, True, 0).error_code == 0, "a repeat"
    assert end(wire, topic, producer, False, 0).error_code == 48, "the opposite"
    settled(wire, topic)
    assert wire.offset(topic, -1).offset == 2
    assert add([1]) == [0], "the same epoch goes on"
    assert wire.produce(topic, transactional([b"b"], producer), 7, 1, transactional_id=topic).error_code == 0
    assert end(wire, topic, producer, False, 0).error_code == 0


def test_init_producer_id(wire, topic):
    assert wire.init_producer("").error_code == 42
    assert wire.init_producer(topic, timeout=0).error_code == 50
    assert wire.init_producer(topic, timeout=3_600_000).error_code == 50
    first = wire.init_producer(topic)
    second = wire.init_producer(topic)
    assert (second.producer_id, second.producer_epoch) == (first.producer_id, first.producer_epoch + 1)
    kept = wire.init_producer(topic, producer_id=second.producer_id, producer_epoch=second.producer_epoch)
    assert (kept.producer_id, kept.producer_epoch) == (second.producer_id, second.producer_epoch + 1)
    assert wire.init_producer(topic, producer_id=first.producer_id, producer_epoch=first.producer_epoch).error_code == 90
    assert wire.init_producer(topic, version=3, producer_id=first.producer_id,
                              producer_epoch=first.producer_epoch).error_code == 47
    plain = [wire.init_producer().producer_id for _ in range(3)]
    assert len(set(plain)) == 3


def test_init_producer_id_aborts_what_its_predecessor_left_open(wire, topic):
    wire.create(topic)
    old = wire.init_producer(topic)
    assert wire.produce(topic, transactional([b"a"], old), 12, transactional_id=topic).error_code == 0

    def initialised():
        answer = wire.init_producer(topic)
        assert answer.error_code in (0, 51)
        return answer if answer.error_code == 0 else None
    new = wait_until(initialised, "the transactional id is free")
    assert new.producer_id == old.producer_id and new.producer_epoch > old.producer_epoch
    assert [a.first_offset for a in settled(wire, topic).aborted_transactions] == [0]
    assert end(wire, topic, old, True).error_code == 90
    assert wire.produce(topic, transactional([b"b"], old, 1), 12, transactional_id=topic).error_code in (47, 90)


def commit_offset(wire, name, producer, group, topic, offset, version=5, **member):
    answer = wire.call(
        "txn_offset_commit", version, transactional_id=name, group_id=group, producer_id=producer.producer_id,
        producer_epoch=producer.producer_epoch, **{"generation_id": -1, "member_id": "", "group_instance_id": None,
                                                   **member},
        topics=[{"name": topic, "partitions": [{
            "partition_index": 0, "committed_offset": offset, "committed_leader_epoch": -1, "committed_metadata": "m"}]}])
    return answer.topics[0].partitions[0].error_code


def committed_offset(wire, group, topic, stable):
    answer = wire.call("offset_fetch", 8, require_stable=stable, groups=[
        {"group_id": group, "topics": [{"name": topic, "partition_indexes": [0]}]}])
    found = answer.groups[0].topics[0].partitions[0]
    return found.error_code, found.committed_offset


def test_offsets_in_a_transaction_of_version_2(wire, topic):
    wire.create(topic)
    wire.produce(topic, batch([b"x"] * 20))
    producer = wire.init_producer(topic)
    assert committed_offset(wire, topic, topic, True) == (0, -1)
    assert commit_offset(wire, topic, producer, topic, topic, 7) == 0  # Nothing said AddOffsetsToTxn.
    assert committed_offset(wire, topic, topic, True) == (88, -1), "rule T10"
    assert committed_offset(wire, topic, topic, False) == (0, -1)
    producer = end(wire, topic, producer, True)
    assert committed_offset(wire, topic, topic, True) == (0, 7)
    assert commit_offset(wire, topic, producer, topic, topic, 9) == 0
    assert committed_offset(wire, topic, topic, False) == (0, 7)
    producer = end(wire, topic, producer, False)
    assert committed_offset(wire, topic, topic, True) == (0, 7)
    assert commit_offset(wire, topic, producer, topic, topic, 9, generation_id=4, member_id="nobody") in (22, 25)
    assert commit_offset(wire, topic, producer, topic, "no-such-topic-here", 9) == 3


def test_offsets_in_a_transaction_of_version_1_need_their_group_added(wire, topic):
    wire.create(topic)
    producer = wire.init_producer(topic)
    assert commit_offset(wire, topic, producer, topic, topic, 3, version=3) != 0
    added = wire.call("add_offsets_to_txn", 0, transactional_id=topic, producer_id=producer.producer_id,
                      producer_epoch=producer.producer_epoch, group_id=topic)
    assert added.error_code == 0
    assert commit_offset(wire, topic, producer, topic, topic, 3, version=3) == 0
    assert end(wire, topic, producer, True, version=1).error_code == 0
    assert committed_offset(wire, topic, topic, True) == (0, 3)


def test_who_has_transactions_open(wire, topic):
    wire.create(topic)
    producer = wire.init_producer(topic)
    wire.produce(topic, batch([b"before"]))
    wire.produce(topic, transactional([b"a"], producer), 12, transactional_id=topic)
    described = wire.call("describe_transactions", 0, transactional_ids=[topic, topic + "-none"]).transaction_states
    mine, other = described
    assert other.error_code == 105
    assert (mine.transaction_state, mine.producer_id, mine.producer_epoch) == (
        "Ongoing", producer.producer_id, producer.producer_epoch)
    assert [(t.topic, t.partitions) for t in mine.topics] == [(topic, (0,))]
    producers = wire.call("describe_producers", 0, topics=[{"name": topic, "partition_indexes": [0, 4]}]).topics[0]
    active = producers.partitions[0].active_producers
    assert [(p.producer_id, p.last_sequence, p.current_txn_start_offset) for p in active] == [(producer.producer_id, 0, 1)]
    assert producers.partitions[1].error_code == 3

    def listed(version=2, **filters):
        answer = wire.call("list_transactions", version, **{
            "state_filters": [], "producer_id_filters": [], "duration_filter": -1, "transactional_id_pattern": None,
            **filters})
        return answer.error_code, {t.transactional_id for t in answer.transaction_states}
    assert topic in listed()[1] and topic in listed(0)[1]
    assert listed(state_filters=["Ongoing"], producer_id_filters=[producer.producer_id])[1] == {topic}
    assert topic not in listed(state_filters=["Empty"])[1]
    assert topic not in listed(duration_filter=600_000)[1]
    assert listed(transactional_id_pattern="t-test-who.*")[1] == {topic}
    assert listed(transactional_id_pattern="who")[1] == set(), "the whole id must match"
    assert listed(transactional_id_pattern="(")[0] == 128
    end(wire, topic, producer, True)
    assert listed(state_filters=["CompleteCommit"], producer_id_filters=[producer.producer_id])[1] == {topic}


def test_a_hanging_transaction_is_ended_by_markers(wire, topic):
    wire.create(topic)
    producer = wire.init_producer(topic)
    wire.produce(topic, transactional([b"a"], producer), 12, transactional_id=topic)
    answer = wire.call("write_txn_markers", 1, markers=[{
        "producer_id": producer.producer_id, "producer_epoch": producer.producer_epoch, "transaction_result": False,
        "coordinator_epoch": 0, "topics": [{"name": topic, "partition_indexes": [0]}]}])
    assert answer.markers[0].topics[0].partitions[0].error_code == 0
    assert [a.first_offset for a in settled(wire, topic).aborted_transactions] == [0]


def test_markers_at_the_same_offset_of_two_partitions(wire, topic):
    """A marker has no bytes in the store: a reader must not get that of another partition."""
    wire.create(topic, partitions=4)
    producers = [wire.init_producer(f"{topic}-{p}") for p in range(4)]
    for partition, producer in enumerate(producers):
        name = f"{topic}-{partition}"
        answer = wire.produce(topic, transactional([b"a"], producer), 12, partition, transactional_id=name)
        assert answer.error_code == 0
        assert end(wire, name, producer, partition % 2 == 0).error_code == 0
    for partition, producer in enumerate(producers):
        mark = batches(settled(wire, topic, partition=partition).records)[1]
        assert (mark.base_offset, mark.producer_id) == (1, producer.producer_id)
        assert mark.payload.find(struct.pack(">hh", 0, 1 if partition % 2 == 0 else 0)) > 0


@pytest.mark.parametrize("ack", ACKS)
def test_a_waiting_reader_of_what_is_committed_is_woken_by_the_end(node, wire, topic, ack):
    import threading
    import time
    wire.create(topic, cairn_ack=ack)
    producer = wire.init_producer(topic)
    wire.produce(topic, transactional([b"a"], producer), 12, transactional_id=topic)

    def later():
        time.sleep(0.3)
        with Connection(node.kafka) as other:
            end(other, topic, producer, True)
    thread = threading.Thread(target=later)
    thread.start()
    started = time.monotonic()
    found = wire.fetch_one(topic, isolation=1, max_wait=15_000, min_bytes=1)
    thread.join()
    assert [b.base_offset for b in batches(found.records)] == [0, 1]
    assert 0.2 < time.monotonic() - started < 5


def test_a_topic_is_deleted_under_an_open_transaction(wire, topic):
    other = topic + "-other"
    wire.create(topic)
    wire.create(other)
    producer = wire.init_producer(topic)
    for name in (topic, other):
        assert wire.produce(name, transactional([b"a"], producer), 12, transactional_id=topic).error_code == 0
    deleted = wire.call("delete_topics", 5, topic_names=[other], timeout=10_000)
    assert deleted.responses[0].error_code == 0
    after = end(wire, topic, producer, True)
    assert after.error_code == 0
    assert settled(wire, topic).high_watermark == 2
    wire.create(other)  # Another topic of the same name has nothing of it.
    assert wire.offset(other, -1).offset == 0
    assert wire.produce(other, transactional([b"b"], after), 12, transactional_id=topic).base_offset == 0
    assert end(wire, topic, after, False).error_code == 0
    assert settled(wire, other).high_watermark == 2


@pytest.mark.parametrize("ack", ACKS)
def test_records_of_an_open_transaction_are_deleted(wire, topic, ack):
    wire.create(topic, cairn_ack=ack)
    producer = wire.init_producer(topic)
    wire.produce(topic, transactional([b"a"] * 4, producer), 12, transactional_id=topic)
    wire.produce(topic, batch([b"plain"] * 4))
    answer = wire.call("delete_records", 2, timeout=10_000, topics=[
        {"name": topic, "partitions": [{"partition_index": 0, "offset": 6}]}])
    assert answer.topics[0].partitions[0].low_watermark == 6
    found = wire.fetch_one(topic, 6, isolation=1)
    assert found.error_code == 0 and found.log_start_offset == 6
    assert end(wire, topic, producer, False).error_code == 0
    found = settled(wire, topic, offset=6)
    assert found.high_watermark == 9
    assert [b.is_control for b in batches(found.records)] == [False, True]


def test_the_id_of_a_transaction_that_was_ended_by_markers_goes_on(wire, topic):
    wire.create(topic)
    producer = wire.init_producer(topic)
    wire.produce(topic, transactional([b"a"], producer), 12, transactional_id=topic)
    marker = {"producer_id": producer.producer_id, "producer_epoch": producer.producer_epoch, "transaction_result": False,
              "coordinator_epoch": 0, "topics": [{"name": topic, "partition_indexes": [0]}]}
    wire.call("write_txn_markers", 1, markers=[marker])
    successor = wire.init_producer(topic)
    if successor.error_code == 51:
        successor = wire.init_producer(topic)
    assert successor.error_code == 0
    assert wire.produce(topic, transactional([b"b"], successor), 12, transactional_id=topic).error_code == 0
    assert end(wire, topic, successor, True).error_code == 0
    found = settled(wire, topic)
    assert [a.first_offset for a in found.aborted_transactions] == [0]
    data = [b for b in batches(found.records) if not b.is_control]
    assert len(data) == 2


def test_a_version_2_transaction_that_outlives_its_timeout(wire, topic):
    wire.create(topic)
    producer = wire.init_producer(topic, timeout=300)
    wire.produce(topic, transactional([b"a"], producer), 12, transactional_id=topic)
    found = settled(wire, topic)
    assert [a.first_offset for a in found.aborted_transactions] == [0]
    assert end(wire, topic, producer, True).error_code in (47, 90)
    assert wire.produce(topic, transactional([b"b"], producer, 1), 12, transactional_id=topic).error_code in (47, 90)
    # The client asks for a new epoch with the one it has, as it may after a timeout (KIP-588).
    again = wire.init_producer(topic, producer_id=producer.producer_id, producer_epoch=producer.producer_epoch)
    assert again.error_code in (0, 90)
    fresh = wire.init_producer(topic)
    assert wire.produce(topic, transactional([b"c"], fresh), 12, transactional_id=topic).error_code == 0
    assert end(wire, topic, fresh, True).error_code == 0


@pytest.mark.parametrize("ack", ACKS)
def test_aborted_transactions_of_a_part_of_the_log(wire, topic, ack):
    """Whatever the limit, a reader is told of every aborted transaction that its batches belong to."""
    wire.create(topic, cairn_ack=ack)
    aborted, producers = set(), [(f"{topic}-{n}", wire.init_producer(f"{topic}-{n}")) for n in range(3)]
    for round_number in range(4):
        for name, producer in producers:
            for sequence in (0, 1):
                wire.produce(topic, transactional([b"x" * 500], producer, sequence), 12, transactional_id=name)
        following = []
        for number, (name, producer) in enumerate(producers):
            commits = (round_number + number) % 2 == 0
            if not commits:
                aborted.add((producer.producer_id, producer.producer_epoch))
            following.append((name, end(wire, name, producer, commits)))
        producers = following
    high = settled(wire, topic).high_watermark
    for limit in (1, 600, 1500, 4000, 1 << 20):
        offset, hidden, shown = 0, set(), set()
        pending = set()
        while offset < high:
            found = wire.fetch_one(topic, offset, isolation=1, partition_max_bytes=limit)
            firsts = sorted((a.first_offset, a.producer_id) for a in found.aborted_transactions)
            mine = batches(found.records)
            assert mine, f"nothing at {offset}"
            for one in mine:
                pending |= {p for f, p in firsts if f <= one.last_offset}
                firsts = [(f, p) for f, p in firsts if f > one.last_offset]
                if one.is_control:
                    pending.discard(one.producer_id)
                else:
                    (hidden if one.producer_id in pending else shown).add((one.producer_id, one.epoch))
            offset = mine[-1].last_offset + 1
            pending = set()
        assert hidden == aborted and not shown & aborted, f"limit {limit}"


# ListOffsets and DeleteRecords


@pytest.mark.parametrize("version", range(1, 12))
def test_every_version_of_list_offsets(wire, topic, version):
    wire.create(topic)
    start = now_ms() - 1000
    wire.produce(topic, batch([b"a", b"b", b"c"], timestamps=[start, start + 20, start + 10]))

    def ask(when):
        found = wire.offset(topic, when, version=version)
        return found.error_code, found.offset, found.timestamp
    assert ask(-1) == (0, 3, -1) and ask(-2) == (0, 0, -1)
    assert ask(start + 5) == (0, 1, start + 20)
    assert ask(start + 21) == (0, -1, -1), "no record is so late"
    assert ask(-3) == ((0, 1, start + 20) if version >= 7 else (35, -1, -1))
    assert ask(-4) == ((0, 0, -1) if version >= 8 else (35, -1, -1))
    assert ask(-5) == ((0, -1, -1) if version >= 9 else (35, -1, -1))
    assert ask(-6) == ((0, -1, -1) if version >= 11 else (35, -1, -1))


def test_delete_records(wire, topic):
    wire.create(topic)
    wire.produce(topic, batch([b"a"] * 10))
    wire.produce(topic, batch([b"b"] * 10))

    def delete(offset, partition=0):
        answer = wire.call("delete_records", 2, timeout=10_000, topics=[
            {"name": topic, "partitions": [{"partition_index": partition, "offset": offset}]}])
        found = answer.topics[0].partitions[0]
        return found.error_code, found.low_watermark
    assert delete(5) == (0, 5)
    assert wire.offset(topic, -2).offset == 5
    assert wire.fetch_one(topic, 4).error_code == 1
    found = wire.fetch_one(topic, 5)
    assert found.log_start_offset == 5 and batches(found.records)[0].base_offset == 0
    assert delete(3) == (0, 5), "the start never goes back"
    assert delete(21)[0] == 1 and delete(1, partition=3)[0] == 3
    assert delete(-1) == (0, 20)
    assert wire.produce(topic, batch([b"c"])).log_start_offset == 20
    assert wire.offset(topic, 0).offset == 20


def test_what_is_committed_before_a_kill_stays_and_an_open_transaction_goes_on(launch, directory_store):
    node = launch(Cloud, directory_store, extra=["--produce-interval", "20ms"])
    with Connection(node.kafka) as wire:
        for ack in ACKS:
            wire.create(ack, cairn_ack=ack)
        producer = wire.init_producer("x")
        for ack in ACKS:
            wire.produce(ack, transactional([b"a"], producer), 12, transactional_id="x")
        after = end(wire, "x", producer, True)
        for ack in ACKS:
            wire.produce(ack, transactional([b"b"], after), 12, transactional_id="x")
    node.kill()
    node.start()
    with Connection(node.kafka) as wire:
        again = end(wire, "x", producer, True)
        assert again.error_code in (0, 48, 90)  # A transaction of the next epoch is open: the repeat is too late.
        for ack in ACKS:
            found = wire.fetch_one(ack, isolation=1)
            assert (found.last_stable_offset, found.high_watermark) == (2, 3)
            repeat = wire.produce(ack, transactional([b"b"], after), 12, transactional_id="x")
            assert (repeat.error_code, repeat.base_offset) == (0, 2), "the batch is known after a restart"
        last = end(wire, "x", after, True)
        assert last.error_code == 0
        for ack in ACKS:
            assert settled(wire, ack).high_watermark == 4


def test_a_connection_that_sends_rubbish_is_closed_and_others_go_on(node, wire, topic):
    with Connection(node.kafka) as other:
        other.socket.sendall(struct.pack(">i", 1 << 30))
        assert other.is_closed()
    with Connection(node.kafka) as other:
        other.send_raw(KEYS["produce"], 9, b"\xff" * 20, True)
        try:
            assert other.is_closed()
        except Closed:
            pass
    wire.create(topic)
    assert wire.produce(topic, batch([b"a"])).error_code == 0
