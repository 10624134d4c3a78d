"""Images for gateways: told by the cloud, downloaded after the data, checked, installed, proved or rolled back."""

import hashlib
import http.client
import json
import os
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from conftest import BINARY, Cloud, SeaweedFS, cairn, free_port, wait_until
from test_sites import bundle_edge, overview, send, site, values

MIB = 1 << 20


class Machine:
    """The parts of a machine that an update changes, and an install command that does what the test says."""

    def __init__(self, directory):
        self.root = directory / "machine"
        (self.root / "etc").mkdir(parents=True)
        (self.root / "proc/sys/kernel/random").mkdir(parents=True)
        self.installed, self.code = self.root / "installed", self.root / "code"
        self.code.write_text("0")
        self.command = self.root / "install-update"
        self.command.write_text(
            f'#!/bin/sh\nsha256sum <"$1" | cut -c1-64 >>{self.installed}\necho "it says so"\nexit $(cat {self.code})\n')
        self.command.chmod(0o755)
        self.boots = 0
        self.boot("1.0", "b1", "A")

    def boot(self, version, build, slot):
        self.boots += 1
        (self.root / "etc/cairn-image").write_text(f"VERSION={version}\nBUILD={build}\nARCH=amd64\n")
        (self.root / "proc/cmdline").write_text(f"root=/dev/x rauc.slot={slot} quiet\n")
        (self.root / "proc/sys/kernel/random/boot_id").write_text(f"boot-{self.boots}\n")

    @property
    def settings(self):
        return ["--update-install-command", self.command, "--update-system-root", self.root]

    @property
    def installs(self):
        return self.installed.read_text().split() if self.installed.exists() else []


class Front:
    """Before an S3 server: counts what is read under updates/, and can be an uplink that is down."""

    def __init__(self, port):
        self.port, self.is_down, self.bytes, self.gets = free_port(), False, 0, 0
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def carry(self):
                if front.is_down:
                    self.close_connection = True
                    self.connection.close()
                    return
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                inner = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                inner.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    inner.putheader(name, value)
                inner.endheaders(body or None)
                reply = inner.getresponse()
                content = reply.read()
                self.send_response(reply.status)
                for name, value in reply.getheaders():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                        self.send_header(name, value)
                size = reply.getheader("content-length") if self.command == "HEAD" else len(content)
                self.send_header("content-length", str(size or 0))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)
                if self.command == "GET" and "/updates/" in self.path:
                    front.bytes += len(content)
                    front.gets += 1

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = carry

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def state(edge):
    done = cairn("status", "--url", f"http://127.0.0.1:{edge.http}", "--state", "/nonexistent", "--json")
    return json.loads(done.stdout) if done.stdout else {}


def update(edge):
    return state(edge).get("update") or {}


def order(cloud, edge, *arguments):
    """`cairn site update`, and a record whose announcement brings the order to the gateway before the next greeting."""
    done = site(cloud, "update", *arguments)
    send(edge, "t", ["news"])
    return done


def told(cloud, name):
    return (overview(cloud, name) or {}).get("update") or {}


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def directory_site(tmp_path, cloud, machine, name="FIELD", extra=()):
    bundle = tmp_path / f"{name}.yaml"
    site(cloud, "add", name, "--topics", "*", "--bundle", str(bundle))
    return bundle_edge(tmp_path, bundle, name=name, extra=[*machine.settings, *extra]).start()


@pytest.fixture
def closed(tmp_path):
    cloud = Cloud(tmp_path, ["--store-url", f"dir:{tmp_path}/objects"], extra=["--sites-open", "false"]).start()
    yield cloud
    cloud.kill()


