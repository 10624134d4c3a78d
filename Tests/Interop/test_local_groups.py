"""Consumer groups on a gateway whose uplink is down: offsets are the site's own and survive restarts and kill -9.

A Kafka consumer that stops after a commit reads nothing twice; what the gateway has to do for it is to answer a commit only when it
is durable, and to find it again.
"""

import struct
import threading
import time
import urllib.request

import pytest

from conftest import Edge, free_port, wait_until
from load import put

QUICK = ["--kafka-group-initial-delay", "100ms", "--kafka-partitions", "4"]


def outage():
    """A store that nobody serves."""
    return ["--store-url", "s3://nowhere", "--store-endpoint", f"http://127.0.0.1:{free_port()}",
            "--store-path-style", "true", "--store-access-key", "k", "--store-secret-key", "s"]


def produce(bootstrap, topic, first, count):
    from confluent_kafka import Producer
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 2})
    for number in range(first, first + count):
        put(producer, topic, value=b"%d" % number, partition=number % 4)
        if number % 10_000 == 0:
            producer.poll(0)
    assert producer.flush(30) == 0


class ConfluentMember:
    def __init__(self, bootstrap, topic, group):
        from confluent_kafka import Consumer
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False,
            "auto.offset.reset": "earliest", "session.timeout.ms": 6000, "heartbeat.interval.ms": 300,
            "reconnect.backoff.max.ms": 200, "fetch.wait.max.ms": 50})
        self.consumer.subscribe([topic])

    def poll(self):
        message = self.consumer.poll(0.1)
        if message is None or message.error():
            return []
        return [(message.partition(), message.offset(), int(message.value()))]

    def partitions(self):
        return {p.partition for p in self.consumer.assignment()}

    def commit(self):
        try:
            self.consumer.commit(asynchronous=False)
        except Exception as error:  # noqa: BLE001 - nothing was read since the last commit
            assert "_NO_OFFSET" in str(error), error

    def close(self):
        self.consumer.close()


class KafkaPythonMember:
    def __init__(self, bootstrap, topic, group):
        from kafka import KafkaConsumer
        self.consumer = KafkaConsumer(
            topic, bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False,
            auto_offset_reset="earliest", session_timeout_ms=6000, heartbeat_interval_ms=300,
            reconnect_backoff_max_ms=200, fetch_max_wait_ms=50)

    def poll(self):
        return [(r.partition, r.offset, int(r.value))
                for records in self.consumer.poll(timeout_ms=100).values() for r in records]

    def partitions(self):
        return {p.partition for p in self.consumer.assignment()}

    def commit(self):
        self.consumer.commit()

    def close(self):
        self.consumer.close()


MEMBERS = {"confluent": ConfluentMember, "kafka-python": KafkaPythonMember}


class Running:
    """A member that reads on a thread of its own until it is stopped; then it commits what it has read and leaves."""

    def __init__(self, member):
        self.member, self.seen, self.failure = member, [], None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.owned = set()
        self.thread.start()

    def _run(self):
        try:
            while not self.stopping.is_set():
                self.seen += self.member.poll()
                self.owned = self.member.partitions()
            self.member.commit()
            self.member.close()
        except Exception as error:  # noqa: BLE001 - shown by stop()
            self.failure = error

    def stop(self):
        self.stopping.set()
        self.thread.join(30)
        assert not self.thread.is_alive(), "the member did not stop"
        assert self.failure is None, self.failure
        return self.seen


def assert_once(seen, count):
    places = [(p, o) for p, o, _ in seen]
    assert len(places) == len(set(places)), "read twice after a committed stop"
    assert sorted(v for _, _, v in seen) == list(range(count))


@pytest.mark.parametrize("client", MEMBERS)
def test_two_members_share_a_gateway_in_an_outage_commit_stop_and_resume(launch, client):
    edge = launch(Edge, outage(), extra=QUICK)
    topic, make = "sensor.local", MEMBERS[client]
    produce(edge.bootstrap, topic, 0, 400)
    first = Running(make(edge.bootstrap, topic, "site"))
    wait_until(lambda: len(first.owned) == 4, "one member has all partitions")
    wait_until(lambda: len(first.seen) >= 400, "one member reads all")
    # Committed before the second comes, so that the rebalance hands over and repeats nothing.
    seen = first.stop()
    first = Running(make(edge.bootstrap, topic, "site"))
    second = Running(make(edge.bootstrap, topic, "site"))
    wait_until(lambda: len(first.owned) == 2 and len(second.owned) == 2 and not first.owned & second.owned,
               "two members have two partitions each")
    produce(edge.bootstrap, topic, 400, 400)
    wait_until(lambda: len(first.seen) + len(second.seen) >= 400, "both read")
    assert first.seen and second.seen
    seen += first.stop() + second.stop()
    assert_once(seen, 800)
    # A stop with grace, then one without: offsets are there after both.
    edge.stop()
    edge.start()
    produce(edge.bootstrap, topic, 800, 200)
    third = Running(make(edge.bootstrap, topic, "site"))
    wait_until(lambda: len(third.seen) >= 200, "a member of the restarted gateway goes on")
    seen += third.stop()
    edge.kill()
    edge.start()
    produce(edge.bootstrap, topic, 1000, 200)
    fourth = Running(make(edge.bootstrap, topic, "site"))
    wait_until(lambda: len(fourth.seen) >= 200, "a member goes on after kill -9")
    seen += fourth.stop()
    assert_once(seen, 1200)


