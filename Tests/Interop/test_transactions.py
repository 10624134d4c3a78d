"""Transactions by unchanged clients: commit, abort, exactly once, fencing, timeouts, and kill -9 of the node."""

import os
import random
import sys
import threading
import time
from pathlib import Path

import pytest
from clients import CLIENTS, TRANSACTIONS, ConfluentTransactions, produce, read, read_messages
from conftest import Cloud, Process, wait_until
from protocol import Connection

ACKS = ["object", "wal"]


def values(name, count):
    return [b"%s-%d" % (name.encode(), n) for n in range(count)]


@pytest.mark.parametrize("ack", ACKS)
@pytest.mark.parametrize("client", CLIENTS)
def test_commit_and_abort_over_partitions_and_topics(node, wire, topic, client, ack):
    other = topic + "-other"
    for name in (topic, other):
        wire.create(name, partitions=2, cairn_ack=ack)
    places = [(topic, 0), (topic, 1), (other, 0)]
    producer = TRANSACTIONS[client](node.bootstrap, topic)
    producer.init()
    for number, end in enumerate([producer.abort, producer.commit, producer.abort, producer.commit]):
        producer.begin()
        for name, partition in places:
            producer.send(name, values(f"{number}", 10), partition)
        producer.flush()  # An abort has something to abort then.
        end()
    # One more that stays open.
    producer.begin()
    producer.send(*[topic, values("open", 5), 0])
    producer.flush()
    for name, partition in places:
        wanted = values("1", 10) + values("3", 10)
        every = [v for n in range(4) for v in values(str(n), 10)]
        if (name, partition) == (topic, 0):
            every += values("open", 5)
        assert read(client, node.bootstrap, name, True, partition) == wanted
        assert read(client, node.bootstrap, name, False, partition) == every
    producer.abort()
    producer.close()
    end = wire.offset(topic, -1, isolation=1).offset
    assert end == wire.offset(topic, -1, isolation=0).offset == 4 * 11 + 6
    assert wire.offset(other, -1, partition=1).offset == 0
    assert read(client, node.bootstrap, topic, True) == values("1", 10) + values("3", 10)


@pytest.mark.parametrize("reader", CLIENTS)
def test_a_reader_that_begins_in_the_middle_of_an_aborted_transaction(node, wire, topic, reader):
    wire.create(topic)
    producer = ConfluentTransactions(node.bootstrap, topic)
    producer.init()
    for number, end in enumerate([producer.commit, producer.abort, producer.commit]):
        producer.begin()
        for one in values(str(number), 4):
            producer.send(topic, [one])
            producer.flush()
        end()
    assert read(reader, node.bootstrap, topic, True, offset=7) == values("2", 4)


@pytest.mark.parametrize("client", CLIENTS)
def test_transactions_of_two_producers_interleave(node, wire, topic, client):
    """The last stable offset is held by the older one, and what the younger one committed comes out then."""
    wire.create(topic)
    older, younger = (TRANSACTIONS[client](node.bootstrap, f"{topic}-{n}") for n in "ab")
    for producer in (older, younger):
        producer.init()
        producer.begin()
    for number in range(3):
        for name, producer in (("a", older), ("b", younger)):
            producer.send(topic, [b"%s-%d" % (name.encode(), number)])
            producer.flush()
    younger.commit()
    assert read(client, node.bootstrap, topic, True) == []
    older.abort()
    assert read(client, node.bootstrap, topic, True) == values("b", 3)
    for producer in (older, younger):
        producer.close()


