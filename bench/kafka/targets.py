"""The brokers that the bench compares, each started on free loopback ports over data in a temporary directory."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from common import BINARY, ROOT, Server, free_port  # noqa: E402

VENV = Path(os.environ.get("CAIRN_VENV", ROOT / ".venv"))
CLIENT = ROOT / ".build/bench-client"
PARTITIONS = 4  # of each topic: what the null broker has


class Refused(Exception):
    """The broker does not know what the bench asked it for."""


def client_arguments(command, *places, **options):
    return [str(CLIENT), command, *places, *(f"{name.replace('_', '-')}={value}" for name, value in options.items())]


def run_client(command, *places, lines=None, limit_seconds=180, **options):
    """The JSON line of the client. `good` is false where it found failures, and then `complaint` says what it printed."""
    arguments = client_arguments(command, *places, **options)
    done = subprocess.run(arguments, input=lines, capture_output=True, text=True, timeout=limit_seconds)
    if done.returncode not in (0, 1) or not done.stdout.strip():
        return {"good": False, "complaint": done.stderr.strip() or f"exit code {done.returncode}"}
    result = json.loads(done.stdout.strip().splitlines()[-1])
    return {**result, "good": done.returncode == 0, "complaint": done.stderr.strip()}


class SeaweedFS:
    """A real S3 server in one process, as Tests/Interop starts it."""

    def __init__(self, directory):
        self.port = free_port()
        config, data = Path(directory) / "s3.json", Path(directory) / "weed"
        data.mkdir()
        config.write_text(json.dumps({"identities": [{
            "name": "cairn", "credentials": [{"accessKey": "cairnkey", "secretKey": "cairnsecret"}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}))
        ports = [f"-{role}.port={free_port()}" for role in ("master", "volume", "filer")]
        self.server = Server("weed", [
            VENV / "bin/weed", "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port={self.port}",
            f"-s3.config={config}", "-admin.ui=false", "-webdav=false", *ports], self.port, directory, 60)
        for _ in range(300):
            try:
                self.client().create_bucket(Bucket="bench")
                return
            except Exception as error:  # noqa: BLE001 - any failure means: not yet
                if "BucketAlready" in str(error):
                    return
                time.sleep(0.2)
        raise SystemExit("SeaweedFS does not answer")

    settings = property(lambda self: [
        "--store-url", "s3://bench", "--store-endpoint", f"http://127.0.0.1:{self.port}", "--store-path-style", "true",
        "--store-access-key", "cairnkey", "--store-secret-key", "cairnsecret"])

    def client(self):
        import boto3
        from botocore.config import Config
        return boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{self.port}", aws_access_key_id="cairnkey", aws_secret_access_key="cairnsecret",
            region_name="us-east-1", config=Config(s3={"addressing_style": "path"}, signature_version="s3v4"))

    def objects(self):
        """Lines of URL and size, signed beforehand: the reader's cost is that of reading."""
        client = self.client()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket="bench", Prefix="data/"):
            for item in page.get("Contents", []):
                url = client.generate_presigned_url("get_object", {"Bucket": "bench", "Key": item["Key"]}, 3600)
                yield f"{url} {item['Size']}"


class DirectoryStore:
    server = None

    def __init__(self, directory):
        self.path = Path(directory) / "store"
        self.settings = ["--store-url", f"dir:{self.path}"]

    def objects(self):
        for path in sorted((self.path / "data").rglob("*")):
            if path.is_file():
                yield f"file://{path} {path.stat().st_size}"


class StubStore:
    """The node's own memory: what the node costs without a store."""

    server = None
    settings = ["--store-url", "stub:"]

    def __init__(self, directory):
        pass


