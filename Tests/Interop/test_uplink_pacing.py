"""A gateway's uplink over a real S3 server: cap, pause and resume by command, data plan, half-open link."""

import json
import os
import socket
import threading
import time
import urllib.error
import urllib.request

from conftest import Cloud, Edge, SeaweedFS, cairn, consume, free_port, wait_until

CAP = 200 * 1024


def produce(edge, topic, count, size=10_000):
    """`count` records of `size` bytes that nothing compresses; each begins with its number."""
    from confluent_kafka import Producer
    producer = Producer({"bootstrap.servers": edge.bootstrap, "enable.idempotence": True, "linger.ms": 5,
                         "compression.type": "none"})
    for number in range(count):
        producer.produce(topic, b"%08d" % number + os.urandom(size - 8))
        producer.poll(0)
    assert producer.flush(60) == 0


def status(edge):
    done = cairn("uplink", "status", "--json", edge.data)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def lane(report, name):
    return next(lane for lane in report["lanes"] if lane["lane"] == name)


def numbers(messages):
    return [int(message.value()[:8]) for message in messages]


def test_a_cap_holds_and_a_pause_leaves_no_gap(launch):
    weed = launch(SeaweedFS)
    cloud = launch(Cloud, weed.settings())
    edge = launch(Edge, weed.settings(), cloud.announce, extra=["--uplink-bandwidth", "200KiB"])
    produce(edge, "sensor.capped", 600)
    first = wait_until(lambda: (s := status(edge))["budgetUsedBytes"] > 300_000 and s, "the upload under way")
    began = time.monotonic()
    time.sleep(8)
    sent = status(edge)["budgetUsedBytes"] - first["budgetUsedBytes"]
    seconds = time.monotonic() - began
    print(f"{sent / seconds / 1024:.0f} KiB/s under a cap of 200 KiB/s")
    assert 0.8 * CAP * seconds < sent < CAP * seconds + 2 * 65536

    # Paused: nothing leaves, over kill -9 and restart too.
    done = cairn("uplink", "pause", edge.data)
    assert done.returncode == 0 and "paused by command" in done.stdout, done
    before = status(edge)
    time.sleep(2)
    after = status(edge)
    assert after["budgetUsedBytes"] == before["budgetUsedBytes"] and after["isPaused"]
    assert lane(after, "standard").get("hold") == "paused" and lane(after, "standard")["backlogLSNs"] > 0
    edge.kill()
    edge.start()
    time.sleep(1)
    again = status(edge)
    assert again["isPaused"] and lane(again, "standard")["uploadedObjects"] == 0
    health = urllib.request.Request(f"http://127.0.0.1:{edge.http}/health")
    try:
        urllib.request.urlopen(health)
        raise AssertionError("a paused gateway is not healthy")
    except urllib.error.HTTPError as error:
        assert error.code == 503 and b"paused" in error.read()
    produce(edge, "sensor.capped", 5)

    done = cairn("uplink", "resume", edge.data)
    assert done.returncode == 0 and "running" in done.stdout, done
    found = numbers(consume(cloud.bootstrap, "sensor.capped", 605, 90))
    assert found == list(range(600)) + list(range(5))
    metrics = urllib.request.urlopen(f"http://127.0.0.1:{edge.http}/metrics").read().decode()
    assert f"cairn_uplink_cap_bytes_per_second {CAP}" in metrics and "cairn_uplink_paused 0" in metrics


def test_nobody_but_the_token_holder_orders(launch, directory_store):
    edge = launch(Edge, directory_store)
    url = f"http://127.0.0.1:{edge.http}/v1/uplink/pause"
    control = json.loads((edge.data / "control.json").read_text())
    assert (edge.data / "control.json").stat().st_mode & 0o077 == 0
    bearer = {"Authorization": "Bearer " + control["token"]}
    for headers, code in [
            ({}, 401), ({"Authorization": "Bearer " + "0" * 64}, 401),
            ({**bearer, "Origin": "http://evil.example"}, 403), ({**bearer, "Origin": "null"}, 403)]:
        try:
            urllib.request.urlopen(urllib.request.Request(url, data=b"", headers=headers))
            raise AssertionError(f"{headers} was obeyed")
        except urllib.error.HTTPError as error:
            assert error.code == code, headers
    assert not status(edge)["isPaused"]
    urllib.request.urlopen(urllib.request.Request(url, data=b"", headers=bearer))
    assert status(edge)["isPaused"]
    edge.stop()
    done = cairn("uplink", "status", edge.data)
    assert done.returncode == 69 and "no gateway answers" in done.stderr


