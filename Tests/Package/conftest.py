import os
import subprocess
from pathlib import Path

import pytest

from container import ROOT, Container, why_not

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
    reason = why_not()
    if reason:
        pytest.skip(f"containers: {reason}")
    container = Container(request.param, tmp_path_factory.mktemp(request.param))
    try:
        yield container.start()
    finally:
        container.stop()


def pytest_configure(config):
    reason = why_not()
    if reason:
        print(f"tests of the package and its units are skipped: {reason}")
