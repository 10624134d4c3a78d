"""What the package leaves behind, file by file: after installation, upgrade, removal and purge the whole system is compared with what it was."""

import re

from test_package import EDGE, dpkg, produce, records

# What changes by itself, or keeps the story of a system: states of dpkg and systemd, logs, caches, volatile places.
UNCOUNTED = r"^/(proc|sys|run|dev|tmp|mnt|var/lib/dpkg|var/log|var/cache|var/tmp|var/lib/systemd|var/lib/private|root)(/|$)"
# The users stay, as Debian's policy has it: their numbers own files elsewhere.
USERS = {"/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-"}


def files(machine):
    """Kind, mode, owner and, of files and links in /etc, content of everything that counts, by path."""
    lines = machine.run("find", "/", "-xdev", "-printf", "%p\t%y %m %U:%G\n").stdout.splitlines()
    found = dict(line.split("\t") for line in lines if not re.match(UNCOUNTED, line.split("\t")[0]))
    sums = machine.shell("find /etc -type f -exec md5sum '{}' +; find /etc -type l -printf '%l  %p\\n'").stdout.splitlines()
    for line in sums:
        digest, path = line.split("  ", 1)
        if path in found:
            found[path] += " " + digest
    return found


def difference(before, after):
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} - USERS


def of_package(machine):
    return {path for path in machine.run("dpkg", "-L", "cairn").stdout.split("\n")[:-1]
            if machine.run("test", "-d", path, check=False).returncode != 0}


def test_a_life_of_the_package_leaves_nothing_that_is_not_documented(machine, package, newer):
    before = files(machine)
    dpkg(machine, package)
    own = of_package(machine)
    new = difference(before, files(machine))
    # Nothing but its own files and the directories that they made necessary.
    assert {path for path in new if path not in own} <= {path for one in own for path in parents(one)} | {"/etc/cairn"}, new - own

    machine.write("/etc/cairn/edge.yaml", EDGE + "# of the site\n", 0o600)
    machine.write("/etc/systemd/system/cairn-edge.service.d/own.conf", "[Service]\nEnvironment=OWN=1\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", "cairn-edge")
    produce(machine, ["kept"])

    # Upgrade: what the operator wrote is as it was, asked or not, and so are the records.
    settings = {p: f for p, f in files(machine).items() if p.startswith("/etc/")}
    said = dpkg(machine, newer, "--force-confdef", "--force-confold")
    assert "Configuration file" not in said
    assert difference(settings, {p: f for p, f in files(machine).items() if p.startswith("/etc/")}) == set()
    assert machine.run("dpkg", "--verify", "cairn").stdout == ""
    assert machine.show("cairn-edge", "Environment").find("OWN=1") >= 0
    assert records(machine) == ["kept"]

    # Removal: no file of the package, all of the operator's.
    machine.run("dpkg", "--remove", "cairn")
    left = files(machine)
    assert own & left.keys() == set(), own & left.keys()
    kept = {path for path in difference(before, left) if not path.startswith("/etc/systemd/system/")}
    assert kept == {"/etc/cairn", "/etc/cairn/edge.yaml", "/var/lib/cairn-edge"}, kept
    assert machine.run("systemctl", "list-units", "--all", "--no-legend", "cairn*", "--state=active").stdout == ""

    # Purge with the order: the system as it was, but for the users and what the operator put into systemd's own directory.
    machine.shell("CAIRN_PURGE_DATA=yes dpkg --purge cairn")
    assert difference(before, files(machine)) == {
        "/etc/systemd/system/cairn-edge.service.d", "/etc/systemd/system/cairn-edge.service.d/own.conf"}
    assert machine.run("ls", "-A", "/var/lib/private").stdout == ""
    assert machine.shell("find /var/lib/systemd /run/systemd -name '*cairn*' -not -path '*/invocation*' -not -path '*/units/*'").stdout == ""
    assert machine.run("getent", "passwd", "cairn-edge").stdout.startswith("cairn-edge:")


def test_an_older_package_is_upgraded_over_its_data_and_can_come_back(machine, older, package):
    """After the test above: an installation that begins with another build of the program."""
    dpkg(machine, older)
    machine.write("/etc/cairn/edge.yaml", EDGE, 0o600)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", "cairn-edge")
    produce(machine, ["old"])
    dpkg(machine, package, "--force-downgrade")
    assert machine.show("cairn-edge", "ActiveState") == "active"
    produce(machine, ["new"])
    assert records(machine) == ["old", "new"]
    dpkg(machine, older, "--force-downgrade")
    assert records(machine) == ["old", "new"]
    assert machine.run("dpkg", "--audit").stdout == ""
    machine.shell("CAIRN_PURGE_DATA=yes dpkg --purge cairn")
    assert machine.run("ls", "-A", "/var/lib/private").stdout == ""


def parents(path):
    while "/" in path[1:]:
        path = path.rsplit("/", 1)[0]
        yield path
