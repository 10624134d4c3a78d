"""A producer whose every record is accounted for: what was acked, and in which order."""

import threading
import time


class AccountedProducer:
    """Sends `<partition>:<number>` to each partition from its own thread until stopped; idempotent, endless retries."""

    def __init__(self, bootstrap, topic, partitions=2, pause=0.0005):
        from confluent_kafka import Producer
        self.topic, self.partitions, self.pause = topic, partitions, pause
        self.producer = Producer({
            "bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 2,
            "message.timeout.ms": 0, "socket.timeout.ms": 5000, "reconnect.backoff.max.ms": 200,
            "retry.backoff.ms": 20, "queue.buffering.max.messages": 50000})
        self.sent = [0] * partitions
        self.acked = [[] for _ in range(partitions)]
        self.failed = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self):
        self._thread.start()
        return self

    def _run(self):
        def done(error, message):
            if error is not None:
                self.failed.append((message.partition(), message.value(), error))
            else:
                self.acked[message.partition()].append(int(message.value()))
        while not self._stop.is_set():
            for partition in range(self.partitions):
                try:
                    self.producer.produce(self.topic, value=str(self.sent[partition]), partition=partition,
                                          on_delivery=done)
                    self.sent[partition] += 1
                except BufferError:
                    pass
            self.producer.poll(0)
            time.sleep(self.pause)

    def finish(self, seconds=60):
        """Stops, waits until every record is acked, and returns what was sent per partition."""
        self._stop.set()
        self._thread.join(30)
        left = self.producer.flush(seconds)
        assert left == 0, f"{left} records not acked within {seconds} s"
        assert self.failed == []
        for partition, acked in enumerate(self.acked):
            assert acked == list(range(self.sent[partition])), f"acks of partition {partition} out of order"
        return list(self.sent)


def put(producer, topic, **record):
    """Produces a record as soon as the client's own queue has room for it."""
    while True:
        try:
            producer.produce(topic, **record)
            return
        except BufferError:
            producer.poll(0.1)


def assert_exactly_once_in_order(messages, sent):
    """Every record of every partition once, in the order it was sent, at dense offsets."""
    for partition, count in enumerate(sent):
        mine = [m for m in messages if m.partition() == partition]
        values = [int(m.value()) for m in mine]
        if values != list(range(count)):
            seen = set(values)
            lost = [n for n in range(count) if n not in seen]
            doubled = len(values) - len(seen)
            raise AssertionError(
                f"partition {partition}: sent {count}, read {len(values)}, lost {len(lost)} (first {lost[:5]}), "
                f"doubled {doubled}, ordered {values == sorted(values)}")
        assert [m.offset() for m in mine] == list(range(count)), f"offsets of partition {partition} are not dense"