def test_an_update_survives_outage_and_kill_and_no_byte_comes_twice(tmp_path, machine):
    weed = SeaweedFS(tmp_path).start()
    front = Front(weed.port)
    settings = weed.settings()
    settings[settings.index("--store-endpoint") + 1] = f"http://127.0.0.1:{front.port}"
    cloud = Cloud(tmp_path, settings, extra=["--sites-open", "false"]).start()
    image = tmp_path / "cairn-2.0.raucb"
    image.write_bytes(os.urandom(6 * MIB + 123))
    sha = hashlib.sha256(image.read_bytes()).hexdigest()
    bundle = tmp_path / "site.yaml"
    site(cloud, "add", "FIELD", "--topics", "*", "--bundle", str(bundle))
    assert "mode: presigned" in bundle.read_text()
    edge = bundle_edge(tmp_path, bundle, extra=[*machine.settings, "--uplink-bandwidth", "1MiB"]).start()
    try:
        wait_until(lambda: told(cloud, "FIELD").get("version") == "1.0", "the cloud knows the image")
        done = order(cloud, edge, "FIELD", "--bundle", str(image), "--version", "2.0")
        assert f"updates/{sha}/cairn-2.0.raucb" in done.stdout
        wait_until(lambda: front.bytes > 2 * MIB, "a third is there", 90)
        # The uplink goes down, then the power of the gateway too.
        front.is_down = True
        wait_until(lambda: "update" in update(edge).get("reason", "") or update(edge).get("reason"), "it says why")
        edge.kill()
        (part,) = edge.data.glob("update/*.raucb")
        assert part.read_bytes() == image.read_bytes()[: part.stat().st_size] and part.stat().st_size > MIB
        edge.start()
        front.is_down = False
        wait_until(lambda: update(edge).get("state") == "awaiting-reboot", "installed", 120)
        assert machine.installs == [sha]
        # A range that was under way when it went down may have been counted and not kept.
        assert front.bytes <= image.stat().st_size + 2 * MIB, "bytes came twice"
        assert not list(edge.data.glob("update/*.raucb")), "it takes no room any more"
        # Starting the gateway is not starting the machine.
        edge.stop()
        edge.start()
        wait_until(lambda: update(edge).get("state") == "awaiting-reboot", "still waiting for the machine")
        edge.stop()
        machine.boot("2.0", "b2", "B")
        edge.start()
        wait_until(lambda: update(edge).get("state") == "confirmed", "proved healthy", 60)
        report = state(edge)
        assert report["confirmable"] is True and report["confirmableReasons"] == []
        assert (report["update"]["version"], report["update"]["slot"]) == ("2.0", "B")
        wait_until(lambda: told(cloud, "FIELD").get("state") == "confirmed", "the cloud heard it")
        assert "2.0 (b2), slot B" in site(cloud, "list").stdout
        assert machine.installs == [sha]
        # The bundle is put once; a gateway that is told the same does nothing.
        done = site(cloud, "update", "--all", "--bundle", str(image), "--version", "2.0")
        assert "told so already" in done.stdout
    finally:
        edge.kill()
        cloud.kill()
        front.close()
        weed.kill()


def test_a_machine_that_goes_back_says_so_and_does_not_try_again(tmp_path, closed, machine):
    image = tmp_path / "bad image.raucb"
    image.write_bytes(os.urandom(300_000))
    edge = directory_site(tmp_path, closed, machine)
    try:
        order(closed, edge, "FIELD", "--bundle", str(image), "--version", "2.0")
        wait_until(lambda: update(edge).get("state") == "awaiting-reboot", "installed")
        edge.stop()
        machine.boot("1.0", "b1", "A")
        edge.start()
        wait_until(lambda: told(closed, "FIELD").get("state") == "rolled-back", "the cloud heard of it")
        shown = cairn("status", "--url", f"http://127.0.0.1:{edge.http}")
        assert shown.returncode == 1 and "rolled-back" in shown.stdout and "runs 1.0 (b1) again" in shown.stdout
        edge.stop()
        edge.start()
        wait_until(lambda: told(closed, "FIELD").get("state") == "rolled-back", "still so")
        time.sleep(3)
        assert len(machine.installs) == 1, "installed again and again"
        # Only who orders again gets another try.
        order(closed, edge, "FIELD", "--bundle", str(image), "--version", "2.0", "--again")
        wait_until(lambda: len(machine.installs) == 2, "tried again")
    finally:
        edge.kill()


