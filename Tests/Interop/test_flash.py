"""cairn flash: images onto files and loop devices, against bmaptool and mtools."""

import os
import pty
import re
import shutil
import signal
import subprocess
import time

import pytest

from conftest import BINARY, cairn, wait_until

MIB = 1 << 20

needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, ["bmaptool", "sfdisk", "mkfs.vfat", "zstd"])), reason="bmap-tools, fdisk, dosfstools, zstd")
needs_mtools = pytest.mark.skipif(shutil.which("mcopy") is None, reason="mtools")


def run(*arguments, **options):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return done.stdout


def flash(*arguments, seconds=120):
    return cairn("flash", *arguments, "--yes", seconds=seconds)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A sparse image of 96 MiB with a partition for sites, data and holes, its map and its compressed form."""
    directory = tmp_path_factory.mktemp("image")
    image = directory / "disk.img"
    with open(image, "wb") as file:
        file.truncate(96 * MIB)
    run("sfdisk", "-q", image, input=(
        "label: gpt\n"
        "start=2048, size=8M, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=esp\n"
        "size=40M, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, name=sitecfg\n"
        "size=16M, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=root-a\n"))
    run("mkfs.vfat", "-F", "32", "-n", "SITECFG", "--offset", str(9 * MIB // 512), image, str(40 * MIB // 1024))
    with open(image, "r+b") as file:
        for place in (50 * MIB, 57 * MIB + 4096, 64 * MIB):
            file.seek(place)
            file.write(os.urandom(3 * MIB + 512))
    run("bmaptool", "create", image, "-o", directory / "disk.bmap")
    run("zstd", "-q", image, "-o", directory / "disk.img.zst")
    return directory


@pytest.fixture
def image(made, tmp_path):
    """A copy that a test may damage."""
    for name in ("disk.img", "disk.bmap", "disk.img.zst"):
        run("cp", "--sparse=always", made / name, tmp_path / name)
    return tmp_path / "disk.img"


@pytest.fixture
def loop(tmp_path):
    """Makes loop devices; they are gone after the test."""
    made = []

    def make(size):
        backing = tmp_path / f"disk{len(made)}.raw"
        with open(backing, "wb") as file:
            for _ in range(size // MIB):
                file.write(b"\xa5" * MIB)
            file.write(b"\xa5" * (size % MIB))
        done = subprocess.run(["losetup", "-f", "--show", backing], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"no loop devices here: {done.stderr.strip()}")
        made.append(done.stdout.strip())
        return made[-1]

    yield make
    for device in made:
        subprocess.run(["losetup", "-d", device])


@needs_tools
@pytest.mark.parametrize("name", ["disk.img", "disk.img.zst"])
def test_what_is_written_is_what_bmaptool_writes(image, tmp_path, name):
    done = flash(image.parent / name, tmp_path / "ours")
    assert done.returncode == 0, done.stderr
    assert "disk.bmap" in done.stderr and "written and read back" in done.stdout
    run("bmaptool", "copy", "--bmap", tmp_path / "disk.bmap", image, tmp_path / "theirs")
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    # Holes stay holes.
    assert (tmp_path / "ours").stat().st_blocks * 512 < 20 * MIB


@needs_tools
def test_without_a_map_every_byte_is_written(image, tmp_path):
    (tmp_path / "disk.bmap").unlink()
    for name in ("disk.img", "disk.img.zst"):
        (tmp_path / "ours").write_bytes(b"old" * 1000)
        done = flash(tmp_path / name, tmp_path / "ours")
        assert done.returncode == 0 and "every byte" in done.stderr, done.stderr
        assert (tmp_path / "ours").read_bytes() == image.read_bytes()


@needs_tools
def test_a_device_holds_the_mapped_blocks_and_keeps_what_lies_between(image, tmp_path, loop):
    ours, theirs = loop(100 * MIB), loop(100 * MIB)
    done = flash(tmp_path / "disk.img.zst", ours)
    assert done.returncode == 0, done.stderr
    run("bmaptool", "copy", "--bmap", tmp_path / "disk.bmap", image, theirs)
    with open(ours, "rb") as first, open(theirs, "rb") as second:
        a, b = first.read(), second.read()
    # Holes in the first MiB are zeros here and old bytes there.
    assert a[MIB:] == b[MIB:]
    assert a[:MIB] == image.read_bytes()[:MIB]


@needs_tools
def test_a_damaged_image_is_refused_with_its_range(image, tmp_path):
    with open(image, "r+b") as file:
        file.seek(57 * MIB + 8192)
        file.write(b"damage")
    done = flash(image, tmp_path / "out")
    block = (57 * MIB + 8192) // 4096
    assert done.returncode == 65, done.stderr
    first, last = map(int, re.search(r"range (\d+)-(\d+) of the image", done.stderr).groups())
    assert first <= block <= last
    assert "NOT usable" in done.stderr
    assert (tmp_path / "out").read_bytes()[:MIB] == bytes(MIB)


@needs_tools
def test_an_image_that_is_damaged_at_its_beginning_changes_nothing(image, tmp_path, loop):
    device = loop(100 * MIB)
    with open(image, "r+b") as file:
        file.seek(600)
        file.write(b"damage")
    done = flash(image, device)
    assert done.returncode == 65 and "was not changed" in done.stderr, done.stderr
    with open(device, "rb") as file:
        assert file.read(MIB) == b"\xa5" * MIB


@needs_tools
def test_damaged_maps_and_cut_images_are_refused(image, tmp_path):
    text = (tmp_path / "disk.bmap").read_text()
    out = tmp_path / "out"
    (tmp_path / "bad.bmap").write_text(text.replace("<Range chksum=\"", "<Range chksum=\"0", 1))
    done = flash(image, out, "--bmap", tmp_path / "bad.bmap")
    assert done.returncode == 65 and "checksum does not fit" in done.stderr
    (tmp_path / "bad.bmap").write_text(text[: len(text) // 2])
    assert flash(image, out, "--bmap", tmp_path / "bad.bmap").returncode == 65
    assert flash(image, out, "--bmap", tmp_path / "none.bmap").returncode == 66
    os.truncate(image, 90 * MIB)
    done = flash(image, out)
    assert done.returncode == 65 and "should have" in done.stderr
    whole = (tmp_path / "disk.img.zst").read_bytes()
    (tmp_path / "cut.img.zst").write_bytes(whole[: len(whole) // 2])
    done = flash(tmp_path / "cut.img.zst", out, "--bmap", tmp_path / "disk.bmap")
    assert done.returncode == 65 and "in the middle of a frame" in done.stderr, done.stderr
    assert flash(tmp_path / "nothing.img", out).returncode == 66


@needs_tools
def test_devices_that_cannot_be_meant_are_refused(image, tmp_path, loop):
    short = loop(64 * MIB)
    done = flash(image, short)
    assert done.returncode == 77 and "too small" in done.stderr, done.stderr
    assert flash(image, "/dev/null").returncode == 77
    assert flash(image, image).returncode == 77
    assert cairn("flash", image, tmp_path / "out", stdin=subprocess.DEVNULL).returncode == 77
    assert not (tmp_path / "out").exists()
    device = loop(100 * MIB)
    run("mkfs.ext4", "-q", device)
    (tmp_path / "mnt").mkdir()
    mounted = subprocess.run(["mount", device, tmp_path / "mnt"], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        done = flash(image, device)
        assert done.returncode == 77 and f"is mounted at {tmp_path / 'mnt'}" in done.stderr, done.stderr
        listed = cairn("flash", "--list")
        assert listed.returncode == 0 and f"{device}" in listed.stdout and "is mounted at" in listed.stdout
    finally:
        run("umount", tmp_path / "mnt")
    assert flash(image, device).returncode == 0
    run("losetup", "-d", device)
    run("losetup", "-r", device, tmp_path / "disk1.raw")
    done = flash(image, device)
    assert done.returncode == 77 and "read-only" in done.stderr, done.stderr


@needs_tools
def test_a_root_file_system_is_never_written_to():
    source = run("findmnt", "-n", "-o", "SOURCE", "/").strip()
    if not source.startswith("/dev/"):
        pytest.skip(f"the root file system is {source}")
    done = cairn("flash", BINARY, source, "--yes", "--no-bmap", "--force-partition")
    assert done.returncode == 77 and "running system" in done.stderr, done.stderr


@needs_tools
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_what_was_stopped_in_the_middle_boots_nowhere_and_is_written_again(image, tmp_path, loop, number):
    device = loop(100 * MIB)
    # Without a map there is more to write.
    (tmp_path / "disk.bmap").unlink()
    child = subprocess.Popen([BINARY, "flash", image, device, "--yes"], stderr=subprocess.PIPE)

    def begun():
        with open(device, "rb") as file:
            return file.read(4096) == bytes(4096) or child.poll() is not None

    wait_until(begun, "the first MiB is emptied")
    child.send_signal(number)
    error = child.communicate(timeout=60)[1].decode()
    if child.returncode == 0:
        pytest.skip("it was faster than the signal")
    if number == signal.SIGINT:
        assert child.returncode == 130 and "NOT usable" in error, error
    with open(device, "rb") as file:
        assert file.read(MIB) == bytes(MIB)
    assert flash(image, device).returncode == 0
    with open(device, "rb") as file:
        assert file.read(96 * MIB) == image.read_bytes()


@needs_tools
@needs_mtools
def test_the_bundle_of_a_site_lies_on_its_partition(image, tmp_path, loop):
    bundle = tmp_path / "bundle.yaml"
    bundle.write_text("site: FIELD07\n")
    device = loop(100 * MIB)
    for target in (device, tmp_path / "file.img"):
        done = flash(image, target, "--site-bundle", bundle)
        assert done.returncode == 0, done.stderr
        assert run("mtype", "-i", f"{target}@@{9 * MIB}", "::/cairn.yaml") == "site: FIELD07\n"
    # Without mtools it is said before anything is written.
    empty = tmp_path / "bin"
    empty.mkdir()
    done = subprocess.run([BINARY, "flash", image, tmp_path / "new.img", "--yes", "--site-bundle", bundle],
                          capture_output=True, text=True, env={"PATH": str(empty)}, timeout=60)
    assert done.returncode == 69 and "mtools" in done.stderr and not (tmp_path / "new.img").exists()


@needs_tools
@needs_mtools
def test_an_image_without_a_partition_for_sites_takes_no_bundle(tmp_path):
    bundle, image = tmp_path / "bundle.yaml", tmp_path / "plain.img"
    bundle.write_text("site: X\n")
    image.write_bytes(b"x" * 3 * MIB)
    (tmp_path / "out").write_bytes(b"old")
    done = flash(image, tmp_path / "out", "--site-bundle", bundle)
    assert done.returncode == 77 and "no GPT" in done.stderr, done.stderr
    assert (tmp_path / "out").read_bytes() == b"old"


def test_somebody_must_say_yes(tmp_path):
    image = tmp_path / "a.img"
    image.write_bytes(os.urandom(100_000))
    for answer, code in ((b"no\n", 77), (b"yes\n", 0)):
        leader, follower = pty.openpty()
        child = subprocess.Popen([BINARY, "flash", image, tmp_path / "out"], stdin=follower, stderr=subprocess.PIPE,
                                 stdout=subprocess.PIPE)
        os.write(leader, answer)
        _, error = child.communicate(timeout=30)
        os.close(leader)
        os.close(follower)
        assert child.returncode == code, error
        assert b"will be lost" in error
        assert (tmp_path / "out").exists() == (code == 0)
    assert (tmp_path / "out").read_bytes() == image.read_bytes()
