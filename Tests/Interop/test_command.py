"""The command as a user meets it: up, simulate, tail, wal, config."""

import signal
import subprocess
import time
import os

from conftest import BINARY, FIXTURES, Cloud, Edge, Process, accepts, cairn, consume, free_port, kcat, wait_until
from test_clients import produce_confluent


class Up(Process):
    def __init__(self, directory, *extra):
        self.edge, self.kafka, self.ntrip, self.announce, self.page = (free_port() for _ in range(5))
        super().__init__("up", [
            BINARY, "up", "--data-dir", directory / "data",
            "--edge-kafka-listen", f"127.0.0.1:{self.edge}", "--cloud-kafka-listen", f"127.0.0.1:{self.kafka}",
            "--edge-ntrip-listen", f"127.0.0.1:{self.ntrip}", "--cloud-http-listen", f"127.0.0.1:{self.announce}",
            "--edge-http-listen", f"127.0.0.1:{self.page}", *extra], directory)

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.kafka}"

    def start(self):
        super().start()
        wait_until(lambda: accepts(self.kafka) and accepts(self.edge) and accepts(self.ntrip) or not self.running,
                   "up accepting")
        assert self.running, self.output()[-3000:]
        return self


def count(bootstrap, topic):
    from confluent_kafka import Consumer, TopicPartition
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "x"})
    try:
        topics = consumer.list_topics(timeout=10).topics
        if topic not in topics:
            return 0
        return sum(consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=5)[1]
                   for p in topics[topic].partitions)
    finally:
        consumer.close()


def test_up_with_the_simulator_shows_data_to_consumers_and_goes_on_after_a_restart(launch):
    up = launch(Up, "--simulate")
    wait_until(lambda: count(up.bootstrap, "gnss.rtcm") >= 5, "simulated epochs reach consumers", 40)
    os.kill(up.child.pid, signal.SIGINT)
    assert up.child.wait(20) == 0, up.output()[-2000:]
    assert "visible" in up.output()
    up.start()
    before = count(up.bootstrap, "gnss.rtcm")
    assert before >= 5
    wait_until(lambda: count(up.bootstrap, "gnss.rtcm") > before, "it goes on where it stopped", 40)
    offsets = [m.offset() for m in consume(up.bootstrap, "gnss.rtcm", before)]
    assert offsets[:before] == list(range(before))


def test_up_replays_a_receiver_capture(launch):
    up = launch(Up, "--replay", FIXTURES / "ublox-zed-f9p_hpg1.11.log")
    wait_until(lambda: count(up.bootstrap, "gnss.raw") + count(up.bootstrap, "gnss.rtcm") >= 3, "replayed epochs", 40)


def test_simulate_feeds_a_gateway_from_another_process(launch, directory_store):
    cloud = launch(Cloud, directory_store)
    edge = launch(Edge, directory_store, cloud.announce, extra=["--ntrip-mountpoints", "*:pw"])
    done = cairn("simulate", "--ntrip", f"127.0.0.1:{edge.ntrip}", "--password", "pw", "--kafka", edge.bootstrap,
                 "--stations", "3", "--seconds", "4")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: count(cloud.bootstrap, "gnss.rtcm") >= 6, "epochs of three stations")
    keys = {m.key() for m in consume(cloud.bootstrap, "gnss.rtcm", count(cloud.bootstrap, "gnss.rtcm"))}
    assert len(keys) == 3


