"""Three clients behind one face: transactional producers, and readers of a topic to its end."""

import asyncio

CLIENTS = ["confluent", "aiokafka", "kafka-python"]


class ConfluentTransactions:
    """librdkafka: transactions of version 1."""

    def __init__(self, bootstrap, name, timeout_ms=60_000, **settings):
        from confluent_kafka import Producer
        self.producer = Producer({
            "bootstrap.servers": bootstrap, "transactional.id": name, "transaction.timeout.ms": timeout_ms,
            "linger.ms": 2, "retry.backoff.ms": 20, "reconnect.backoff.max.ms": 200, "socket.timeout.ms": min(5000, timeout_ms), **settings})

    def init(self):
        self.producer.init_transactions(20)

    def begin(self):
        self.producer.begin_transaction()

    def send(self, topic, values, partition=0):
        for value in values:
            self.producer.produce(topic, value=value, partition=partition)

    def flush(self):
        assert self.producer.flush(20) == 0

    def commit(self):
        self.producer.commit_transaction(20)

    def abort(self):
        self.producer.abort_transaction(20)

    def close(self):
        self.producer = None


class AIOKafkaTransactions:
    """aiokafka: every request in its first version."""

    def __init__(self, bootstrap, name, timeout_ms=60_000, **settings):
        from aiokafka import AIOKafkaProducer
        self.runner = asyncio.Runner()
        self.waiting = []

        async def make():
            producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=name,
                                        transaction_timeout_ms=timeout_ms, request_timeout_ms=5000,
                                        retry_backoff_ms=20, **settings)
            await producer.start()
            return producer
        self.make = make

    def _run(self, wait):
        async def bounded():
            return await asyncio.wait_for(wait, 20)
        return self.runner.run(bounded())

    def init(self):
        self.producer = self._run(self.make())

    def begin(self):
        self._run(self.producer.begin_transaction())

    def send(self, topic, values, partition=0):
        async def sent():
            self.waiting += [await self.producer.send(topic, value, partition=partition) for value in values]
        self._run(sent())

    def flush(self):
        async def delivered():
            for wait in self.waiting:
                await wait
        self._run(delivered())
        self.waiting = []

    def commit(self):
        self._run(self.producer.commit_transaction())

    def abort(self):
        self._run(self.producer.abort_transaction())

    def close(self):
        try:
            self._run(self.producer.stop())
        finally:
            self.runner.close()


class KafkaPythonTransactions:
    """kafka-python."""

    def __init__(self, bootstrap, name, timeout_ms=60_000, **settings):
        from kafka import KafkaProducer
        self.producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=name,
                                      transaction_timeout_ms=timeout_ms, retry_backoff_ms=20, max_block_ms=20_000,
                                      request_timeout_ms=10_000, delivery_timeout_ms=20_000, **settings)

    def init(self):
        self.producer.init_transactions()

    def begin(self):
        self.producer.begin_transaction()

    def send(self, topic, values, partition=0):
        for value in values:
            self.producer.send(topic, value=value, partition=partition)

    def flush(self):
        self.producer.flush(20)

    def commit(self):
        self.producer.commit_transaction()

    def abort(self):
        self.producer.abort_transaction()

    def close(self):
        self.producer.close(timeout=2)


TRANSACTIONS = dict(zip(CLIENTS, [ConfluentTransactions, AIOKafkaTransactions, KafkaPythonTransactions]))


def produce(client, bootstrap, topic, values, codec="none", partition=0, timestamp_ms=None):
    """Sends all and waits for the acks."""
    if client == "confluent":
        from confluent_kafka import Producer
        failures = []
        producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 20})
        for number, value in enumerate(values):
            when = {} if timestamp_ms is None else {"timestamp": timestamp_ms + number}
            producer.produce(topic, value=value, partition=partition, **when,
                             on_delivery=lambda error, _: failures.append(error) if error else None)
        left = producer.flush(20)
        if failures or left:
            raise RuntimeError(f"{left} records left, {len(failures)} failed: {failures[:1]}")
    elif client == "kafka-python":
        from kafka import KafkaProducer
        producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=20,
                                 compression_type=None if codec == "none" else codec)
        sent = [producer.send(topic, value=value, partition=partition,
                              timestamp_ms=None if timestamp_ms is None else timestamp_ms + number)
                for number, value in enumerate(values)]
        producer.flush(20)
        for one in sent:
            one.get(timeout=20)
        producer.close(timeout=2)
    else:
        async def run():
            from aiokafka import AIOKafkaProducer
            producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=20,
                                        compression_type=None if codec == "none" else codec)
            await producer.start()
            try:
                sent = [await producer.send(topic, value, partition=partition,
                                            timestamp_ms=None if timestamp_ms is None else timestamp_ms + number)
                        for number, value in enumerate(values)]
                for one in sent:
                    await asyncio.wait_for(one, 20)
            finally:
                await producer.stop()
        asyncio.run(run())


def read(client, bootstrap, topic, committed=False, partition=0, offset=0, seconds=20):
    """Values of the partition from `offset` to its end: to the last stable offset for a reader of what is committed."""
    isolation = "read_committed" if committed else "read_uncommitted"
    if client == "confluent":
        return [m.value() for m in read_messages(bootstrap, topic, [partition], isolation, offset, seconds)]
    if client == "kafka-python":
        from kafka import KafkaConsumer, TopicPartition
        consumer = KafkaConsumer(bootstrap_servers=bootstrap, isolation_level=isolation, enable_auto_commit=False,
                                 fetch_max_wait_ms=20)
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        consumer.seek(place, offset)
        end, values = consumer.end_offsets([place])[place], []
        for _ in range(seconds * 10):
            if consumer.position(place) >= end:
                break
            for records in consumer.poll(timeout_ms=100).values():
                values += [r.value for r in records]
        assert consumer.position(place) >= end, f"read to {consumer.position(place)} of {end}"
        consumer.close()
        return values

    async def run():
        from aiokafka import AIOKafkaConsumer, TopicPartition
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level=isolation, enable_auto_commit=False,
                                 fetch_max_wait_ms=20)
        await consumer.start()
        try:
            place, values = TopicPartition(topic, partition), []
            consumer.assign([place])
            consumer.seek(place, offset)
            end = (await consumer.end_offsets([place]))[place]
            for _ in range(seconds * 10):
                if await consumer.position(place) >= end:
                    break
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    values += [r.value for r in records]
            assert await consumer.position(place) >= end
            return values
        finally:
            await consumer.stop()
    return asyncio.run(asyncio.wait_for(run(), seconds + 5))


def read_messages(bootstrap, topic, partitions, isolation="read_committed", offset=0, seconds=20):
    """confluent_kafka messages of the partitions to their ends."""
    import time
    from confluent_kafka import Consumer, KafkaError, TopicPartition
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False, "isolation.level": isolation,
        "enable.partition.eof": True, "auto.offset.reset": "error",
        "fetch.wait.max.ms": 20})
    try:
        consumer.assign([TopicPartition(topic, p, offset) for p in partitions])
        found, open_partitions, deadline = [], set(partitions), time.monotonic() + seconds
        while open_partitions and time.monotonic() < deadline:
            for message in consumer.consume(1000, timeout=0.1):
                if not message.error():
                    found.append(message)
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition())
                else:
                    raise AssertionError(message.error())
        assert not open_partitions, f"no end of partitions {open_partitions} within {seconds} s"
        return found
    finally:
        consumer.close()
