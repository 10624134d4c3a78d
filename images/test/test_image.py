"""The image in a virtual machine: one box and its life, in the order in which a box lives it.

Bring up, provision, take data, lose power, update, refuse, give back a bad update. Each test goes on with the disk of the one before, as
in the field, so they stand and fail in order. Around it real servers: SeaweedFS as the store, a cloud node that consumers read from.
"""

import importlib.util
import os
import random
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))
from machine import BOOT_SECONDS, Machine  # noqa: E402

specification = importlib.util.spec_from_file_location("interop", ROOT / "Tests/Interop/conftest.py")
interop = importlib.util.module_from_spec(specification)
specification.loader.exec_module(interop)

BUILT = Path(os.environ.get("IMAGE_TEST_DIR", ROOT / ".build/image-test"))
SITE, TOPIC, SECRET = "DAM01", "terminals", "cairnsecret"
# Rounds of the last test; a release gets fifty: IMAGE_TEST_CUTS=50 make test-image
CUTS = int(os.environ.get("IMAGE_TEST_CUTS", "6"))


def built(pattern):
    found = sorted(BUILT.glob(pattern))
    assert len(found) == 1, f"{BUILT}/{pattern}: {found}; run images/test/prepare {BUILT}"
    return found[0]


class Site:
    """A cloud with its store on this machine, and a gateway in a virtual one, which sees this one as 10.0.2.2."""

    def __init__(self, directory):
        self.directory = directory
        self.weed = interop.SeaweedFS(directory).start()
        self.cloud = interop.Cloud(directory, self.weed.settings()).start()
        self.box = Machine(directory, built("*test-1.img"))
        self.acknowledged, self.failures = [], []

    def bundle(self):
        """What `cairn site add` writes, with addresses as the box sees them, and the listeners of the site."""
        path = self.directory / f"{SITE}.yaml"
        subprocess.run(
            [interop.BINARY, "site", "add", SITE, "--topics", TOPIC, "--bundle", path, "--access-key", "cairnkey",
             "--secret-key", SECRET, "--cloud", self.cloud.announce, "--announce", f"http://10.0.2.2:{self.cloud.http}"],
            check=True, env={k: v for k, v in os.environ.items() if not k.startswith("CAIRN_")})
        text = path.read_text().replace("http://127.0.0.1:", "http://10.0.2.2:")
        path.write_text(text + f"""kafka:
  listen: "0.0.0.0:9092"
  advertise: "127.0.0.1:{self.box.ports[9092]}"
lanes:
  standard: {{flush: 1s, quota: 512MiB}}
  critical: {{quota: 512MiB}}
  bulk: {{quota: 512MiB}}
""")
        return path

    def produce(self, count, size=400):
        """Records whose acknowledgement came, in `acknowledged`; the box may die meanwhile."""
        producer = Producer({
            "bootstrap.servers": f"127.0.0.1:{self.box.ports[9092]}", "enable.idempotence": True, "linger.ms": 5,
            "message.timeout.ms": 600_000, "log_level": 0})

        def done(error, message):
            (self.failures if error else self.acknowledged).append(message.key())

        keys = [uuid.uuid4().bytes for _ in range(count)]
        for key in keys:
            producer.produce(TOPIC, key=key, value=os.urandom(size), on_delivery=done)
            producer.poll(0)
        return producer

    def send(self, count=50):
        producer = self.produce(count)
        assert producer.flush(300) == 0, "not acknowledged within 300 s"

    def consumed(self, wanted, seconds=300):
        """Keys that the cloud's consumers see, read until all of `wanted` are there."""
        consumer = Consumer({
            "bootstrap.servers": self.cloud.bootstrap, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False})
        consumer.subscribe([TOPIC])
        seen, missing, deadline = [], set(wanted), time.monotonic() + seconds
        try:
            while missing and time.monotonic() < deadline:
                message = consumer.poll(1)
                if message is not None and message.error() is None:
                    seen.append(message.key())
                    missing.discard(message.key())
        finally:
            consumer.close()
        return seen

    def check_nothing_lost(self):
        seen = self.consumed(self.acknowledged)
        missing = set(self.acknowledged) - set(seen)
        assert not missing, f"{len(missing)} of {len(self.acknowledged)} acknowledged records are missing"
        assert len(seen) == len(set(seen)), "records came twice"

    def carry(self, bundle):
        """Brings a bundle into the state directory of the gateway, as its download does; its path there."""
        name = f"{uuid.uuid4().hex}.raucb"
        server = subprocess.Popen(
            [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", bundle.parent,
             str(port := interop.free_port())], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            interop.wait_until(lambda: interop.accepts(port), "file server")
            self.box.sh(
                f"cd /var/lib/private/cairn-edge && rm -f *.raucb && python3 -c \"import urllib.request as u; "
                f"u.urlretrieve('http://10.0.2.2:{port}/{bundle.name}', '{name}')\" "
                f"&& chown --reference=. {name}", seconds=300)
        finally:
            server.kill()
            server.wait()
        return f"/var/lib/cairn-edge/{name}"

    def install(self, bundle):
        """Orders an installation as the gateway does: without privileges, in its sandbox; what was said, and the exit code."""
        path = self.carry(bundle)
        pid = self.box.sh("systemctl show -p MainPID --value cairn-edge")
        command = (
            f"nsenter -t {pid} -m env STATE_DIRECTORY=/var/lib/cairn-edge setpriv --reuid=$(stat -c %u /proc/{pid}) "
            f"--regid=$(stat -c %g /proc/{pid}) --clear-groups --no-new-privs /usr/lib/cairn/install-update {path}")
        return self.box._ask(command, 600)

    def build(self):
        return self.box.sh("sed -n s/^BUILD=//p /etc/cairn-image")

    def slot(self):
        """The one that runs."""
        return self.box.sh(r"sed -n 's/.*rauc\.slot=\([AB]\).*/\1/p' /proc/cmdline")

    def start_accepting(self):
        """Switches on, and waits until terminals are taken; the slot may be either one."""
        before = time.monotonic()
        self.box.start().ready()
        self.wait_accepting()
        print(f"\n{time.monotonic() - before:.0f} s from power-on to accepting", flush=True)

    def cut(self, producer):
        """No power from here on; what was not acknowledged until now is the producer's to keep."""
        self.box.cut_power()
        producer.purge()
        producer.flush(10)
        self.failures.clear()

    def verify(self):
        """The gateway's log, read at rest."""
        self.box.sh("systemctl stop cairn-edge && cairn wal verify /var/lib/private/cairn-edge && systemctl start cairn-edge", 300)
        self.wait_accepting()

    def wait_for(self, build, seconds=2 * BOOT_SECONDS):
        self.box.wait_sh(f"grep -qx BUILD={build} /etc/cairn-image", seconds)

    def wait_good(self, seconds=BOOT_SECONDS):
        self.box.wait_sh("systemctl is-active cairn-healthy", seconds)

    def wait_accepting(self):
        """Asks through the forwarded port; that it accepts a connection says nothing, because qemu accepts it."""
        def accepting():
            answer = self.box.http("/status.json")
            return answer is not None and answer[0] == 200 and '"isAccepting" : true' in answer[1]
        interop.wait_until(accepting, "the gateway accepts", BOOT_SECONDS)

    def environment(self):
        lines = self.box.sh("grub-editenv /efi/EFI/cairn/grubenv list").splitlines()
        return dict(line.split("=", 1) for line in lines)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("site"))
    try:
        yield site
    finally:
        site.box.cut_power()
        site.cloud.kill()
        site.weed.kill()


