"""An update under the unit as it is: told by a cloud node, fetched from a real S3 server by a gateway in its sandbox, ordered through its state directory, taken by
root's unit, answered, and shown. RAUC is a stand-in that records what it was called with; slots and start-up are images/test.

The scripts and units are those of the image. Nothing restarts the machine: REBOOT_AT puts that off, and the timer is looked at.
"""

import hashlib
import json
import os
import shutil

import pytest
from container import ROOT

IMAGE = ROOT / "images/root"
EDGE = """\
http: {listen: "127.0.0.1:9645"}
kafka: {listen: "127.0.0.1:9092"}
lanes:
  critical: {quota: 256MiB}
  standard: {quota: 256MiB}
  bulk: {quota: 256MiB}
"""
CLOUD = """\
http: {listen: "127.0.0.1:9644"}
kafka: {listen: "127.0.0.1:9093"}
sites: {open: false, announce: ["http://127.0.0.1:9644"]}
store: {url: "s3://cairn", endpoint: "http://127.0.0.1:8333", path-style: true, access-key: cairnkey, secret-key: cairnsecret}
"""
RAUC = """\
#!/bin/sh
# Says who called it, with what, and what it was given.
{ echo "$(id -u) $*"; sha256sum "$2" | cut -c1-64; } >>/var/lib/rauc-calls
echo "signature checked"
exit "$(cat /var/lib/rauc-code 2>/dev/null || echo 0)"
"""


def status(machine):
    return json.loads(machine.run("cairn", "status", "--json", check=False).stdout or "{}").get("update") or {}


def told(machine):
    sites = json.loads(machine.run("cairn", "site", "list", "--json").stdout)
    return next((s.get("update") or {} for s in sites if s["site"] == "UPD01"), {})


def calls(machine):
    return machine.run("cat", "/var/lib/rauc-calls", check=False).stdout.split("\n")[:-1]


def order(machine, name, size, *arguments):
    """A bundle, and the order to install it. Its digest."""
    content = os.urandom(size)
    (machine.directory / "shared" / name).write_bytes(content)
    machine.run("cairn", "site", "update", "UPD01", "--bundle", f"/mnt/{name}", *arguments)
    # A record's announcement brings the order before the next greeting.
    machine.outside("kcat", "-b", "127.0.0.1:9092", "-P", "-t", "notes", "-X", "acks=all", data=b"news")
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def gateway(machine, package, store):
    """A cloud node and a gateway as the package starts them, with the image's way to install beside them."""
    shutil.copy(package, machine.directory / "shared/cairn.deb")
    machine.run("dpkg", "-i", "/mnt/cairn.deb")
    for script in ("install-update", "take-update", "common.sh"):
        machine.write(f"/usr/lib/cairn/{script}", (IMAGE / "usr/lib/cairn" / script).read_text(), 0o755)
    for unit in ("cairn-update.path", "cairn-update.service"):
        machine.write(f"/usr/lib/systemd/system/{unit}", (IMAGE / "usr/lib/systemd/system" / unit).read_text())
    machine.write("/usr/bin/rauc", RAUC, 0o755)
    machine.write("/etc/cairn-image", "VERSION=1.0\nBUILD=b1\n")
    machine.write("/var/lib/cairn-site/confirmed", "b1\n")
    # Twelve hours from now: the restart is ordered and does not happen.
    machine.shell("mkdir -p /run/cairn-update /etc/cairn; echo REBOOT_AT=$(date -u -d '+12 hours' +%H:%M) >/etc/cairn/image.conf")
    machine.write("/etc/cairn/cloud.yaml", CLOUD, 0o600)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", "cairn-cloud", "cairn-update.path")
    machine.run("cairn", "site", "add", "UPD01", "--topics", "*", "--bundle", "/etc/cairn/edge.yaml")
    machine.shell(f"cat >>/etc/cairn/edge.yaml <<'END'\n{EDGE}END\n")
    machine.run("systemctl", "enable", "--now", "cairn-edge")
    return machine