@pytest.mark.parametrize("client", CLIENTS)
def test_the_second_producer_of_an_id_fences_the_first(node, wire, topic, client):
    wire.create(topic)
    first = TRANSACTIONS[client](node.bootstrap, topic)
    first.init()
    first.begin()
    first.send(topic, [b"old"])
    first.flush()
    second = TRANSACTIONS[client](node.bootstrap, topic)
    second.init()
    with pytest.raises(Exception) as raised:
        first.commit()
    shown = repr(raised.value).lower()
    assert "fenced" in shown or "epoch" in shown, shown
    second.begin()
    second.send(topic, [b"new"])
    second.commit()
    assert read(client, node.bootstrap, topic, True) == [b"new"]
    second.close()
    try:
        first.close()
    except Exception:  # noqa: BLE001 - it is fenced, whatever it says.
        pass


@pytest.mark.parametrize("first", CLIENTS)
@pytest.mark.parametrize("second", CLIENTS)
def test_a_producer_that_begins_again_over_an_open_transaction(node, wire, topic, first, second):
    """Rule T1: what the predecessor left open is aborted by InitProducerId itself, which succeeds at once: its end is one
    record, so there is nothing that CONCURRENT_TRANSACTIONS would let a client wait for."""
    wire.create(topic, partitions=2)
    left = TRANSACTIONS[first](node.bootstrap, topic)
    left.init()
    left.begin()
    for partition in (0, 1):
        left.send(topic, values("left", 5), partition)
    left.flush()
    stable = wire.offset(topic, -1, isolation=1).offset
    assert stable == 0, "the transaction is open"
    again = TRANSACTIONS[second](node.bootstrap, topic)
    again.init()
    for partition in (0, 1):
        assert wire.offset(topic, -1, isolation=1, partition=partition).offset == 6, "aborted when init returned"
    for number in range(2):
        again.begin()
        for partition in (0, 1):
            again.send(topic, values(f"again{number}", 5), partition)
        again.commit()
    for partition in (0, 1):
        wanted = values("again0", 5) + values("again1", 5)
        assert read("confluent", node.bootstrap, topic, True, partition) == wanted
        assert read("confluent", node.bootstrap, topic, False, partition) == values("left", 5) + wanted
    again.close()
    left.close()


@pytest.mark.parametrize("ack", ACKS)
def test_a_transaction_that_outlives_its_timeout_is_aborted(node, wire, topic, ack):
    wire.create(topic, cairn_ack=ack)
    producer = ConfluentTransactions(node.bootstrap, topic, timeout_ms=1000)
    producer.init()
    producer.begin()
    producer.send(topic, [b"late"])
    producer.flush()
    produce("confluent", node.bootstrap, topic, [b"plain"])
    assert read("confluent", node.bootstrap, topic, True) == []
    wait_until(lambda: wire.offset(topic, -1, isolation=1).offset == 3, "the transaction is aborted", 20)
    assert read("confluent", node.bootstrap, topic, True) == [b"plain"]
    with pytest.raises(Exception):
        producer.commit()


@pytest.mark.parametrize("client", ["confluent", "aiokafka", "kafka-python"])
def test_offsets_go_with_their_transaction(node, wire, topic, client):
    """`send_offsets_to_transaction` outside of any membership, by each client."""
    wire.create(topic)
    produce("confluent", node.bootstrap, topic, values("x", 30))
    producer = TRANSACTIONS[client](node.bootstrap, topic)
    producer.init()

    def committed():
        answer = wire.call("offset_fetch", 8, require_stable=False, groups=[
            {"group_id": topic, "topics": [{"name": topic, "partition_indexes": [0]}]}])
        return answer.groups[0].topics[0].partitions[0].committed_offset

    def send_offset(offset):
        if client == "confluent":
            from confluent_kafka import Consumer, TopicPartition
            consumer = Consumer({"bootstrap.servers": node.bootstrap, "group.id": topic})
            producer.producer.send_offsets_to_transaction(
                [TopicPartition(topic, 0, offset)], consumer.consumer_group_metadata(), 20)
            consumer.close()
        elif client == "aiokafka":
            from aiokafka import TopicPartition
            producer._run(producer.producer.send_offsets_to_transaction({TopicPartition(topic, 0): offset}, topic))
        else:
            from kafka import TopicPartition
            from kafka.structs import OffsetAndMetadata
            producer.producer.send_offsets_to_transaction(
                {TopicPartition(topic, 0): OffsetAndMetadata(offset, "", -1)}, topic)
    for offset, end, wanted in ((10, producer.commit, 10), (20, producer.abort, 10), (30, producer.commit, 30)):
        producer.begin()
        send_offset(offset)
        end()
        assert committed() == wanted
    producer.close()


