import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from container import ROOT, Container, why_not

# Why a suite cannot be booted here, once that was tried. CONTAINERS_OR_SKIP: that is no failure then.
NO_CONTAINER = {}
SUITES = os.environ.get("SUITES", "bookworm trixie").split()


def package_file():
    architecture = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout.strip()
    found = sorted((ROOT / ".build").glob(f"cairn_*_{architecture}.deb"))
    assert len(found) == 1, "make deb comes first"
    return found[0]


@pytest.fixture(scope="session")
def package():
    """What `make deb` built."""
    return package_file()


@pytest.fixture(scope="session")
def older():
    """A package that was released before: the file that OLDER names; without one, nothing is upgraded from it."""
    path = os.environ.get("OLDER")
    if not path:
        pytest.skip("OLDER=FILE.deb names an older package to upgrade from")
    return Path(path)


@pytest.fixture(scope="session")
def newer(package, tmp_path_factory):
    """The same files as a later version."""
    directory = tmp_path_factory.mktemp("newer")
    tree = directory / "tree"
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    control = (tree / "DEBIAN/control").read_text()
    version = next(line.split()[1] for line in control.splitlines() if line.startswith("Version:"))
    (tree / "DEBIAN/control").write_text(control.replace(f"Version: {version}", f"Version: {version}.1"))
    later = directory / "later.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, later], check=True, stdout=subprocess.DEVNULL)
    return later


@pytest.fixture(scope="module", params=SUITES)
def machine(request, tmp_path_factory):
    """A fresh Debian, running. The tests of a file go through its life in their order."""
    reason = why_not() or NO_CONTAINER.get(request.param)
    if reason:
        pytest.skip(f"containers: {reason}")
    container = Container(request.param, tmp_path_factory.mktemp(request.param))
    try:
        try:
            container.start()
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            # Nothing of ours is in it yet.
            if not os.environ.get("CONTAINERS_OR_SKIP"):
                raise
            NO_CONTAINER[request.param] = f"none of {request.param} starts here: {error}"
            pytest.skip(f"containers: {NO_CONTAINER[request.param]}")
        yield container
    finally:
        container.stop()


@pytest.fixture(scope="module")
def store(machine):
    """A SeaweedFS in the machine's network, by the names that the document has."""
    machine.shell("echo 127.0.0.1 cloud.example.org s3.example.org >> /etc/hosts")
    directory = machine.directory / "weed"
    directory.mkdir()
    (directory / "s3.json").write_text(json.dumps({"identities": [{
        "name": "cairn", "credentials": [{"accessKey": "cairnkey", "secretKey": "cairnsecret"}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}))
    log = open(directory / "log", "wb")
    weed = subprocess.Popen(
        ["nsenter", "-t", machine.leader, "-n", "--", Path(sys.executable).parent / "weed", "mini", f"-dir={directory}",
         "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.port=8333", f"-s3.config={directory}/s3.json", "-admin.ui=false",
         "-webdav=false"], stdout=log, stderr=log, start_new_session=True)
    make_bucket = (
        "import boto3; from botocore.config import Config\n"
        "boto3.client('s3', endpoint_url='http://127.0.0.1:8333', aws_access_key_id='cairnkey',\n"
        "    aws_secret_access_key='cairnsecret', region_name='us-east-1', config=Config(\n"
        "    s3={'addressing_style': 'path'}, connect_timeout=2, retries={'max_attempts': 1})).create_bucket(Bucket='cairn')\n")
    try:
        machine._until(
            lambda: machine.outside(sys.executable, "-c", make_bucket, check=False).returncode == 0, "SeaweedFS serves", 60)
        yield
    finally:
        weed.kill()
        weed.wait(20)


def pytest_configure(config):
    reason = why_not()
    if reason:
        print(f"tests of the package and its units are skipped: {reason}")
