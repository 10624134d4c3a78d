"""kill -9 of gateway and cloud under load over a real S3 server: nothing lost, nothing doubled, order kept."""

import os
import random
import time

from conftest import Cloud, Edge, SeaweedFS, consume, wait_until
from load import AccountedProducer, assert_exactly_once_in_order

KILLS = int(os.environ.get("CAIRN_TEST_KILLS", "200"))


def test_kill_9_anywhere_loses_nothing_and_doubles_nothing(launch):
    weed = launch(SeaweedFS)
    cloud = launch(Cloud, weed.settings())
    edge = launch(Edge, weed.settings(), cloud.announce, extra=["--kafka-partitions", "2"])
    seed = int(os.environ.get("CAIRN_TEST_SEED", random.randrange(1 << 30)))
    print(f"seed {seed}: repeat with CAIRN_TEST_SEED={seed}")
    chance = random.Random(seed)
    producer = AccountedProducer(edge.bootstrap, "sensor.kills", partitions=2).start()
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.0, 0.4))
        victim = edge if chance.random() < 0.6 else cloud
        victim.kill()
        victim.start()
    sent = producer.finish(60)
    messages = consume(cloud.bootstrap, "sensor.kills", sum(sent), 120)
    assert_exactly_once_in_order(messages, sent)
    print(f"{KILLS} kills, {sum(sent)} records")


def test_kill_9_of_the_cloud_under_direct_produce_loses_nothing(launch):
    from confluent_kafka.admin import AdminClient, NewTopic
    weed = launch(SeaweedFS)
    cloud = launch(Cloud, weed.settings())
    admin = AdminClient({"bootstrap.servers": cloud.bootstrap})
    admin.create_topics([NewTopic("direct", 2, 1)])["direct"].result(20)
    producer = AccountedProducer(cloud.bootstrap, "direct", partitions=2).start()
    for _ in range(10):
        time.sleep(0.5)
        cloud.kill()
        cloud.start()
    sent = producer.finish(60)
    assert_exactly_once_in_order(consume(cloud.bootstrap, "direct", sum(sent), 60), sent)


def test_an_outage_of_the_store_under_load_loses_nothing(launch):
    weed = launch(SeaweedFS)
    cloud = launch(Cloud, weed.settings())
    edge = launch(Edge, weed.settings(), cloud.announce, extra=["--kafka-partitions", "2"])
    producer = AccountedProducer(edge.bootstrap, "sensor.outage", partitions=2).start()
    time.sleep(1)
    weed.kill()
    acked = sum(map(len, producer.acked))
    wait_until(lambda: sum(map(len, producer.acked)) > acked + 1000, "the gateway goes on accepting without a store")
    weed.start()
    time.sleep(1)
    weed.pause()
    time.sleep(3)
    weed.resume()
    sent = producer.finish()
    assert_exactly_once_in_order(consume(cloud.bootstrap, "sensor.outage", sum(sent), 120), sent)
