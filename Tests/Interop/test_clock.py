"""A gateway whose clock is wrong: what it stamps meanwhile is right in the cloud once the time is known, or says that it is not."""

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from conftest import Cloud, Edge, cairn, consume, free_port, wait_until

WEEK = 7 * 86400
SETTLED = 61  # seconds after a step until a disciplined clock is believed again


class Clock:
    """The clock of the processes that get `environment`: a library before libc, and the file it reads."""

    def __init__(self, directory):
        self.file, library = directory / "clock.txt", directory / "fakeclock.so"
        compiler = shutil.which("cc") or shutil.which("clang")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, Path(__file__).with_name("fakeclock.c"), "-ldl"],
                       check=True, timeout=60)
        self.environment = {"LD_PRELOAD": str(library), "FAKE_CLOCK": str(self.file)}
        self.wall = self.boot = 0
        self.set(0, False)

    def set(self, wall, disciplined, forward=0):
        """`wall` seconds beside the right time; `forward` seconds pass."""
        self.wall, self.boot = int(wall), self.boot + forward
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{self.wall} {self.boot} {int(disciplined)}")
        os.replace(fresh, self.file)


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path)


class Gateway(Edge):
    def __init__(self, directory, store, clock, announce=None, **options):
        self.tcp = free_port()
        super().__init__(directory, store, announce, ports=[self.tcp], extra=[
            "--tcp-listen", f"127.0.0.1:{self.tcp} id=rover topic=gnss.raw record=frame"], **options)
        self.environment.update(clock.environment)


def send(gateway, words):
    """One NMEA sentence for each word; returns when all are durable, with the true times they were sent between."""
    before = metric(gateway, 'cairn_lane_records_total{lane="critical"}')
    began = time.time()
    with socket.create_connection(("127.0.0.1", gateway.tcp), timeout=5) as connection:
        for word in words:
            text = f"GPTXT,{word}"
            check = 0
            for byte in text.encode():
                check ^= byte
            connection.sendall(f"${text}*{check:02X}\r\n".encode())
        wait_until(lambda: metric(gateway, 'cairn_lane_records_total{lane="critical"}') >= before + len(words), "durable")
    return began, time.time()


def metric(gateway, name):
    text = urllib.request.urlopen(f"http://127.0.0.1:{gateway.http}/metrics", timeout=5).read().decode()
    return next((float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name + " ")), 0.0)


def mark(message):
    return dict(message.headers() or []).get("cairn-clock")


def word(message):
    return message.value().decode().split(",")[1].split("*")[0]


@pytest.mark.parametrize("error", [-1_700_000_000, -1024 * WEEK, 11 * 365 * 86400], ids=["1970", "1024-weeks", "11-years"])
def test_times_are_repaired_once_the_clock_is_known(launch, directory_store, clock, error):
    clock.set(error, disciplined=True)
    cloud = launch(Cloud, directory_store)
    gateway = launch(Gateway, directory_store, clock, cloud.announce)
    assert cairn("uplink", "pause", gateway.data).returncode == 0
    sent = [send(gateway, ["a", "b", "c"])]
    gateway.kill()  # another start on the same run of the machine
    gateway.start()
    sent.append(send(gateway, ["d", "e"]))
    offset = -clock.boot
    clock.set(0, disciplined=True)
    time.sleep(2.5)  # the step is seen
    clock.set(0, disciplined=True, forward=SETTLED)
    wait_until(lambda: "run " in (gateway.data / "clock").read_text() if (gateway.data / "clock").exists() else False,
               "the time is known")
    sent.append(send(gateway, ["f"]))
    assert cairn("uplink", "resume", gateway.data).returncode == 0
    found = consume(cloud.bootstrap, "gnss.raw", 6)
    assert [word(m) for m in found] == list("abcdef") and all(mark(m) is None for m in found)
    spans = [sent[0]] * 3 + [sent[1]] * 2 + [(sent[2][0] + SETTLED, sent[2][1] + SETTLED)]
    for message, (first, last) in zip(found, spans):
        # The first five came before a minute was added to the time since the start of the machine.
        at = message.timestamp()[1] / 1000
        assert first - 1 <= at <= last + 1, (word(message), at, first, last, offset)
    assert metric(gateway, 'cairn_uplink_redated_records_total{lane="critical"}') == 5


def test_a_run_of_the_machine_that_never_knew_is_marked_and_live_data_does_not_wait(launch, directory_store, clock):
    clock.set(-1_700_000_000, disciplined=True)
    cloud = launch(Cloud, directory_store)
    gateway = launch(Gateway, directory_store, clock, cloud.announce)
    send(gateway, ["a", "b"])
    found = consume(cloud.bootstrap, "gnss.raw", 2)
    assert [mark(m) for m in found] == [b"unknown"] * 2
    assert all(0 < m.timestamp()[1] < 1_000_000_000_000 for m in found)
    # What readers on the site see is what was taken.
    local = consume(gateway.bootstrap, "gnss.raw", 2)
    assert [mark(m) for m in local] == [None] * 2
    assert [m.timestamp()[1] for m in local] == [m.timestamp()[1] for m in found]
    assert metric(gateway, 'cairn_uplink_undated_records_total{lane="critical"}') == 2


def test_times_of_a_producer_are_its_own(launch, directory_store, clock):
    from confluent_kafka import Producer
    clock.set(-1_700_000_000, disciplined=True)
    cloud = launch(Cloud, directory_store)
    gateway = launch(Gateway, directory_store, clock, cloud.announce)
    producer = Producer({"bootstrap.servers": gateway.bootstrap})
    producer.produce("gnss.own", b"x", timestamp=12_345)
    assert producer.flush(20) == 0
    found = consume(cloud.bootstrap, "gnss.own", 1)
    assert found[0].timestamp()[1] == 12_345 and mark(found[0]) is None
