"""What administrators ask: partitions page by page, sizes, resources, offsets of groups. With unchanged clients where they speak it."""

import pytest
from clients import produce
from protocol import batch


@pytest.fixture
def admin(node):
    from kafka.admin import KafkaAdminClient
    client = KafkaAdminClient(bootstrap_servers=node.bootstrap)
    yield client
    client.close()


def test_topics_come_page_by_page(admin, wire, topic):
    wire.create(topic, partitions=5)
    seen, cursor = [], None
    for _ in range(9):
        answer = admin.describe_topic_partitions([topic], response_partition_limit=2, cursor=cursor)
        for one in answer["topics"]:
            assert (one["error_code"], one["name"]) == (0, topic)
            seen += [p["partition_index"] for p in one["partitions"]]
        cursor = answer["next_cursor"]
        if cursor is None:
            break
        cursor = {"topic_name": cursor["topic_name"], "partition_index": cursor["partition_index"]}
    assert cursor is None and seen == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("ack", ["object", "wal"])
def test_sizes_of_partitions_are_those_of_their_batches(admin, wire, topic, ack):
    """Rule C5."""
    wire.create(topic, partitions=2, cairn_ack=ack)
    data = batch([b"x" * 1000])
    for _ in range(3):
        assert wire.produce(topic, data, partition=1).error_code == 0
    brokers = admin.describe_log_dirs([topic])
    found = {}
    for broker in brokers:
        for directory in broker["log_dirs"] if "log_dirs" in broker else broker["results"]:
            assert directory["error_code"] == 0
            for one in directory["topics"]:
                for partition in one["partitions"]:
                    index = partition.get("partition_index", partition.get("partition"))
                    found[index] = partition.get("partition_size", partition.get("size"))
    assert found == {0: 0, 1: 3 * len(data)}
    answer = wire.call("describe_log_dirs", 5, topics=None)
    assert [r.error_code for r in answer.results] == [0] and answer.results[0].total_bytes == -1


def test_resources_with_settings(admin, wire, topic):
    wire.create(topic)
    found = {str(k).split(".")[-1].upper(): v for k, v in admin.list_config_resources().items()}
    assert topic in found["TOPIC"] and found["BROKER"] == ["1"]
    assert wire.call("list_config_resources", 1, resource_types=(99,)).error_code == 35


def test_offsets_of_a_group_are_deleted_unless_it_reads_the_topic(node, admin, wire, topic):
    """Rule G7: GROUP_SUBSCRIBED_TO_TOPIC while a member of the group reads the topic."""
    from confluent_kafka import Consumer, TopicPartition
    from kafka import TopicPartition as Place
    other = topic + "-other"
    for name in (topic, other):
        wire.create(name)
        produce("confluent", node.bootstrap, name, [b"1", b"2"])
    group = "g-" + topic
    consumer = Consumer({"bootstrap.servers": node.bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                         "enable.auto.commit": False})
    consumer.subscribe([topic])
    message = consumer.poll(20)
    assert message is not None and message.error() is None
    consumer.commit(offsets=[TopicPartition(topic, 0, 1), TopicPartition(other, 0, 2)], asynchronous=False)

    def delete(name):
        (error,) = admin.delete_group_offsets(group, [Place(name, 0)]).values()
        return getattr(error, "errno", error)

    def committed():
        answer = wire.call("offset_fetch", 7, group_id=group, topics=None, require_stable=False)
        return {t.name: p.committed_offset for t in answer.topics for p in t.partitions}
    assert delete(topic) == 86
    assert committed() == {topic: 1, other: 2}
    assert delete(other) == 0
    assert committed() == {topic: 1}
    consumer.close()
    assert delete(topic) == 0
    assert committed() == {}
