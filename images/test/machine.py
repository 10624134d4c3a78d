"""A virtual machine that boots an image: power, console, root shell, forwarded ports, the FAT partition of settings.

KVM is used only where the processor says it can virtualise; /dev/kvm alone proves nothing.
"""

import base64
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
MIB = 1 << 20
SITECFG_AT = 65 * MIB
# Emulated and on a busy machine a start takes one to three minutes; nothing is judged by how long it takes.
BOOT_SECONDS = int(os.environ.get("IMAGE_TEST_BOOT_SECONDS", "420"))


# The machine that the image is for.
ARCH = os.environ.get("ARCH") or subprocess.run(
    ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout.strip()
BOARDS = {
    "amd64": ("qemu-system-x86_64", "q35", "Nehalem", r"\b(svm|vmx)\b",
              "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    "arm64": ("qemu-system-aarch64", "virt", "cortex-a72", None,
              "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
}
QEMU, BOARD, PROCESSOR, CAN_VIRTUALISE, FIRMWARE, FIRMWARE_VARIABLES = BOARDS[ARCH]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accelerator():
    flags = Path("/proc/cpuinfo").read_text()
    if CAN_VIRTUALISE and re.search(CAN_VIRTUALISE, flags) and os.access("/dev/kvm", os.W_OK):
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", PROCESSOR]


class Machine:
    """One disk and the machine around it. `start` and `cut_power` as often as a test likes; the disk stays."""

    def __init__(self, directory, image, disk_gib=6):
        self.directory = Path(directory)
        self.disk = self.directory / "disk.raw"
        subprocess.run(["cp", "--sparse=always", image, self.disk], check=True)
        os.truncate(self.disk, disk_gib << 30)
        self.firmware = self.directory / "vars.fd"
        shutil.copy(FIRMWARE_VARIABLES, self.firmware)
        self.serial = self.directory / "serial.log"
        self.serial.touch()
        self.ports = {port: free_port() for port in (9645, 9092, 2101)}
        self.qemu = self.cache = self.channel = None
        self.numbers = itertools.count(1)

    # MARK: Power

    def start(self):
        """Switches on. Writes pass a cache that only a flush empties, so that `cut_power` loses what a real disk's cache would."""
        nbd, shell = self.directory / "nbd.sock", self.directory / "shell.sock"
        for path in (nbd, shell):
            path.unlink(missing_ok=True)
        self.cache = subprocess.Popen(
            ["nbdkit", "-f", "-U", nbd, "--filter=cache", "file", self.disk, "cache=writeback"],
            stdout=subprocess.DEVNULL, stderr=open(self.directory / "nbdkit.log", "ab"), start_new_session=True)
        self._until(nbd.exists, "nbdkit", 20)
        forwards = "".join(f",hostfwd=tcp:127.0.0.1:{host}-:{guest}" for guest, host in self.ports.items())
        self.qemu = subprocess.Popen(
            [QEMU, "-M", BOARD, *accelerator(), "-smp", "2", "-m", "1024", "-display", "none", "-nodefaults",
             "-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE}",
             "-drive", f"if=pflash,format=raw,file={self.firmware}",
             "-drive", f"if=virtio,format=raw,cache=writeback,file=nbd:unix:{nbd}",
             "-chardev", f"file,id=serial,append=on,path={self.serial}", "-serial", "chardev:serial",
             "-device", "virtio-serial", "-chardev", f"socket,id=shell,path={shell},server=on,wait=off",
             "-device", "virtserialport,chardev=shell,name=test.shell",
             "-netdev", f"user,id=net{forwards}", "-device", "virtio-net-pci,netdev=net",
             "-device", "i6300esb", "-action", "watchdog=reset", "-device", "virtio-rng-pci", "-device", "qemu-xhci,id=usb",
             "-monitor", f"unix:{self.directory / 'monitor.sock'},server=on,wait=off"],
            stdout=subprocess.DEVNULL, stderr=open(self.directory / "qemu.log", "ab"), start_new_session=True)
        self._until(shell.exists, "qemu", 30)
        self.channel = socket.socket(socket.AF_UNIX)
        self.channel.connect(str(shell))
        self.pending = b""
        return self

    def cut_power(self):
        """Everything at once, the cache of the disk included."""
        for process in (self.qemu, self.cache):
            if process and process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        for process in (self.qemu, self.cache):
            if process:
                process.wait(30)
        if self.channel:
            self.channel.close()
        self.qemu = self.cache = self.channel = None

    def monitor(self, command):
        with socket.socket(socket.AF_UNIX) as channel:
            channel.connect(str(self.directory / "monitor.sock"))
            channel.settimeout(10)
            answer = channel.recv(65536)
            channel.sendall(command.encode() + b"\n")
            time.sleep(1)
            return (answer + channel.recv(65536)).decode(errors="replace")

    # MARK: Looking

    def console(self):
        return self.serial.read_text(errors="replace").replace("\r", "")

    def wait_console(self, text, since=0, seconds=BOOT_SECONDS):
        """The console after the first place of `text` that is not before `since` characters."""
        def found():
            place = self.console().find(text, since)
            return place + len(text) if place >= 0 else None
        return self._until(found, f"'{text}' on the console", seconds)

    def sh(self, command, seconds=120, check=True):
        """Output of a command as root in the machine; waits for the shell as long as a start may take."""
        output, code = self._ask(command, seconds)
        assert not check or code == 0, f"{command}: exit code {code}\n{output}"
        return output

    def code(self, command, seconds=120):
        return self._ask(command, seconds)[1]

    def ready(self):
        """The root shell answers: asks until it does, because what is sent before it listens is lost."""
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            try:
                self._ask("true", 5)
                return self
            except AssertionError:
                assert self.qemu.poll() is None, (self.directory / "qemu.log").read_text()
        raise AssertionError(f"no shell within {BOOT_SECONDS} s\n{self.console()[-3000:]}")

    def wait_sh(self, command, seconds=BOOT_SECONDS):
        """Until a command ends with 0; also over a restart of the machine."""
        def succeeded():
            try:
                return self._ask(command, 20)[1] == 0
            except AssertionError:
                return False
        self._until(succeeded, f"success of: {command}", seconds, pause=1)

    def http(self, path, port=9645):
        """Status and body, or None where nothing answers."""
        import http.client
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=15)
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            return None

    def _ask(self, command, seconds):
        number = str(next(self.numbers))
        line = f"{number} {base64.b64encode(command.encode()).decode()}\n"
        self.channel.sendall(line.encode())
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.channel.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                self.pending += self.channel.recv(65536)
            except TimeoutError:
                break
            *lines, self.pending = self.pending.split(b"\n")
            for answer in lines:
                parts = answer.decode(errors="replace").split(" ")
                if len(parts) == 3 and parts[0] == number:
                    return base64.b64decode(parts[2]).decode(errors="replace").rstrip("\n"), int(parts[1])
        raise AssertionError(f"no answer within {seconds} s: {command}\n{self.console()[-1500:]}")

    def _until(self, condition, what, seconds, pause=0.2):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(pause)
        raise AssertionError(f"not within {seconds} s: {what}\n{self.console()[-3000:]}")

    # MARK: The partition that a person sees on a laptop; only while the machine is off

    def put(self, path, name):
        subprocess.run(["mcopy", "-o", "-i", f"{self.disk}@@{SITECFG_AT}", path, f"::/{name}"], check=True)

    def get(self, name):
        """A text file of it, or None."""
        done = subprocess.run(
            ["mtype", "-i", f"{self.disk}@@{SITECFG_AT}", f"::/{name}"], capture_output=True, check=False)
        return done.stdout.decode() if done.returncode == 0 else None

    def names(self):
        listing = subprocess.run(
            ["mdir", "-b", "-i", f"{self.disk}@@{SITECFG_AT}", "::/"], capture_output=True, check=True, text=True)
        return {line.removeprefix("::/") for line in listing.stdout.splitlines()}

    def sitecfg_bytes(self):
        with open(self.disk, "rb") as disk:
            disk.seek(SITECFG_AT)
            return disk.read(36 * MIB)
