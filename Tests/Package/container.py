"""A Debian booted with systemd in a container of systemd-nspawn: a fresh copy of a cached root, with a network of its own."""

import os
import pty
import shutil
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def why_not():
    """Why containers cannot be had here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    for tool in ("systemd-nspawn", "mmdebstrap", "nsenter"):
        if not shutil.which(tool):
            return f"needs {tool}: scripts/system-packages package"
    return None


class Container:
    def __init__(self, suite, directory):
        self.suite, self.directory = suite, Path(directory)
        self.root = self.directory / "root"
        self.child = self.leader = self.terminal = None
        self.log = []

    def start(self):
        lower = subprocess.run([ROOT / "scripts/deb/root", self.suite], check=True, stdout=subprocess.PIPE, text=True,
                               timeout=900).stdout.strip()
        for name in ("root", "upper", "work"):
            (self.directory / name).mkdir()
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                        f"lowerdir={lower},upperdir={self.directory}/upper,workdir={self.directory}/work", self.root], check=True)
        # What services keep lies on the disk of this machine itself, not on the overlay.
        data = self.directory / "data"
        data.mkdir(mode=0o700)
        (self.directory / "shared").mkdir()
        self.terminal, inner = pty.openpty()
        self.child = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--boot", f"--bind={data}:/var/lib/private",
             f"--bind={self.directory}/shared:/mnt", "--directory", self.root],
            stdin=inner, stdout=inner, stderr=inner, start_new_session=True)
        os.close(inner)
        threading.Thread(target=self._drain, daemon=True).start()
        self._until(self._find_leader, "the container has a first process", 30)
        self._until(lambda: self.run("systemctl", "is-active", "multi-user.target", check=False).returncode == 0,
                    "the container is up", 90)
        return self

    def _drain(self):
        """Of the console; else the container would wait for us."""
        while True:
            try:
                piece = os.read(self.terminal, 4096)
            except OSError:
                return
            if not piece:
                return
            self.log.append(piece)

    def _find_leader(self):
        children = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children")
        found = children.read_text().split() if children.exists() else []
        self.leader = found[-1] if found else None
        return self.leader and Path(f"/proc/{self.leader}/comm").read_text().strip() in ("systemd", "init")

    def _until(self, condition, what, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return
            assert self.child.poll() is None, b"".join(self.log)[-3000:].decode(errors="replace")
            time.sleep(0.1)
        shown = self.journal() if self.leader else b"".join(self.log)[-3000:].decode(errors="replace")
        raise AssertionError(f"not within {seconds} s: {what}\n{shown}")

    def run(self, *command, check=True, seconds=120, data=None):
        """A command in the container."""
        done = subprocess.run(
            ["nsenter", "-t", self.leader, "-m", "-p", "-n", "-u", "-i", "--", "/usr/bin/env", "-i",
             "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", *map(str, command)],
            input=data, capture_output=True, text=True, timeout=seconds)
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}\n" + self.journal())
        return done

    def shell(self, text, **options):
        return self.run("sh", "-ec", text, **options)

    def outside(self, *command, check=True, seconds=60, data=None):
        """A command of this machine, in the container's network."""
        done = subprocess.run(["nsenter", "-t", self.leader, "-n", "--", *map(str, command)], input=data, capture_output=True,
                              timeout=seconds)
        assert not check or done.returncode == 0, (command, done.stderr.decode()[-2000:], self.journal())
        return done

    def write(self, path, text, mode=0o644):
        self.run("sh", "-ec", f"mkdir -p $(dirname {path}); cat > {path}; chmod {mode:o} {path}", data=text)

    def journal(self):
        done = subprocess.run(["nsenter", "-t", self.leader, "-m", "-p", "--", "journalctl", "-n", "60", "--no-pager", "-o", "cat"],
                              capture_output=True, text=True, timeout=30)
        return done.stdout[-6000:]

    def show(self, unit, name):
        return self.run("systemctl", "show", unit, "--value", "-p", name).stdout.strip()

    def stop(self):
        if self.child and self.child.poll() is None:
            # The first process of the container takes all others with it.
            subprocess.run(["kill", "-KILL", self.leader], check=False)
            try:
                self.child.wait(20)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait(20)
        if self.terminal is not None:
            os.close(self.terminal)
        subprocess.run(["umount", self.root], check=False, stderr=subprocess.DEVNULL)
        if not self.root.is_mount():
            shutil.rmtree(self.directory, ignore_errors=True)
