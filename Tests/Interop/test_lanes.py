"""Sources and topics to lanes by pattern: what a client or a terminal sends goes up in the lane that the settings name."""

import socket
import urllib.request

from conftest import Cloud, Edge, cairn, consume, free_port, wait_until


def records(edge, lane):
    text = urllib.request.urlopen(f"http://127.0.0.1:{edge.http}/metrics", timeout=5).read().decode()
    name = f'cairn_lane_records_total{{lane="{lane}"}} '
    return next((int(float(line[len(name):])) for line in text.splitlines() if line.startswith(name)), 0)


def send(edge, topic, client, values):
    from confluent_kafka import Producer
    producer = Producer({"bootstrap.servers": edge.bootstrap, "client.id": client, "enable.idempotence": True})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(30) == 0


def test_sources_go_before_topics_and_keep_their_order(launch, directory_store):
    cloud, port = launch(Cloud, directory_store), free_port()
    edge = launch(Edge, directory_store, cloud.announce, ports=[port], extra=[
        "--tcp-listen", f"127.0.0.1:{port} id=rover7 topic=misc.text record=frame",
        "--lanes-critical-sources", "kafka:*-alarm?,tcp:rover?", "--lanes-bulk-topics", "*.dump,log?.*"])
    urgent, plain = [b"u%d" % n for n in range(50)], [b"p%d" % n for n in range(50)]
    for n in range(5):  # in turn, so that the topic is fed from both lanes at once
        send(edge, "app.dump", "site-alarm1", urgent[n * 10:n * 10 + 10])
        send(edge, "app.dump", "site-app", plain[n * 10:n * 10 + 10])
    assert (records(edge, "critical"), records(edge, "bulk"), records(edge, "standard")) == (50, 50, 0)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"$GPTXT,a*02\r\n")
        wait_until(lambda: records(edge, "critical") == 51, "the terminal's record in its lane")
    edge.kill()
    edge.start()
    send(edge, "app.dump", "site-alarm1", [b"u50"])
    send(edge, "app.dump", "site-app", [b"p50"])
    found = [message.value() for message in consume(cloud.bootstrap, "app.dump", 102)]
    assert [v for v in found if v.startswith(b"u")] == urgent + [b"u50"]
    assert [v for v in found if v.startswith(b"p")] == plain + [b"p50"]
    # The site reads the topic's own lane.
    local = [message.value() for message in consume(edge.bootstrap, "app.dump", 51)]
    assert local == plain + [b"p50"]


def test_patterns_that_cannot_be_are_refused(tmp_path):
    base = ["edge", "--site", "A", "--data-dir", tmp_path / "e", "--store-url", f"dir:{tmp_path / 'store'}"]
    for flag, value, text in [
        ("--lanes-critical-sources", "mqtt:*", "expected ntrip:, tcp:, udp: or kafka:"),
        ("--lanes-critical-topics", "a*?", "every ? before one *"),
        ("--lanes-bulk-topics", "gnss.*", "can never match: lane critical has it"),
    ]:
        done = cairn(*base, flag, value)
        assert done.returncode == 78 and text in done.stderr, (flag, done.stderr)