def test_tail_prints_decoded_records(launch, directory_store):
    import socket
    port = free_port()
    cloud = launch(Cloud, directory_store)
    launch(Edge, directory_store, cloud.announce, extra=["--tcp-listen", f"127.0.0.1:{port} id=R topic=gnss.raw record=frame"],
           ports=[port])
    with socket.create_connection(("127.0.0.1", port)) as terminal:
        terminal.sendall((FIXTURES / "ublox-zed-f9p_hpg1.11.log").read_bytes()[:20000])
        terminal.sendall((FIXTURES / "rtcm3.2.log").read_bytes()[:5000])
        wait_until(lambda: count(cloud.bootstrap, "gnss.raw") > 20, "frames in the cloud")
    done = cairn("tail", "gnss.raw", "--bootstrap", cloud.bootstrap, "--from-beginning", "--max", "60")
    assert done.returncode == 0, done.stderr
    assert "UBX" in done.stdout
    assert "NMEA" in done.stdout
    missing = cairn("tail", "no.such.topic", "--bootstrap", cloud.bootstrap, "--max", "1", "--timeout", "2s")
    assert missing.returncode != 0 and "no.such.topic" in missing.stderr


def test_wal_inspect_verify_and_rebuild(launch, directory_store, tmp_path):
    edge = launch(Edge, ["--uplink-enabled", "false"])
    for _ in range(3):  # At least three group commits, each at a 4 KiB boundary.
        produce_confluent(edge.bootstrap, "sensor.x", 1000)
    edge.kill()
    shown = cairn("wal", "inspect", edge.data)
    assert shown.returncode == 0 and "standard" in shown.stdout, shown.stderr
    sound = cairn("wal", "verify", edge.data)
    assert sound.returncode == 0, sound.stdout + sound.stderr
    for index in edge.data.rglob("*.sqlite"):
        index.unlink()
    rebuilt = cairn("wal", "rebuild-index", edge.data)
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert list(edge.data.rglob("*.sqlite"))
    segment = max((p for p in edge.data.rglob("*.seg") if "standard" in str(p)), key=lambda p: p.stat().st_mtime)
    with open(segment, "r+b") as raw:
        raw.seek(8192 + 300)  # Behind header and checkpoint: the first batch.
        raw.write(b"\xff\xff\xff\xff")
    broken = cairn("wal", "verify", edge.data)
    assert broken.returncode == 1 and "DAMAGED" in broken.stdout
    edge.start()
    produce_confluent(edge.bootstrap, "sensor.x", 10)


def test_a_wrong_configuration_is_refused_by_name_line_and_reason(tmp_path):
    path = tmp_path / "edge.yaml"
    path.write_text("site: S\ndata-dir: d\nkafka:\n  lissten: x\n")
    done = cairn("edge", "--config", path)
    assert done.returncode == 78
    assert f"{path}:4: kafka.lissten: no such setting; did you mean kafka.listen?" in done.stderr
    path.write_text("site: S\ndata-dir: d\nstore:\n  url: ftp://x\n")
    done = cairn("edge", "--config", path)
    assert done.returncode == 78 and f"{path}:4: store.url" in done.stderr


def test_the_examples_are_accepted_as_configuration(launch, tmp_path):
    for role in ("edge", "cloud"):
        shown = cairn("config", "example", role)
        assert shown.returncode == 0
        path = tmp_path / f"{role}.yaml"
        path.write_text(shown.stdout)
        checked = cairn("config", "check", role, path, "--data-dir", tmp_path / role, "--store-url", f"dir:{tmp_path}/s",
                        *(["--site", "S"] if role == "edge" else []))
        assert checked.returncode == 0, checked.stderr


def test_a_port_that_is_taken_is_named(launch, directory_store, tmp_path):
    edge = launch(Edge, directory_store)
    done = cairn("edge", "--site", "S", "--data-dir", tmp_path / "other", "--kafka-listen", f"127.0.0.1:{edge.kafka}",
                 "--http-listen", "", "--ntrip-listen", "", *directory_store)
    assert done.returncode != 0 and str(edge.kafka) in done.stderr


def test_two_gateways_cannot_open_one_log(launch, directory_store):
    edge = launch(Edge, directory_store)
    done = cairn("edge", "--site", "S", "--data-dir", edge.data, "--kafka-listen", f"127.0.0.1:{free_port()}",
                 "--http-listen", "", "--ntrip-listen", "", *directory_store)
    assert done.returncode != 0 and "in use" in done.stderr
    kcat("-P", "-b", edge.bootstrap, "-t", "still", data=b"alive")