def test_wrong_bytes_and_refused_bundles_are_not_installed(tmp_path, closed, machine):
    image = tmp_path / "a.raucb"
    image.write_bytes(os.urandom(200_000))
    edge = directory_site(tmp_path, closed, machine)
    try:
        (tmp_path / "objects/updates").mkdir(parents=True)
        (tmp_path / "objects/updates/x.raucb").write_bytes(image.read_bytes())
        done = site(closed, "update", "FIELD", "--key", "updates/none", "--sha256", "0" * 64, "--version", "2",
                    check=False)
        assert done.returncode == 69 and "no object" in done.stderr
        order(closed, edge, "FIELD", "--key", "updates/x.raucb", "--sha256", "0" * 64, "--version", "2.0")
        wait_until(lambda: told(closed, "FIELD").get("state") == "failed", "wrong bytes are told")
        assert "SHA-256" in told(closed, "FIELD")["reason"] and machine.installs == []
        machine.code.write_text("1")
        order(closed, edge, "FIELD", "--bundle", str(image), "--version", "2.0")
        wait_until(lambda: "it says so" in told(closed, "FIELD").get("reason", ""), "the command's words are told")
        assert told(closed, "FIELD")["state"] == "failed" and len(machine.installs) == 1
        time.sleep(3)
        assert len(machine.installs) == 1 and not list(edge.data.glob("update/*.raucb"))
    finally:
        edge.kill()


def test_orders_are_paused_taken_back_and_rolled_out_in_steps(tmp_path, closed, machine):
    image = tmp_path / "a.raucb"
    image.write_bytes(os.urandom(8 * MIB))
    edge = directory_site(tmp_path, closed, machine, extra=["--uplink-bandwidth", "512KiB"])
    plain = bundle_edge(tmp_path, tmp_path / "PLAIN.yaml", name="PLAIN", extra=[
        "--update-install-command", "/nonexistent/install"])
    try:
        order(closed, edge, "FIELD", "--bundle", str(image), "--version", "2.0")
        wait_until(lambda: 0 < (update(edge).get("percent") or 0) < 60, "it downloads")
        order(closed, edge, "FIELD", "--pause")
        wait_until(lambda: update(edge).get("state") == "paused", "paused", 90)
        before = update(edge)["percent"]
        time.sleep(3)
        assert update(edge)["percent"] == before
        order(closed, edge, "FIELD", "--resume")
        wait_until(lambda: (update(edge).get("percent") or 0) > before, "it goes on", 90)
        order(closed, edge, "FIELD", "--clear")
        wait_until(lambda: update(edge).get("state") == "none", "taken back", 90)
        wait_until(lambda: not list(edge.data.glob("update/*.raucb")), "what was there is gone")
        assert machine.installs == []
        # Without an install command there are no updates, and that is said.
        site(closed, "add", "PLAIN", "--topics", "*", "--bundle", str(tmp_path / "PLAIN.yaml"))
        plain.start()
        for name in "ABCDEFGH":
            site(closed, "add", name, "--topics", "*", "--bundle", str(tmp_path / f"{name}.yaml"))
        counts = []
        for percent in (40, 80, 100):
            done = site(closed, "update", "--all", "--percent", str(percent), "--bundle", str(image), "--version", "3")
            assert done.returncode == 0
            sites = json.loads(site(closed, "list", "--json").stdout)
            send(plain, "t", ["news"])
            counts.append({s["site"] for s in sites if "update" in s["directives"]})
        assert counts[0] <= counts[1] <= counts[2] and len(counts[2]) == 10
        wait_until(lambda: told(closed, "PLAIN").get("state") == "unsupported", "said", 90)
        assert not list(plain.data.glob("update/*.raucb"))
        for wrong in (["FIELD"], ["--all", "FIELD", "--clear"], ["FIELD", "--bundle", str(image)],
                      ["FIELD", "--percent", "5", "--clear"], ["FIELD", "--bundle", str(image), "--version", "a b"]):
            assert site(closed, "update", *wrong, check=False).returncode == 64, wrong
        assert site(closed, "update", "NOBODY", "--clear", check=False).returncode == 69
    finally:
        edge.kill()
        plain.kill()


