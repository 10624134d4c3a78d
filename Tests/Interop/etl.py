"""A consume-transform-produce loop that a test kills: etl.py BOOTSTRAP IN OUT GROUP INDEX; ends by a signal only."""

import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer

bootstrap, source, target, group, instance = sys.argv[1:]
consumer = Consumer({
    "bootstrap.servers": bootstrap, "group.id": group, "group.instance.id": instance, "session.timeout.ms": 6000,
    "enable.auto.commit": False, "auto.offset.reset": "earliest", "isolation.level": "read_committed"})
producer = Producer({
    "bootstrap.servers": bootstrap, "transactional.id": f"{group}-{instance}", "transaction.timeout.ms": 30000,
    "linger.ms": 0})
producer.init_transactions(20)
consumer.subscribe([source])
while True:
    messages = [m for m in consumer.consume(20, timeout=0.2) if not m.error()]
    if not messages:
        continue
    producer.begin_transaction()
    try:
        for message in messages:
            producer.produce(target, value=message.value().upper(), partition=message.partition())
        producer.send_offsets_to_transaction(
            consumer.position(consumer.assignment()), consumer.consumer_group_metadata(), 20)
        producer.flush(20)
        time.sleep(0.02)  # Time to be killed with everything written and nothing decided.
        producer.commit_transaction(20)
    except KafkaException as error:
        print("aborted", error, flush=True)
        if not error.args[0].txn_requires_abort():
            raise
        producer.abort_transaction(20)
        for place in consumer.committed(consumer.assignment(), 20):
            place.offset = max(place.offset, 0)
            consumer.seek(place)