def subscription(topic):
    """What a consumer says of itself: version 0, one topic, no user data."""
    return struct.pack(f">hih{len(topic)}si", 0, 1, len(topic), topic.encode(), -1)


def test_a_member_that_dies_is_replaced_after_its_session(launch):
    from protocol import Connection
    edge = launch(Edge, outage(), extra=QUICK)
    produce(edge.bootstrap, "sensor.dead", 0, 40)
    alive = Running(ConfluentMember(edge.bootstrap, "sensor.dead", "site"))
    wait_until(lambda: len(alive.owned) == 4, "one member has all partitions")
    with Connection(edge.kafka) as wire:
        ghost = wire.call(
            "join_group", 3, group_id="site", session_timeout=6000, rebalance_timeout=6000, member_id="",
            protocol_type="consumer",
            protocols=[{"name": name, "metadata": subscription("sensor.dead")} for name in ("range", "roundrobin")])
        assert ghost.error_code == 0 and ghost.member_id
    # It got its share and is never heard of again.
    wait_until(lambda: len(alive.owned) == 2, "the ghost has its share")
    wait_until(lambda: len(alive.owned) == 4, "the session of the ghost ends", 20)
    alive.stop()


def test_operators_see_and_delete_local_groups(launch):
    from confluent_kafka.admin import AdminClient
    edge = launch(Edge, outage(), extra=QUICK)
    produce(edge.bootstrap, "sensor.admin", 0, 40)
    member = Running(ConfluentMember(edge.bootstrap, "sensor.admin", "seen"))
    wait_until(lambda: len(member.seen) >= 40, "read")
    admin = AdminClient({"bootstrap.servers": edge.bootstrap})
    assert [g.group_id for g in admin.list_consumer_groups().result(10).valid] == ["seen"]
    described = admin.describe_consumer_groups(["seen"])["seen"].result(10)
    assert described.state.name == "STABLE" and len(described.members) == 1
    with urllib.request.urlopen(f"http://127.0.0.1:{edge.http}/metrics", timeout=5) as answer:
        assert "cairn_local_group_members 1" in answer.read().decode()
    member.stop()
    admin.delete_consumer_groups(["seen"])["seen"].result(10)
    assert admin.list_consumer_groups().result(10).valid == []
    again = Running(ConfluentMember(edge.bootstrap, "sensor.admin", "seen"))
    wait_until(lambda: len(again.seen) >= 40, "a deleted group begins again")
    again.stop()


def test_a_damaged_offset_file_is_put_aside_and_shown_and_the_gateway_serves(launch):
    edge = launch(Edge, outage(), extra=QUICK)
    produce(edge.bootstrap, "sensor.damage", 0, 40)
    member = Running(ConfluentMember(edge.bootstrap, "sensor.damage", "g"))
    wait_until(lambda: len(member.seen) >= 40, "read")
    member.stop()
    edge.stop()
    (edge.data / "groups.sqlite").write_bytes(b"not a database" * 500)
    edge.start()
    assert (edge.data / "groups.sqlite.broken").exists()
    with urllib.request.urlopen(f"http://127.0.0.1:{edge.http}/", timeout=5) as page:
        assert "put aside" in page.read().decode()
    again = Running(ConfluentMember(edge.bootstrap, "sensor.damage", "g"))
    wait_until(lambda: len(again.seen) >= 40, "the group begins anew")
    again.stop()


@pytest.mark.parametrize("rounds", [10])
def test_kill_9_under_commits_loses_no_committed_offset(launch, rounds):
    """Every answered commit is there after kill -9, every time."""
    from confluent_kafka import Consumer, TopicPartition
    edge = launch(Edge, outage(), extra=QUICK)
    # A restart sets what was committed beyond the end of the log to its end: there must be a record for every commit.
    records = 4 * 30_000
    produce(edge.bootstrap, "sensor.kill", 0, records)
    answered = 0
    for _ in range(rounds):
        consumer = Consumer({"bootstrap.servers": edge.bootstrap, "group.id": "k", "enable.auto.commit": False,
                             "socket.timeout.ms": 3000})
        place = TopicPartition("sensor.kill", 0)
        found = consumer.committed([place], timeout=10)[0].offset
        assert found in (answered, answered + 1) or (answered == 0 and found < 0), (found, answered)
        answered = max(answered, found)
        done = threading.Event()

        def commit():
            nonlocal answered
            while not done.is_set() and answered + 1 < records // 4:
                try:
                    consumer.commit(offsets=[TopicPartition("sensor.kill", 0, answered + 1)], asynchronous=False)
                except Exception:  # noqa: BLE001 - killed under it: it may be there or not
                    return
                answered += 1

        thread = threading.Thread(target=commit, daemon=True)
        thread.start()
        time.sleep(0.3)
        edge.kill()
        done.set()
        edge.start()
        # The commit that was under way is tried again until the gateway is back.
        thread.join(30)
        assert not thread.is_alive()
        consumer.close()
    assert answered > rounds
    print(f"{answered} commits over {rounds} kills")