def test_data_goes_before_an_image_and_both_keep_to_the_cap(tmp_path, closed, machine):
    image = tmp_path / "a.raucb"
    image.write_bytes(os.urandom(16 * MIB))
    cap = 512 << 10
    edge = directory_site(tmp_path, closed, machine, extra=["--uplink-bandwidth", str(cap)])

    def moved():
        return sum(part.stat().st_size for part in edge.data.glob("update/*.raucb"))

    try:
        began = time.monotonic()
        order(closed, edge, "FIELD", "--bundle", str(image), "--version", "2.0")
        wait_until(lambda: moved() > MIB, "it downloads", 90)
        # Never faster than the cap lets it: whatever the machine's load, this can only be slower.
        assert moved() <= cap * (time.monotonic() - began) + MIB
        before = moved()
        payload = [os.urandom(100_000).hex() for _ in range(20)]
        send(edge, "t", payload)
        assert sorted(v for v in values(closed, "t", len(payload) + 1) if v != "news") == sorted(payload)
        # Four million characters of noise are two million bytes: the image got what they left.
        assert moved() - before < 600_000, "the image took the data's place"
        wait_until(lambda: moved() > before + 700_000, "the image goes on after the data", 90)
    finally:
        edge.kill()


def test_an_installation_that_the_gateway_does_not_survive_is_repeated(tmp_path, closed, machine):
    """Killed and stopped while the command runs; the command's own life must not keep the next start from its ports."""
    image = tmp_path / "a.raucb"
    image.write_bytes(os.urandom(100_000))
    sha = hashlib.sha256(image.read_bytes()).hexdigest()
    go = machine.root / "go"
    machine.command.write_text(machine.command.read_text().replace("echo", f"[ -f {go} ] || sleep 30\necho"))
    edge = directory_site(tmp_path, closed, machine)
    try:
        order(closed, edge, "FIELD", "--bundle", str(image), "--version", "2.0")
        wait_until(lambda: machine.installs == [sha], "the command runs")
        edge.kill()
        edge.start()
        wait_until(lambda: machine.installs == [sha] * 2, "it runs again")
        assert edge.stop() == 0
        go.touch()
        edge.start()
        wait_until(lambda: update(edge).get("state") == "awaiting-reboot", "installed at last")
        assert machine.installs == [sha] * 3
        # The machine may have started again before the command could say that it was done.
        go.unlink()
        order(closed, edge, "FIELD", "--bundle", str(image), "--version", "3.0")
        wait_until(lambda: len(machine.installs) == 4, "another one")
        edge.kill()
        machine.boot("3.0", "b3", "B")
        edge.start()
        wait_until(lambda: update(edge).get("state") == "confirmed", "it is the new one")
        assert len(machine.installs) == 4
    finally:
        edge.kill()


def bundles(cloud):
    return json.loads(site(cloud, "update", "--list", "--json").stdout)


def test_bundles_are_listed_and_those_that_nobody_needs_are_deleted(tmp_path, machine):
    cloud = Cloud(tmp_path, ["--store-url", f"dir:{tmp_path}/objects"], extra=[
        "--sites-open", "false", "--updates-keep", "1", "--updates-keep-for", "3s", "--updates-sweep-every", "1s"]).start()
    try:
        assert "no bundles" in site(cloud, "update", "--list").stdout
        site(cloud, "add", "FIELD", "--topics", "*", "--bundle", str(tmp_path / "FIELD.yaml"))
        keys = []
        for version in ("1.1", "1.2", "1.3"):
            image = tmp_path / f"cairn-{version}.raucb"
            image.write_bytes(os.urandom(100_000))
            done = site(cloud, "update", "FIELD", "--bundle", str(image), "--version", version)
            keys.append(done.stdout.split(":")[0])
            os.utime(tmp_path / "objects" / keys[-1], (0, time.time() - 3600 + len(keys)))
        foreign = tmp_path / "objects/updates/of-somebody-else"
        foreign.write_bytes(b"x")
        os.utime(foreign, (0, 0))
        # The newest is told, and stays; the others go after a while in which nobody was told them.
        wait_until(lambda: [b["key"] for b in bundles(cloud)] == [keys[2], "updates/of-somebody-else"], "the old ones are gone", 30)
        assert not (tmp_path / "objects" / keys[0]).parent.exists()
        listed = bundles(cloud)[0]
        assert (listed["version"], listed["sites"], listed["sizeBytes"]) == ("1.3", ["FIELD"], 100_000)
        assert "version 1.3, told to FIELD" in site(cloud, "update", "--list").stdout
        # One that is told stays, however old and whatever comes after it.
        image.write_bytes(os.urandom(1000))
        site(cloud, "add", "OTHER", "--topics", "*", "--bundle", str(tmp_path / "OTHER.yaml"))
        newer = site(cloud, "update", "OTHER", "--bundle", str(image), "--version", "1.4").stdout.split(":")[0]
        time.sleep(6)
        assert {b["key"] for b in bundles(cloud)} >= {keys[2], newer}
        # Taken back, it goes: another one is the newest.
        site(cloud, "update", "FIELD", "--clear")
        wait_until(lambda: keys[2] not in {b["key"] for b in bundles(cloud)}, "it is gone", 30)
        assert newer in {b["key"] for b in bundles(cloud)} and foreign.exists()
        for wrong in (["--list", "FIELD"], ["--list", "--all"], ["FIELD", "--clear", "--json"]):
            assert site(cloud, "update", *wrong, check=False).returncode == 64, wrong
    finally:
        cloud.kill()


