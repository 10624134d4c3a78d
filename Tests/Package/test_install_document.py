"""docs/install.md, every command as it stands there: a cloud node and a gateway over a real S3 server, upgrade, removal."""

import re
import shutil

from container import ROOT

DOCUMENT = (ROOT / "docs/install.md").read_text()


def commands(title):
    """The shell blocks of one section, for /bin/sh."""
    section = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", DOCUMENT, re.M | re.S).group(1)
    return re.findall(r"^```sh\n(.*?)^```", section, re.M | re.S)


def follow(title, machine):
    for text in commands(title):
        # Warnings of the doctor (a container's clock, its overlay) end nothing.
        text = re.sub(r"^cairn doctor$", "cairn doctor || [ $? -eq 1 ]", text, flags=re.M)
        machine.run("sh", "-exc", f"cd /mnt\n{text}", seconds=180)


def test_the_document(machine, package, store):
    shutil.copy(package, machine.directory / "shared" / package.name)
    # apt asks a person.
    machine.write("/etc/apt/apt.conf.d/90yes", 'APT::Get::Assume-Yes "true";\n')
    follow("A cloud node", machine)
    follow("A gateway", machine)
    machine.outside("kcat", "-b", "127.0.0.1:9092", "-P", "-t", "notes", "-X", "acks=all", data=b"written on the site\n")

    def arrived():
        done = machine.run("cairn", "tail", "notes", "--bootstrap", "127.0.0.1:9093", "--from-beginning", "--max", "1",
                           "--timeout", "3s", check=False)
        return "written on the site" in done.stdout

    machine._until(arrived, "the record is in the cloud", 60)
    for role in ("edge", "cloud"):
        done = machine.run("cairn", "doctor", "--role", role, check=False)
        assert done.returncode in (0, 1), done.stdout
    follow("Upgrade", machine)
    machine._until(arrived, "and is after the upgrade", 60)
    follow("Remove", machine)
    left = machine.shell("ls -d /etc/cairn /var/lib/cairn-* /usr/bin/cairn 2>/dev/null || true").stdout
    assert left == "", left