def test_a_box_without_settings_starts_and_says_so(site, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("site: DAM01\r\nstore:\r\n  urll: s3://bucket\r\n")
    site.box.put(wrong, "wrong.yaml")
    site.box.start().ready()
    site.wait_good()
    interop.wait_until(lambda: "NOT PROVISIONED" in (site.box.http("/") or (0, ""))[1], "the page says what is missing", 120)
    status, page = site.box.http("/")
    assert status == 503 and "store.urll: no such setting" in page
    assert "NOT PROVISIONED" in site.box.console()
    assert site.box.sh("systemctl --failed --no-legend --plain") == ""
    # The data partition took the disk; the root cannot be written; no shell, no login, one open port.
    assert int(site.box.sh("df --output=size -BM /var | tail -n 1").strip("M ")) > 4000
    assert site.box.code("touch /etc/x") != 0
    assert site.box.sh("systemctl list-units --no-legend '*getty*.service' '*ssh*.service'") == ""
    assert "dport 9645 accept" in site.box.sh("nft list ruleset")
    assert "watchdog0" in site.box.sh("wdctl")
    site.box.cut_power()
    assert "store.urll" in site.box.get("PROBLEM.TXT") and "wrong.yaml" in site.box.names()
    subprocess.run(["mdel", "-i", f"{site.box.disk}@@{65 << 20}", "::/wrong.yaml"], check=True)


def test_settings_on_the_partition_are_taken_sealed_and_wiped(site):
    bundle = site.bundle()
    key = next(line.split('"')[1] for line in bundle.read_text().splitlines() if "site-key" in line)
    site.box.put(bundle, bundle.name)
    site.start_accepting()
    site.wait_good()
    first = site.box.sh("cat /etc/machine-id /run/cairn-site/machine")
    site.box.wait_sh(f"test $(hostname) = {SITE.lower()}", 120)
    assert "{ 2101, 9092, 9645 }" in site.box.sh("nft list ruleset")
    leaks = site.box.sh(f"grep -rl -e '{SECRET}' -e '{key}' /var/lib /etc /run --exclude-dir=credentials", check=False)
    assert leaks == "", "settings lie open"
    site.send()
    site.check_nothing_lost()
    site.box.cut_power()
    assert site.box.names() == {"README.TXT", "PROVISIONED.TXT"}
    assert SITE in site.box.get("PROVISIONED.TXT")
    partition = site.box.sitecfg_bytes()
    assert SECRET.encode() not in partition and key.encode() not in partition
    site.identity = first


def test_acknowledged_records_survive_a_power_cut(site, tmp_path):
    # As if the power had gone before, between overwriting the settings and deleting them.
    (tmp_path / "wiped").write_bytes(bytes(2000))
    site.box.put(tmp_path / "wiped", f"{SITE}.yaml")
    site.start_accepting()
    assert site.box.sh("cat /etc/machine-id /run/cairn-site/machine") == site.identity, "another identity after a restart"
    before = len(site.acknowledged)
    producer = site.produce(20_000)
    deadline = time.monotonic() + 120
    while len(site.acknowledged) < before + 3000 and time.monotonic() < deadline:
        producer.poll(0.05)
    acknowledged = len(site.acknowledged)
    site.cut(producer)
    assert site.box.names() == {"README.TXT", "PROVISIONED.TXT"}
    assert before < acknowledged < before + 20_000, "the power went too early or too late to show anything"
    site.start_accepting()
    site.check_nothing_lost()
    site.verify()
    site.wait_good()


def test_a_bundle_of_somebody_else_is_refused(site):
    said, code = site.install(built("*test-9.raucb"))
    assert code == 1 and "signature verification failed" in said.lower(), said
    assert site.environment()["ORDER"] == "A B" and site.build() == "test-1"


def test_power_cut_while_an_update_is_written(site):
    path = site.carry(built("*test-2.raucb")).replace("/var/lib/", "/var/lib/private/")
    site.box.sh(f"systemd-run --unit=halfway /usr/lib/cairn/install-update {path}")
    site.box.wait_sh("head -c 4 /dev/disk/by-partlabel/root-b | grep -q hsqs")
    site.box.cut_power()
    site.start_accepting()
    assert site.build() == "test-1"
    site.wait_good()
    site.send()
    site.check_nothing_lost()


def test_an_update_is_confirmed_after_it_has_uploaded(site):
    said, code = site.install(built("*test-2.raucb"))
    assert code == 0, said
    site.wait_for("test-2")
    site.wait_accepting()
    # It accepts; nothing was written yet, so it is on trial.
    site.box.wait_sh("grep -q 'no terminal has sent anything yet' /run/cairn-site/trial")
    assert site.box.code("systemctl is-active cairn-healthy") != 0
    assert site.environment()["LAST_GOOD"] == "A"
    site.send()
    site.wait_good()
    assert site.environment()["LAST_GOOD"] == "B" and site.environment()["B_TRY"] == "0"
    site.check_nothing_lost()


def test_an_update_that_does_not_work_is_given_back(site):
    said, code = site.install(built("*test-3.raucb"))
    assert code == 0, said
    site.box.wait_console("slot A, build test-3, is NOT confirmed", len(site.box.console()), 2 * BOOT_SECONDS)
    site.wait_for("test-2")
    site.wait_accepting()
    site.wait_good()
    assert site.environment()["LAST_GOOD"] == "B"
    site.send()
    site.check_nothing_lost()


def test_the_hardware_watchdog_ends_a_hanging_kernel(site):
    before = len(site.box.console())
    try:
        site.box._ask("echo 0 >/proc/sys/kernel/panic; echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger", 5)
    except AssertionError:
        pass
    site.box.wait_console("cairn: slot B", before)
    site.wait_for("test-2")
    site.wait_accepting()
    site.send()
    site.check_nothing_lost()


def test_a_full_disk_rejects_and_heals(site):
    site.box.sh("fallocate -l $(($(stat -f -c '%a * %S' /var) - 1048576)) /var/full && sync", 120)
    before = len(site.acknowledged)
    producer = site.produce(1500, size=100_000)
    producer.flush(60)
    assert len(site.acknowledged) < before + 1500, "it never had to refuse"
    site.wait_accepting()
    site.box.sh("rm /var/full && sync")
    assert producer.flush(300) == 0 and not site.failures
    site.check_nothing_lost()
    site.wait_accepting()


def test_when_no_slot_is_confirmed_the_last_good_one_is_tried_for_ever(site):
    if site.box.qemu is None:
        site.start_accepting()
        site.wait_good()
    slot = site.slot()
    other = "B" if slot == "A" else "A"
    site.box.sh(f"grub-editenv /efi/EFI/cairn/grubenv set {slot}_TRY=9 {other}_OK=0 && sync -f /efi")
    before = len(site.box.console())
    site.box.cut_power()
    site.box.start()
    # The rest of what it says is broken where a line of the screen ends.
    site.box.wait_console("no slot is confirmed and none has a start left", before)
    site.box.ready()
    site.wait_good()
    assert site.environment()[f"{slot}_TRY"] == "0" and site.environment()["AGAIN"] == "0"
    assert site.slot() == slot


def test_power_cuts_whatever_it_does(site):
    """Cut while it takes data, while it uploads, while an update is written or tried, while it starts: it comes back, with everything."""
    seed = int(os.environ.get("IMAGE_TEST_SEED", random.randrange(1 << 32)))
    chance = random.Random(seed)
    site.box.cut_power()
    print(f"seed {seed}")
    for number in range(CUTS):
        phase = ("intake", "upload", "update", "start")[number % 4]
        if phase == "start":
            site.box.start()
            time.sleep(chance.uniform(1, 60))
            site.box.cut_power()
        site.start_accepting()
        before = len(site.acknowledged)
        if phase == "update":
            other = "test-2" if site.build() == "test-1" else "test-1"
            path = site.carry(built(f"*{other}.raucb")).replace("/var/lib/", "/var/lib/private/")
            site.box.sh(f"systemd-run --unit=update-{number} /usr/lib/cairn/install-update {path}")
        producer = site.produce(20_000 if phase == "intake" else 500)
        if phase == "upload":
            producer.flush(300)
        pause = chance.uniform(0, {"intake": 8, "upload": 3, "update": 60, "start": 1}[phase])
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and len(site.acknowledged) == before:
            producer.poll(0.05)
        until = time.monotonic() + pause
        while time.monotonic() < until:
            producer.poll(0.05)
        site.cut(producer)
        print(f"cut {number}, {phase}: {len(site.acknowledged) - before} acknowledged, {pause:.1f} s later without power", flush=True)
        assert len(site.acknowledged) > before
        if number % 10 == 9:
            site.start_accepting()
            site.verify()
            site.check_nothing_lost()
            site.box.cut_power()
    site.start_accepting()
    site.verify()
    site.send()
    site.check_nothing_lost()
