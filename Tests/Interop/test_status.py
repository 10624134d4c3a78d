"""What a gateway says of itself: `cairn status`, its state file, and the service manager's watchdog."""

import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request

import pytest

from conftest import BINARY, Cloud, Edge, cairn, wait_until
from test_clients import produce_confluent


def status(edge, *extra):
    return cairn("status", "--url", f"http://127.0.0.1:{edge.http}", "--state", edge.data, *extra)


def lane(edge, name="standard"):
    report = json.loads(status(edge, "--json").stdout)
    return next(found for found in report["lanes"] if found["name"] == name)


def test_status_tells_backlog_and_death(launch, directory_store):
    edge = launch(Edge, directory_store)
    assert status(edge).returncode == 0
    produce_confluent(edge.bootstrap, "t", 5000)
    wait_until(lambda: lane(edge)["backlogBytes"] == 0 and lane(edge).get("lastSuccessSecondsAgo") is not None, "uploaded")
    # Without an uplink what waits is counted, and its age. That is no alarm: the gateway works.
    edge.stop()
    edge.arguments = [*edge.arguments, "--uplink-enabled", "false"]
    edge.start()
    produce_confluent(edge.bootstrap, "t", 5000)
    waiting = wait_until(lambda: lane(edge) if lane(edge)["backlogBytes"] > 20_000 else None, "a backlog")
    assert 0 <= waiting["backlogAgeMs"] < 60_000
    assert waiting.get("etaSeconds") is None
    table = status(edge)
    assert table.returncode == 0 and "grows" in table.stdout, table.stdout
    # Dead: the last report is shown with its age.
    wait_until(lambda: (edge.data / "status.json").exists(), "a state file")
    edge.kill()
    dead = status(edge)
    assert dead.returncode == 69
    assert "its last report is" in dead.stdout and "does not answer" in dead.stderr


def test_what_is_not_remembered_of_the_clock_is_an_alarm(launch, directory_store):
    edge = launch(Edge, directory_store, extra=["--uplink-enabled", "false"])
    edge.stop()
    (edge.data / "clock").unlink(missing_ok=True)
    (edge.data / "clock").mkdir()  # whatever the clock is here, it can be neither read nor written
    edge.start()
    said = "what is known of the clock is not remembered: "
    wait_until(lambda: said in cairn("status", "--url", f"http://127.0.0.1:{edge.http}").stdout, "cairn status", 20)
    with pytest.raises(urllib.error.HTTPError) as sick:
        urllib.request.urlopen(f"http://127.0.0.1:{edge.http}/health", timeout=10)
    assert said in sick.value.read().decode()
    wait_until(lambda: said in (edge.data / "status.json").read_text(), "the state file", 20)


def test_status_of_something_else(launch, directory_store):
    cloud = launch(Cloud, directory_store)
    answer = cairn("status", "--url", f"http://127.0.0.1:{cloud.http}", "--state", "/nowhere")
    assert answer.returncode == 69 and "not a gateway" in answer.stderr


def test_the_watchdog_is_fed_while_there_is_progress_and_not_by_a_stopped_process(launch, directory_store, tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(20)

        class Notified(Edge):
            def __init__(self, *arguments, **options):
                super().__init__(*arguments, **options)
                self.environment |= {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "600000"}

        edge = launch(Notified, directory_store)
        assert manager.recv(200) != b"STOPPING=1"
        seen = {manager.recv(200) for _ in range(6)}
        assert b"WATCHDOG=1" in seen and seen <= {b"READY=1", b"WATCHDOG=1"}, seen
        os.kill(edge.child.pid, signal.SIGSTOP)
        time.sleep(0.5)
        manager.setblocking(False)
        try:
            while manager.recv(200):
                pass
        except BlockingIOError:
            pass
        time.sleep(1)
        try:
            assert manager.recv(200) is None, "a stopped process feeds nothing"
        except BlockingIOError:
            pass
        os.kill(edge.child.pid, signal.SIGCONT)
        manager.settimeout(20)
        assert manager.recv(200) == b"WATCHDOG=1"
        edge.stop()
        manager.setblocking(False)
        left = []
        try:
            while True:
                left.append(manager.recv(200))
        except BlockingIOError:
            pass
        assert b"STOPPING=1" in left


def test_ready_is_said_when_it_accepts(launch, directory_store, tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(20)
        cloud = Cloud(tmp_path, directory_store)
        cloud.environment |= {"NOTIFY_SOCKET": path}
        super(Cloud, cloud).start()
        try:
            while manager.recv(200) != b"READY=1":
                pass
            with socket.create_connection(("127.0.0.1", cloud.kafka), timeout=5):
                pass
        finally:
            cloud.kill()
