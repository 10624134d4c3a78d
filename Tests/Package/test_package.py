"""The package through its life on a fresh Debian: install, configure, start, upgrade, remove, purge. Then the units' promises.

One container a suite; the tests of this file go through it in their order.
"""

import json
import shutil
import subprocess
import sys
import time

EDGE = """\
site: PKG01
http: {listen: "127.0.0.1:9645"}
kafka: {listen: "127.0.0.1:9092"}
ntrip: {listen: "127.0.0.1:2101"}
uplink: {enabled: false}
lanes:
  critical: {quota: 256MiB}
  standard: {quota: 256MiB}
  bulk: {quota: 256MiB}
"""


def produce(machine, texts):
    machine.outside("kcat", "-b", "127.0.0.1:9092", "-P", "-t", "notes", "-X", "acks=all", data="\n".join(texts).encode())


def records(machine):
    done = machine.outside("kcat", "-b", "127.0.0.1:9092", "-C", "-t", "notes", "-o", "beginning", "-e", "-q")
    return done.stdout.decode().split()


def dpkg(machine, package, *arguments):
    shutil.copy(package, machine.directory / "shared/cairn.deb")
    return machine.run("dpkg", *arguments, "-i", "/mnt/cairn.deb").stdout


def test_lintian_finds_nothing(package):
    subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", package], check=True, timeout=300)


def test_installs_on_a_fresh_system_and_starts_nothing(machine, package):
    said = dpkg(machine, package)
    assert "systemctl enable --now cairn-edge" in said
    assert machine.run("cairn", "--version").stdout.strip()
    assert "libswift" not in machine.run("ldd", "/usr/bin/cairn").stdout
    assert "not found" not in machine.run("ldd", "/usr/bin/cairn").stdout
    assert machine.show("cairn-edge", "ActiveState") == "inactive"
    assert machine.show("cairn-edge", "UnitFileState") == "disabled"
    assert machine.run("getent", "passwd", "cairn-edge").stdout.startswith("cairn-edge:")
    assert machine.run("dpkg", "--audit").stdout == ""


def test_a_start_without_settings_says_what_is_missing(machine, package):
    done = machine.run("systemctl", "start", "cairn-edge", check=False)
    assert done.returncode != 0
    assert "Assertion failed on job for cairn-edge" in done.stderr


def test_runs_at_once_when_enabled_and_takes_records(machine, package):
    machine.write("/etc/cairn/edge.yaml", EDGE, 0o600)
    before = time.monotonic()
    machine.run("systemctl", "enable", "--now", "cairn-edge")
    # READY only when it accepts: the first try to connect goes through.
    produce(machine, ["one", "two"])
    took = time.monotonic() - before
    print(f"\n{machine.suite}: {took:.2f} s from 'systemctl enable --now' to two records acknowledged")
    assert took < 20
    assert records(machine) == ["one", "two"]
    assert machine.show("cairn-edge", "NRestarts") == "0"


def test_the_doctor_finds_nothing_that_fails(machine, package):
    done = machine.run("cairn", "doctor", check=False)
    assert done.returncode in (0, 1), done.stdout
    assert "held by the running cairn" in done.stdout
    assert "cairn-edge.service is active" in done.stdout


def findings(machine, check):
    done = machine.run("cairn", "doctor", "--json", check=False)
    return [f for f in json.loads(done.stdout)["findings"] if f["check"] == check and f["verdict"] == "failure"]