def test_old_bundles_of_an_s3_store_are_deleted_over_a_kill(tmp_path):
    weed = SeaweedFS(tmp_path).start()
    cloud = Cloud(tmp_path, weed.settings(), extra=[
        "--sites-open", "false", "--updates-keep", "0", "--updates-keep-for", "4s", "--updates-sweep-every", "1s"]).start()
    try:
        site(cloud, "add", "FIELD", "--topics", "*", "--bundle", str(tmp_path / "FIELD.yaml"))
        keys = []
        for version in ("1.1", "1.2"):
            image = tmp_path / f"cairn-{version}.raucb"
            image.write_bytes(os.urandom(100_000))
            keys.append(site(cloud, "update", "FIELD", "--bundle", str(image), "--version", version).stdout.split(":")[0])
        assert {b["key"] for b in bundles(cloud)} == set(keys)
        # Who is told what is in the ledger: a node that died knows it again.
        cloud.kill()
        cloud.start()
        wait_until(lambda: [b["key"] for b in bundles(cloud)] == keys[1:], "the one that nobody is told is gone", 60)
        time.sleep(6)
        assert [(b["key"], b["sites"]) for b in bundles(cloud)] == [(keys[1], ["FIELD"])]
        # What was deleted is put again by who needs it.
        site(cloud, "update", "FIELD", "--bundle", str(tmp_path / "cairn-1.1.raucb"), "--version", "1.1")
        assert keys[0] in {b["key"] for b in bundles(cloud)}
    finally:
        cloud.kill()
        weed.kill()


def high_water_kib(pid):
    """The most memory that the process had; 0 before it is itself, and after its end."""
    try:
        if Path(f"/proc/{pid}/exe").resolve() != BINARY.resolve():
            return 0
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def test_a_bundle_of_any_size_takes_little_memory(tmp_path, closed):
    """Into a directory; an S3 store gets it in pieces too."""
    image = tmp_path / "large.raucb"
    with open(image, "wb") as file:
        file.truncate(400 * MIB)
        file.write(b"not all zeros")
    site(closed, "add", "FIELD", "--topics", "*", "--bundle", str(tmp_path / "FIELD.yaml"))
    command = [str(BINARY), "site", "update", "FIELD", "--bundle", str(image), "--version", "2", "--cloud", closed.announce]
    child = subprocess.Popen(command, env={k: v for k, v in os.environ.items() if not k.startswith("CAIRN_")})
    # The resource usage of an ended child counts what this process had when it made it.
    peak_kib = 0
    while child.poll() is None:
        peak_kib = max(peak_kib, high_water_kib(child.pid))
        time.sleep(0.01)
    assert child.returncode == 0
    (stored,) = (tmp_path / "objects/updates").rglob("large.raucb")
    assert stored.stat().st_size == image.stat().st_size
    assert 0 < peak_kib < 200 << 10, f"{peak_kib} KiB"
    # It is there: not put again.
    before = stored.stat().st_ino
    site(closed, "update", "FIELD", "--bundle", str(image), "--version", "2")
    assert stored.stat().st_ino == before