@pytest.mark.parametrize("ack", ACKS)
def test_consume_transform_produce_is_exactly_once_across_crashes(node, processes, wire, topic, tmp_path, ack):
    source, target = topic + "-in", topic + "-out"
    for name in (source, target):
        wire.create(name, partitions=2, cairn_ack=ack)
    worker = Process("etl", [sys.executable, Path(__file__).with_name("etl.py"), node.bootstrap, source, target, topic,
                             "worker"], tmp_path)
    processes.append(worker)
    sent = [values(f"p{p}", 300) for p in (0, 1)]
    for partition, mine in enumerate(sent):
        produce("confluent", node.bootstrap, source, mine, partition=partition)
    worker.start()
    written = 0
    for _ in range(3):
        wanted = written + 60
        wait_until(lambda: sum(wire.offset(target, -1, partition=p).offset for p in (0, 1)) > wanted or not worker.running,
                   "output", 20)
        written = sum(wire.offset(target, -1, partition=p).offset for p in (0, 1))
        worker.kill()
        worker.start()

    def done():
        assert worker.running, worker.output()[-2000:]
        answer = wire.call("offset_fetch", 8, require_stable=True, groups=[
            {"group_id": topic, "topics": [{"name": source, "partition_indexes": [0, 1]}]}])
        return [p.committed_offset for p in answer.groups[0].topics[0].partitions] == [300, 300]
    wait_until(done, "everything is transformed", 30)
    for partition, mine in enumerate(sent):
        assert read("confluent", node.bootstrap, target, True, partition) == [v.upper() for v in mine]


@pytest.mark.parametrize("ack", ACKS)
def test_kill_9_of_the_node_in_the_middle_of_open_transactions(launch, directory_store, ack):
    node = launch(Cloud, directory_store, extra=["--produce-interval", "20ms"])
    with Connection(node.kafka) as wire:
        wire.create("t", partitions=3, cairn_ack=ack)
    done, goes_on, left = (ConfluentTransactions(node.bootstrap, name) for name in ("done", "goes-on", "left"))
    for name, producer in (("done", done), ("goes-on", goes_on), ("left", left)):
        producer.init()
        producer.begin()
        for partition in range(3):
            producer.send("t", values(name, 20), partition)
        producer.flush()
    done.commit()
    node.kill()
    node.start()
    # What was open is open still: its producer may go on, or another one takes its id and aborts it.
    goes_on.send("t", values("more", 5), 1)
    goes_on.commit()
    successor = ConfluentTransactions(node.bootstrap, "left")
    successor.init()
    with pytest.raises(Exception):
        left.commit()
    for partition in range(3):
        found = read("confluent", node.bootstrap, "t", True, partition)
        assert found == values("done", 20) + values("goes-on", 20) + (values("more", 5) if partition == 1 else [])
        every = read("confluent", node.bootstrap, "t", False, partition)
        assert [v for v in every if v.startswith(b"left")] == values("left", 20)