def test_the_doctor_sees_what_the_service_cannot(machine, package):
    """As root, who may read and bind everything: it is the unit's user and sandbox that count."""
    assert findings(machine, "access") == [] and findings(machine, "ports") == []
    machine.shell("echo x >/var/lib/private/cairn-edge/of-root")
    (finding,) = findings(machine, "access")
    assert "not cairn-edge's: 1, the first is of-root" in finding["found"]
    # As it says: on Debian 13 the files are nobody's on the disk, and the service's own where it runs.
    machine.shell(finding["advice"].split(";")[1])
    assert findings(machine, "access") == []
    machine.shell("rm /var/lib/private/cairn-edge/of-root")
    # A directory store beside the service's own directory; an identity file of root's alone, then one below /home.
    machine.shell("mkdir -p /srv/store /home/x && echo m >/etc/machine-name && cp /etc/machine-name /home/x/ && chmod 600 /etc/machine-name")
    for path, wrong in (("/etc/machine-name", "cannot be read by cairn-edge"), ("/home/x/machine-name", "does not see")):
        machine.write("/etc/cairn/edge.yaml", EDGE.replace("uplink: {enabled: false}", "store: {url: 'dir:/srv/store'}")
                      .replace("127.0.0.1:2101", "127.0.0.1:210") + f"identity: {{machine: '{path}'}}\n", 0o600)
        texts = [f["found"] + " | " + f["advice"] for f in findings(machine, "access")]
        assert len(texts) == 2 and wrong in texts[0], texts
        assert "may not write to store.url /srv/store" in texts[1] and "ReadWritePaths=/srv/store" in texts[1], texts
        (port,) = findings(machine, "ports")
        assert "may not listen on ports below 1024" in port["found"] and "socket" in port["advice"], port
    # What it advises helps: the file's owner, the directory's owner and the unit's right to it.
    machine.shell("chown cairn-edge: /etc/machine-name; chown -R cairn-edge: /srv/store/")
    machine.shell("sed -i s:/home/x:/etc: /etc/cairn/edge.yaml; sed -i s/:210/:2101/ /etc/cairn/edge.yaml")
    machine.write("/etc/systemd/system/cairn-edge.service.d/store.conf", "[Service]\nReadWritePaths=/srv/store\n")
    machine.run("systemctl", "daemon-reload")
    assert findings(machine, "access") == []
    machine.run("systemctl", "restart", "cairn-edge")
    assert machine.show("cairn-edge", "ActiveState") == "active"
    machine.shell("rm -r /etc/systemd/system/cairn-edge.service.d /etc/machine-name /home/x")
    machine.write("/etc/cairn/edge.yaml", EDGE, 0o600)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "cairn-edge")


def test_what_the_units_shut_out(machine, package):
    said = machine.run("systemd-analyze", "security", "cairn-edge", "--no-pager").stdout.splitlines()[-1]
    exposure = float(said.split(":")[1].split()[0])
    print(f"\n{machine.suite}: systemd-analyze security {exposure}")
    assert exposure <= 1.3, said


def test_a_hung_process_is_killed_by_the_watchdog_and_comes_back_with_its_records(machine, package):
    machine.write("/run/systemd/system/cairn-edge.service.d/watchdog.conf", "[Service]\nWatchdogSec=3s\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "cairn-edge")
    process = machine.show("cairn-edge", "MainPID")
    machine.run("kill", "-STOP", process)
    machine._until(lambda: machine.show("cairn-edge", "MainPID") not in ("0", process)
                   and machine.show("cairn-edge", "ActiveState") == "active", "another process accepts", 60)
    assert "watchdog" in machine.journal().lower()
    assert records(machine) == ["one", "two"]
    machine.run("rm", "-r", "/run/systemd/system/cairn-edge.service.d")
    machine.run("systemctl", "daemon-reload")


def test_stops_cleanly(machine, package):
    machine.run("systemctl", "restart", "cairn-edge")
    produce(machine, ["three"])
    before = time.monotonic()
    machine.run("systemctl", "stop", "cairn-edge")
    took = time.monotonic() - before
    print(f"\n{machine.suite}: {took:.2f} s to stop")
    assert took < 10
    assert machine.show("cairn-edge", "Result") == "success"
    machine.run("systemctl", "start", "cairn-edge")
    assert records(machine) == ["one", "two", "three"]


def test_keys_come_as_credentials(machine, package):
    machine.shell("cairn key new /etc/cairn/site.key --id test")
    machine.write("/etc/systemd/system/cairn-edge.service.d/key.conf",
                  "[Service]\nLoadCredential=site.key:/etc/cairn/site.key\n")
    machine.write("/etc/cairn/edge.yaml", EDGE + "encryption: {key-file: \"credential:site.key\"}\n", 0o600)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "cairn-edge")
    assert records(machine) == ["one", "two", "three"]
    done = machine.run("cairn", "doctor", "--json", check=False)
    assert '"verdict" : "failure"' not in done.stdout, done.stdout
    machine.run("rm", "-r", "/etc/systemd/system/cairn-edge.service.d", "/etc/cairn/site.key")
    machine.write("/etc/cairn/edge.yaml", EDGE, 0o600)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "cairn-edge")