def test_an_update_goes_through_the_sandbox_and_root_installs_it(gateway):
    gateway._until(lambda: told(gateway).get("version") == "1.0", "the cloud knows the image", 60)
    sha = order(gateway, "cairn-2.0.raucb", 3 << 20, "--version", "2.0")
    gateway._until(lambda: status(gateway).get("state") == "awaiting-reboot", "installed", 90)
    # Root called RAUC once, with the bytes that were ordered, in the state directory of the gateway.
    (call, digest) = calls(gateway)
    assert call.startswith("0 install /var/lib/private/cairn-edge/update/") and call.endswith(f"{sha}.raucb"), call
    assert digest == sha
    # The gateway itself has no such right: it left an order, and read an answer that it cannot write.
    assert gateway.show("cairn-edge", "NoNewPrivileges") == "yes" and gateway.show("cairn-edge", "ProtectSystem") == "strict"
    assert gateway.run("stat", "-c", "%U", f"/proc/{gateway.show('cairn-edge', 'MainPID')}").stdout.strip() == "cairn-edge"
    answers = gateway.shell("stat -c '%U %a' /run/cairn-update/*").stdout.split("\n")[:-1]
    assert answers == ["root 644"]
    assert gateway.shell("ls /var/lib/cairn-edge/install-update /var/lib/cairn-edge/update").stdout.count("raucb") == 0
    assert gateway.run("test", "-e", "/var/lib/cairn-edge/install-update/order", check=False).returncode != 0
    # The machine is to start anew, later.
    assert gateway.show("cairn-update-reboot.timer", "ActiveState") == "active"
    # It is shown here and there.
    assert "to 2.0: awaiting-reboot" in gateway.run("cairn", "status", check=False).stdout
    gateway._until(lambda: told(gateway).get("state") == "awaiting-reboot", "the cloud heard it", 60)
    assert "awaiting-reboot" in gateway.run("cairn", "site", "list").stdout


def test_the_new_image_is_known_after_the_machine_has_started_with_it(gateway):
    gateway.run("systemctl", "stop", "cairn-update-reboot.timer")
    gateway.run("systemctl", "stop", "cairn-edge")
    gateway.write("/etc/cairn-image", "VERSION=2.0\nBUILD=b2\n")
    gateway.write("/var/lib/cairn-site/confirmed", "b2\n")
    gateway.run("systemctl", "start", "cairn-edge")
    gateway._until(lambda: told(gateway).get("state") == "confirmed", "the cloud heard that it proved itself", 90)
    assert status(gateway)["version"] == "2.0"


def test_a_bundle_that_rauc_refuses_is_told_with_its_reason(gateway):
    gateway.write("/var/lib/rauc-code", "1\n")
    before = len(calls(gateway))
    order(gateway, "cairn-3.0.raucb", 200_000, "--version", "3.0")
    gateway._until(lambda: told(gateway).get("state") == "failed", "the cloud heard of it", 90)
    assert "signature checked" in told(gateway)["reason"]
    shown = gateway.run("cairn", "status", check=False)
    assert shown.returncode == 1 and "signature checked" in shown.stdout
    assert len(calls(gateway)) == before + 2
    assert gateway.show("cairn-update-reboot.timer", "ActiveState") == "inactive"


def test_a_gateway_that_dies_while_root_installs_asks_again(gateway):
    """The answer to a question of a former process is nobody's; the order that follows is answered."""
    gateway.write("/var/lib/rauc-code", "0\n")
    gateway.write("/usr/bin/rauc", RAUC.replace("echo \"signature", "sleep 5\necho \"signature"), 0o755)
    before = len(calls(gateway))
    sha = order(gateway, "cairn-4.0.raucb", 200_000, "--version", "4.0")
    gateway._until(lambda: len(calls(gateway)) == before + 2, "RAUC works", 90)
    gateway.run("kill", "-KILL", gateway.show("cairn-edge", "MainPID"))
    gateway._until(lambda: status(gateway).get("state") == "awaiting-reboot", "installed by the next process", 120)
    assert calls(gateway)[-1] == sha and calls(gateway)[-2].startswith("0 install ")
    assert told(gateway)["target"] == "4.0"


def test_what_others_order_is_not_installed(gateway):
    """The state directory is the gateway's own; an order that names a file elsewhere is refused all the same."""
    before = calls(gateway)
    gateway.shell("echo bad >/etc/evil.raucb; cd /var/lib/private/cairn-edge; mkdir -p install-update; ln -s /etc/evil.raucb link.raucb\n"
                  "printf '%s\\n%s\\n' abc ../../../../etc/evil.raucb >install-update/order")
    gateway._until(lambda: gateway.run("test", "-e", "/run/cairn-update/abc", check=False).returncode == 0, "an answer", 30)
    assert gateway.shell("cat /run/cairn-update/abc").stdout.startswith("1\n")
    gateway.shell("printf '%s\\n%s\\n' abd link.raucb >/var/lib/private/cairn-edge/install-update/order")
    gateway._until(lambda: gateway.run("test", "-e", "/run/cairn-update/abd", check=False).returncode == 0, "an answer", 30)
    assert gateway.shell("cat /run/cairn-update/abd").stdout.startswith("1\n")
    assert calls(gateway) == before