class Bank:
    """One transfer a transaction, each account in a partition of its own; a record says the balance before and after."""

    ACCOUNTS, BALANCE = 4, 1000

    def __init__(self, bootstrap, topic, seed):
        self.bootstrap, self.topic, self.chance = bootstrap, topic, random.Random(seed)
        self.decided, self.number, self.restarts = {}, 0, 0
        self.balances = [self.BALANCE] * self.ACCOUNTS
        self.stop = threading.Event()
        self.error = None
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            producer = None
            while not self.stop.is_set():
                producer = producer or self._open()
                producer = self._transfer(producer)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            self.error = error

    def _open(self):
        """Fences whatever was, and learns from the log how far it came."""
        producer = ConfluentTransactions(self.bootstrap, "bank")
        producer.init()
        self.restarts += 1
        for message in read_messages(self.bootstrap, self.topic, list(range(self.ACCOUNTS))):
            _, _, after = map(int, message.value().split(b":"))
            self.balances[message.partition()] = after
        return producer

    def _transfer(self, producer):
        from confluent_kafka import KafkaException
        number, self.number = self.number, self.number + 1
        payer, payee = self.chance.sample(range(self.ACCOUNTS), 2)
        amount = self.chance.randrange(1, 50)
        commits = self.chance.random() < 0.8
        after = {payer: self.balances[payer] - amount, payee: self.balances[payee] + amount}
        try:
            producer.begin()
            for account, balance in after.items():
                producer.send(self.topic, [b"%d:%d:%d" % (number, self.balances[account], balance)], account)
            if commits:
                producer.commit()
            else:
                producer.flush()
                if self.chance.random() < 0.2:
                    return None  # This client dies here: the next one fences it.
                producer.abort()
        except KafkaException as error:
            if error.args[0].txn_requires_abort():
                producer.abort()
                self.decided[number] = False
                return producer
            return None  # Not known: the next one reads it from the log.
        self.decided[number] = commits
        if commits:
            for account, balance in after.items():
                self.balances[account] = balance
        return producer


@pytest.mark.parametrize("ack", ACKS)
def test_a_bank_under_kill_9_keeps_its_sum(launch, directory_store, ack):
    node = launch(Cloud, directory_store, extra=["--produce-interval", "20ms", "--wal-upload-interval", "500ms"])
    with Connection(node.kafka) as wire:
        wire.create("bank", partitions=Bank.ACCOUNTS, cairn_ack=ack)
    seed = int(os.environ.get("CAIRN_TEST_SEED", random.randrange(1 << 30)))
    print(f"seed {seed}: repeat with CAIRN_TEST_SEED={seed}")
    bank = Bank(node.bootstrap, "bank", seed)
    bank.thread.start()
    chance = random.Random(seed)
    end = time.monotonic() + float(os.environ.get("CAIRN_TEST_BANK_SECONDS", "8"))
    kills = 0
    while time.monotonic() < end and bank.error is None:
        time.sleep(chance.uniform(0.5, 2.5))
        node.kill()
        node.start()
        kills += 1
    bank.stop.set()
    bank.thread.join(60)
    assert bank.error is None, bank.error
    assert not bank.thread.is_alive()
    ConfluentTransactions(node.bootstrap, "bank").init()  # Whatever is open ends.
    transfers, last = {}, [Bank.BALANCE] * Bank.ACCOUNTS
    for message in sorted(read_messages(node.bootstrap, "bank", list(range(Bank.ACCOUNTS))),
                          key=lambda m: (m.partition(), m.offset())):
        number, before, after = map(int, message.value().split(b":"))
        account = message.partition()
        assert before == last[account], f"account {account}, offset {message.offset()}: a transfer is lost or doubled"
        last[account] = after
        legs = transfers.setdefault(number, {})
        assert account not in legs
        legs[account] = after - before
    balance = Bank.ACCOUNTS * Bank.BALANCE
    assert sum(last) == balance
    for number, legs in sorted(transfers.items()):
        assert len(legs) == 2 and sum(legs.values()) == 0, f"transfer {number} is there in parts: {legs}"
    committed = {n for n, whether in bank.decided.items() if whether}
    assert committed <= set(transfers), f"committed and lost: {sorted(committed - set(transfers))[:5]}"
    assert not set(transfers) & {n for n, whether in bank.decided.items() if not whether}, "aborted and there"
    print(f"{ack}: {kills} kills, {len(transfers)} transfers, {bank.restarts} producers")
    assert len(committed) > 20
