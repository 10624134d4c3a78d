"""Real processes for the interop tests: cairn in its roles and the servers and clients around it.

Every process is started on free loopback ports in a temporary directory and ended by the test that started it.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("CAIRN_BINARY", ROOT / ".build/release/cairn"))
VENV = Path(os.environ.get("CAIRN_VENV", ROOT / ".venv"))
FIXTURES = ROOT / "Tests/Fixtures/gnss"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what, seconds=30.0):
    """Polls until `condition()` is true; fails with `what` after a bound."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


def accepts(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return True
    except OSError:
        return False


class Process:
    """One child process with its output in a file; killed at the end whatever happens."""

    def __init__(self, name, arguments, directory, environment=None):
        self.name, self.arguments, self.directory = name, [str(a) for a in arguments], Path(directory)
        # Variables that begin with CAIRN_ are settings of cairn; those of the tests are none.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("CAIRN_")}
        self.environment = {**inherited, **(environment or {})}
        self.log = self.directory / f"{name}.log"
        self.child = None

    def start(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                self.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment,
                cwd=self.directory, start_new_session=True)
        return self

    @property
    def running(self):
        return self.child is not None and self.child.poll() is None

    def output(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def kill(self):
        self._end(signal.SIGKILL)

    def stop(self, seconds=20):
        """SIGTERM, and the exit code; a process that does not end is killed and the test fails."""
        if not self.running:
            return self.child.returncode if self.child else None
        os.kill(self.child.pid, signal.SIGTERM)
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop within {seconds} s\n{self.output()[-2000:]}")

    def pause(self):
        os.killpg(self.child.pid, signal.SIGSTOP)

    def resume(self):
        os.killpg(self.child.pid, signal.SIGCONT)

    def _end(self, number):
        if self.child is None:
            return
        try:
            os.killpg(self.child.pid, number)
        except ProcessLookupError:
            pass
        self.child.wait(20)

    def rss_mib(self):
        for line in Path(f"/proc/{self.child.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0


class Edge(Process):
    def __init__(self, directory, store, announce=None, site="TEST01", extra=(), name="edge", ports=()):
        """`ports` are those of `extra` that must accept before a test goes on."""
        self.kafka, self.ntrip, self.http = free_port(), free_port(), free_port()
        self.ports = [self.kafka, self.ntrip, self.http, *ports]
        self.data = Path(directory) / name
        arguments = [
            BINARY, "edge", "--site", site, "--data-dir", self.data,
            "--kafka-listen", f"127.0.0.1:{self.kafka}", "--ntrip-listen", f"127.0.0.1:{self.ntrip}",
            "--http-listen", f"127.0.0.1:{self.http}",
            "--lanes-critical-flush", "200ms", "--lanes-standard-flush", "200ms", "--lanes-bulk-flush", "200ms",
            *store, *extra]
        if announce:
            arguments += ["--uplink-announce", announce]
        super().__init__(name, arguments, directory)

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.kafka}"

    def start(self):
        super().start()
        wait_until(lambda: all(map(accepts, self.ports)) or not self.running,
                   f"edge accepting\n{self.output()[-2000:]}")
        assert self.running, self.output()[-3000:]
        return self


class Cloud(Process):
    def __init__(self, directory, store, extra=(), name="cloud"):
        self.kafka, self.http = free_port(), free_port()
        self.data = Path(directory) / name
        arguments = [
            BINARY, "cloud", "--data-dir", self.data, "--kafka-listen", f"127.0.0.1:{self.kafka}",
            "--http-listen", f"127.0.0.1:{self.http}", "--kafka-group-initial-delay", "100ms",
            "--adoption-interval", "1s", *store, *extra]
        super().__init__(name, arguments, directory)

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.kafka}"

    @property
    def announce(self):
        return f"http://127.0.0.1:{self.http}"

    def start(self):
        super().start()
        wait_until(lambda: accepts(self.kafka) and accepts(self.http) or not self.running, f"cloud accepting\n{self.output()[-2000:]}")
        assert self.running, self.output()[-3000:]
        return self


class SeaweedFS(Process):
    """A real S3 server that refuses a second create-only PUT."""

    def __init__(self, directory):
        self.port = free_port()
        config = Path(directory) / "s3.json"
        config.write_text(json.dumps({"identities": [{
            "name": "cairn", "credentials": [{"accessKey": "cairnkey", "secretKey": "cairnsecret"}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}))
        data = Path(directory) / "weed"
        data.mkdir(exist_ok=True)
        ports = [f"-{role}.port={free_port()}" for role in ("master", "volume", "filer")]
        super().__init__("weed", [
            VENV / "bin/weed", "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            f"-s3.port={self.port}", f"-s3.config={config}", "-admin.ui=false", "-webdav=false", *ports],
            directory, {"GOMEMLIMIT": "400MiB"})

    def settings(self, bucket="cairn-test"):
        return ["--store-url", f"s3://{bucket}", "--store-endpoint", f"http://127.0.0.1:{self.port}",
                "--store-path-style", "true", "--store-access-key", "cairnkey",
                "--store-secret-key", "cairnsecret"]

    def client(self):
        import boto3
        from botocore.config import Config
        return boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{self.port}", aws_access_key_id="cairnkey",
            aws_secret_access_key="cairnsecret", region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1},
                          connect_timeout=2, read_timeout=10))

    def start(self):
        super().start()

        def ready():
            try:
                self.client().create_bucket(Bucket="cairn-test")
                return True
            except Exception as error:  # noqa: BLE001 - any failure means: not yet
                return "BucketAlready" in str(error)

        wait_until(ready, "SeaweedFS ready", 120)
        return self


@pytest.fixture
def processes():
    """Collects processes; whatever runs at the end of the test is killed."""
    started = []
    yield started
    for process in reversed(started):
        process.kill()


@pytest.fixture
def launch(processes, tmp_path):
    def make(kind, *arguments, **options):
        process = kind(tmp_path, *arguments, **options)
        processes.append(process)
        return process.start()

    return make


@pytest.fixture
def directory_store(tmp_path):
    return ["--store-url", f"dir:{tmp_path / 'store'}"]


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A cloud node that the tests of one file share, each with topics of its own."""
    directory = tmp_path_factory.mktemp("node")
    process = Cloud(directory, ["--store-url", f"dir:{directory / 'store'}"], extra=["--produce-interval", "20ms"])
    try:
        yield process.start()
    finally:
        process.kill()


@pytest.fixture
def wire(node):
    from protocol import Connection
    with Connection(node.kafka) as connection:
        yield connection


@pytest.fixture
def topic(request):
    """A name that no other test uses."""
    return "t-" + "".join(c if c.isalnum() else "-" for c in request.node.name)


def cairn(*arguments, seconds=60, **options):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CAIRN_")}
    return subprocess.run([str(BINARY), *map(str, arguments)], capture_output=True, text=True, timeout=seconds,
                          env=environment, **options)


def kcat(*arguments, data=None, seconds=60):
    done = subprocess.run(["kcat", *map(str, arguments)], input=data, capture_output=True, timeout=seconds)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout


def consume(bootstrap, topic, count, seconds=60, partitions=None):
    """`count` messages of `topic` from the beginning: a list of confluent_kafka messages, without a group."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "socket.timeout.ms": 5000})
    try:
        if partitions is None:
            def known():
                metadata = consumer.list_topics(topic, timeout=5).topics[topic]
                return None if metadata.error else list(metadata.partitions)
            partitions = wait_until(known, f"topic {topic}", seconds)
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
        found, deadline = [], time.monotonic() + seconds
        while len(found) < count and time.monotonic() < deadline:
            for message in consumer.consume(1000, timeout=0.2):
                if message.error():
                    continue
                found.append(message)
        return found
    finally:
        consumer.close()


def pytest_configure(config):
    if not BINARY.exists():
        print(f"missing {BINARY}: run 'make build'", file=sys.stderr)
        raise SystemExit(2)