class Target:
    """One broker under test. `config` is what its topics are created with; nil where it creates them by itself."""

    config = None
    server = store = None

    def __init__(self, name, directory):
        self.name = name
        self.directory = Path(directory) / name
        self.directory.mkdir()
        self.port = free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.start()

    def start(self):
        raise NotImplementedError

    def stop(self):
        if self.server:
            self.server.stop()
        if self.store and self.store.server:
            self.store.server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def create(self, topic, topics=1, partitions=PARTITIONS):
        """Returns the options of the client that name these topics."""
        if self.config is not None:
            names = [topic] if topics == 1 else [f"{topic}-{number}" for number in range(topics)]
            self._create(names, partitions)
        return {"topics": topics, "partitions": partitions}

    def _create(self, names, partitions):
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient, NewTopic
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        topics = [NewTopic(name, num_partitions=partitions, replication_factor=1, config=self.config) for name in names]
        for future in admin.create_topics(topics, operation_timeout=20).values():
            try:
                future.result(30)
            except KafkaException as error:
                raise Refused(error.args[0].str() or error.args[0].name()) from error

    def cpu_seconds(self):
        return self.server.cpu_seconds() if self.server else 0.0

    def settle(self, seconds=15):
        """Waits until it is at rest: uploads that go on after the acks belong to their cost."""
        until = time.monotonic() + seconds
        while self.server and time.monotonic() < until:
            before = self.cpu_seconds()
            time.sleep(0.4)
            if self.cpu_seconds() - before <= 0.02:
                return

    def measure(self, command, topic, **options):
        """Runs the client; adds what the broker spent and holds."""
        self.forget_peak()
        before = self.cpu_seconds()
        result = run_client(command, self.bootstrap, topic, **options)
        self.settle()
        result["server_cpu_seconds"] = self.cpu_seconds() - before
        result["rss_mib"], result["peak_mib"] = self.memory()
        return result

    def memory(self):
        if not self.server:
            return 0.0, 0.0
        return self.server.memory_mib(), self.server.memory_mib("VmHWM")

    def forget_peak(self):
        if self.server:
            Path(f"/proc/{self.server.child.pid}/clear_refs").write_text("5")


class Cloud(Target):
    """`cairn cloud`; its topics are acknowledged as `ack` says, over the store of kind `store_kind`."""

    def __init__(self, ack, store_kind, directory):
        self.store_kind, self.config = store_kind, {"cairn.ack": ack}
        self.ack = ack
        super().__init__(f"{ack}-{STORES[store_kind]}", directory)

    def start(self):
        if self.store is None:
            self.store = self.store_kind(self.directory)
        self.http = free_port()
        self.server = Server("cloud", [
            BINARY, "cloud", "--data-dir", self.directory / "cloud", "--wal-quota", "2GiB", "--kafka-listen", self.bootstrap,
            "--http-listen", f"127.0.0.1:{self.http}", *self.store.settings], self.port, self.directory)

    def restart(self):
        self.server.stop()
        self.start()


STORES = {DirectoryStore: "dir", SeaweedFS: "s3", StubStore: "stub"}


class Edge(Target):
    """`cairn edge` without an uplink: its log alone."""

    def __init__(self, directory):
        super().__init__("edge", directory)

    def start(self):
        self.server = Server("edge", [
            BINARY, "edge", "--site", "bench", "--data-dir", self.directory / "edge", "--uplink-enabled", "false",
            "--kafka-listen", self.bootstrap, "--kafka-partitions", PARTITIONS, "--http-listen", "", "--ntrip-listen", "",
            "--lanes-standard-quota", "64GiB", "--lanes-standard-window", "1ms"], self.port, self.directory)


class Null(Target):
    def __init__(self, directory):
        super().__init__("null", directory)

    def start(self):
        self.server = Server("null", [BINARY, "null-broker", "--listen", self.bootstrap], self.port, self.directory)


class Peer(Target):
    """Somebody else's broker, already running. Its memory and CPU are not ours to read."""

    config = {}

    def __init__(self, bootstrap, directory):
        self._peer = bootstrap
        super().__init__("peer", directory)

    def start(self):
        self.bootstrap = self._peer
