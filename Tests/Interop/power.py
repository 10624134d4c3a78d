"""A disk whose power can be cut: what the file system had not handed to it is lost, as with a real one.

An ext4 file system lies in an image file on an XFS one. Cutting the power is a copy of the image in one instant (a reflink), taken
while the process stands still, and the file system is mounted from that copy: pages that nobody had synced are gone, the
journal is replayed. What the file system had handed to the device without a flush survives, as in a cache with a battery.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path


def run(*arguments):
    done = subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise OSError(f"{' '.join(map(str, arguments))}: {done.stderr.strip()}")


class Disk:
    """`path` is where the file system is mounted. Mounts are seen by this process's mount namespace only as long as it lives."""

    def __init__(self, directory, size_mib=1024):
        self.directory = Path(directory)
        self.outer, self.path = self.directory / "outer", self.directory / "disk"
        self.image, self.mounted, self.cuts = self.outer / "disk-0.img", [], 0
        for made in (self.outer, self.path):
            made.mkdir()
        host = self.directory / "host.img"
        host.touch()
        os.truncate(host, (3 * size_mib) << 20)
        run("mkfs.xfs", "-q", "-m", "reflink=1", host)
        self._mount(host, self.outer)
        self.image.touch()
        os.truncate(self.image, size_mib << 20)
        run("mkfs.ext4", "-q", "-E", "lazy_itable_init=1", self.image)
        self._mount(self.image, self.path)

    def _mount(self, image, place):
        run("mount", "-o", "loop,noatime", image, place)
        self.mounted.append(place)

    def _unmount(self, place):
        # The kernel ends the writes of a killed process a little after the process.
        for attempt in range(100):
            try:
                run("umount", place)
                break
            except OSError:
                if attempt == 99:
                    raise
                time.sleep(0.1)
        self.mounted.remove(place)

    def snapshot(self):
        """What would be there if the power went now."""
        self.cuts += 1
        copy = self.outer / f"disk-{self.cuts}.img"
        run("cp", "--reflink=always", self.image, copy)
        return copy

    def power_on(self, snapshot):
        """Nobody may use the disk. What was written after the snapshot is forgotten."""
        self._unmount(self.path)
        self.image.unlink()
        self.image = snapshot
        self._mount(self.image, self.path)

    def close(self):
        for place in reversed(list(self.mounted)):
            subprocess.run(["umount", "-l", str(place)], capture_output=True, timeout=60)
        self.mounted = []


def why_not():
    """Why a disk like this cannot be had here; None where it can."""
    if os.geteuid() != 0:
        return "needs root, to mount file systems"
    for tool in ("mkfs.xfs", "mkfs.ext4", "mount"):
        if shutil.which(tool) is None:
            return f"needs {tool}"
    if not Path("/dev/loop-control").exists():
        return "needs loop devices"
    return None