def test_the_data_plan_stops_bulk_and_lets_critical_go_on(launch):
    weed = launch(SeaweedFS)
    cloud = launch(Cloud, weed.settings())
    plan = ["--uplink-budget", "2MiB", "--uplink-object-bytes", "256KiB", "--uplink-budget-at-80", "bulk=go-on"]
    edge = launch(Edge, weed.settings(), cloud.announce, extra=plan)
    produce(edge, "log.much", 400)
    wait_until(lambda: lane(status(edge), "bulk").get("hold") == "budget", "the plan used up")
    used = status(edge)["budgetUsedBytes"]
    assert 2 << 20 <= used < 4 << 20, used
    produce(edge, "gnss.few", 3)
    assert numbers(consume(cloud.bootstrap, "gnss.few", 3, 30)) == [0, 1, 2]
    report = status(edge)
    assert lane(report, "bulk").get("hold") == "budget" and lane(report, "bulk")["backlogLSNs"] > 0
    # A restart does not give the plan back; a larger plan lets bulk go on.
    edge.kill()
    edge.start()
    wait_until(lambda: lane(status(edge), "bulk").get("hold") == "budget", "still used up")
    assert status(edge)["budgetUsedBytes"] >= used
    edge.stop()
    edge.arguments = [a if a != "2MiB" else "1GiB" for a in edge.arguments]
    edge.start()
    assert numbers(consume(cloud.bootstrap, "log.much", 400, 60)) == list(range(400))


class HalfOpenProxy:
    """Carries connections to a port; `stall()` makes the open ones take and give nothing any more, as a lost link does."""

    def __init__(self, target):
        self.port, self.target, self.stalled = free_port(), target, set()
        self.connections = []
        self.server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.server.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            self.connections.append((near, far))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self.carry, args=(source, sink, near), daemon=True).start()

    def carry(self, source, sink, near):
        try:
            while data := source.recv(16384):
                while near in self.stalled:
                    time.sleep(0.1)
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            end.close()

    def stall(self):
        self.stalled.update(near for near, _ in self.connections)


def test_a_half_open_link_is_left_and_the_upload_goes_on_over_a_new_one(launch):
    weed = launch(SeaweedFS)
    cloud = launch(Cloud, weed.settings())
    proxy = HalfOpenProxy(weed.port)
    settings = [s.replace(str(weed.port), str(proxy.port)) for s in weed.settings()]
    edge = launch(Edge, settings, cloud.announce,
                  extra=["--uplink-bandwidth", "1MiB", "--uplink-progress-timeout", "2s"])
    produce(edge, "sensor.half", 500)
    wait_until(lambda: status(edge)["budgetUsedBytes"] > 500_000, "the upload under way")
    proxy.stall()
    began = time.monotonic()
    assert numbers(consume(cloud.bootstrap, "sensor.half", 500, 90)) == list(range(500))
    print(f"all there {time.monotonic() - began:.1f} s after the link was lost")


def test_live_critical_data_stays_fresh_while_a_backlog_drains_at_the_cap(launch):
    """P10, fluent-bit #2137: a backlog delays fresh data. Flush interval here: 200 ms."""
    from confluent_kafka import Producer
    weed = launch(SeaweedFS)
    cloud = launch(Cloud, weed.settings())
    edge = launch(Edge, weed.settings(), cloud.announce, extra=["--uplink-bandwidth", "200KiB"])
    produce(edge, "log.backlog", 600)
    wait_until(lambda: lane(status(edge), "bulk")["isBacklog"] and status(edge)["budgetUsedBytes"] > 300_000, "a backlog")
    producer = Producer({"bootstrap.servers": edge.bootstrap})
    first = status(edge)["budgetUsedBytes"]
    began = time.monotonic()
    for number in range(12):
        producer.produce("gnss.live", b"%d" % time.time_ns() + os.urandom(2000))
        assert producer.flush(10) == 0
        time.sleep(1)
    seconds = time.monotonic() - began
    sent = status(edge)["budgetUsedBytes"] - first
    assert lane(status(edge), "bulk")["backlogLSNs"] > 0, "the backlog lasted throughout"
    # The object's time in the store, not the consumer's: when each record was in the cloud's reach.
    client = weed.client()
    objects = [o for page in client.get_paginator("list_objects_v2").paginate(Bucket="cairn-test", Prefix="sites/")
               for o in page.get("Contents", []) if "/critical/" in o["Key"]]
    assert len(objects) >= 10, "each went by itself, none waited for the next"
    found = consume(cloud.bootstrap, "gnss.live", 12, 30)
    assert len(found) == 12
    print(f"{len(objects)} live objects beside a backlog at {sent / seconds / 1024:.0f} KiB/s of 200")
    assert sent > 0.85 * CAP * seconds