def test_with_the_socket_unit_a_restart_refuses_no_connection(machine, package):
    machine.run("systemctl", "stop", "cairn-edge")
    machine.run("systemctl", "enable", "--now", "cairn-edge.socket")
    machine.run("systemctl", "start", "cairn-edge")
    knock = machine.directory / "knock.py"
    knock.write_text(
        "import socket, sys, time\n"
        "end, tries, refused = time.time() + 6, 0, 0\n"
        "while time.time() < end:\n"
        "    tries += 1\n"
        "    try:\n"
        "        socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=5).close()\n"
        "    except OSError:\n"
        "        refused += 1\n"
        "    time.sleep(0.01)\n"
        "print(tries, refused)\n")
    for port in (9092, 2101):
        child = subprocess.Popen(["nsenter", "-t", machine.leader, "-n", "--", sys.executable, str(knock), str(port)],
                                 stdout=subprocess.PIPE, text=True)
        time.sleep(0.5)
        machine.run("systemctl", "restart", "cairn-edge")
        tries, refused = map(int, child.communicate(timeout=60)[0].split())
        assert tries > 50 and refused == 0, (port, tries, refused)
    assert records(machine) == ["one", "two", "three"]
    done = machine.run("cairn", "doctor", check=False)
    assert done.returncode in (0, 1) and "kafka.listen 127.0.0.1:9092 is held by the running cairn" in done.stdout, done.stdout
    machine.run("systemctl", "stop", "cairn-edge")
    done = machine.run("cairn", "doctor", check=False)
    assert "kafka.listen 127.0.0.1:9092 is held by systemd" in done.stdout, done.stdout
    machine.run("systemctl", "disable", "--now", "cairn-edge.socket", check=False)
    machine.run("systemctl", "restart", "cairn-edge")


def test_an_instance_of_the_cloud_template(machine, package):
    machine.write("/etc/cairn/cloud-b.yaml", """\
http: {listen: "127.0.0.1:9744"}
kafka: {listen: "127.0.0.1:9193"}
store: {url: "dir:/var/lib/cairn-cloud-b/store"}
""", 0o600)
    machine.run("systemctl", "enable", "--now", "cairn-cloud@b")
    machine.outside("kcat", "-b", "127.0.0.1:9193", "-P", "-t", "cloudy", "-X", "acks=all", data=b"one")
    assert machine.show("cairn-cloud@b", "ActiveState") == "active"


def test_an_upgrade_restarts_what_runs_over_its_data_and_keeps_edited_files(machine, newer):
    machine.write("/etc/cairn/edge.yaml", EDGE + "# edited\n", 0o600)
    process = machine.show("cairn-edge", "MainPID")
    instance = machine.show("cairn-cloud@b", "MainPID")
    said = dpkg(machine, newer)
    assert "failures" in said, "the doctor's summary"
    assert machine.show("cairn-edge", "MainPID") not in ("0", process)
    assert machine.show("cairn-edge", "ActiveState") == "active"
    assert machine.show("cairn-cloud@b", "MainPID") not in ("0", instance)
    assert machine.show("cairn-cloud@b", "ActiveState") == "active"
    assert machine.run("cat", "/etc/cairn/edge.yaml").stdout.endswith("# edited\n")
    assert records(machine) == ["one", "two", "three"]


def test_an_upgrade_starts_nothing_that_was_stopped(machine, package):
    machine.run("systemctl", "stop", "cairn-edge")
    dpkg(machine, package, "--force-downgrade")
    assert machine.show("cairn-edge", "ActiveState") == "inactive"
    machine.run("systemctl", "start", "cairn-edge")
    produce(machine, ["four"])


def test_removal_stops_the_service_and_keeps_settings_and_records(machine, package):
    machine.run("dpkg", "--remove", "cairn")
    assert machine.run("pgrep", "-x", "cairn", check=False).stdout == ""
    assert machine.run("cat", "/etc/cairn/edge.yaml").stdout.startswith("site: PKG01")
    dpkg(machine, package)
    assert machine.show("cairn-edge", "UnitFileState") == "enabled"
    machine.run("systemctl", "start", "cairn-edge")
    assert records(machine) == ["one", "two", "three", "four"]


def test_a_purge_destroys_no_record_without_an_order(machine, package):
    said = machine.run("dpkg", "--purge", "cairn").stdout
    assert "kept /var/lib/cairn-edge" in said and "CAIRN_PURGE_DATA=yes" in said
    machine.run("test", "-f", "/etc/cairn/edge.yaml")
    dpkg(machine, package)
    machine.run("systemctl", "enable", "--now", "cairn-edge")
    assert records(machine) == ["one", "two", "three", "four"]


def test_a_purge_with_the_order_leaves_nothing(machine, package):
    machine.shell("CAIRN_PURGE_DATA=yes dpkg --purge cairn")
    for path in ("/etc/cairn", "/var/lib/cairn-edge", "/var/lib/private/cairn-edge", "/var/lib/cairn-cloud-b", "/usr/bin/cairn"):
        assert machine.run("test", "-e", path, check=False).returncode != 0, path
    left = machine.shell("find / -xdev '(' -name 'cairn*' -o -name '_cairn*' ')' -not -path '/proc/*' -not -path '/mnt/*' "
                         "-not -path '/var/lib/dpkg/*' -not -path '/var/log/*' -not -path '/run/*'").stdout
    assert left == ""
