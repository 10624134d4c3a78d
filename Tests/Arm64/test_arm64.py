"""The program for arm64 on a machine that is not, under qemu's user mode emulation: real clients, kill -9, both roles.

That emulation has no io_uring, so the log is written by its other way, pwrite and fdatasync. No test judges a time.
"""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN, PROGRAM = ROOT / "scripts/arm64/run", ROOT / ".build/arm64/cairn"
os.environ["CAIRN_BINARY"] = str(RUN)
sys.path.insert(0, str(ROOT / "Tests/Interop"))
from conftest import Cloud, Edge, cairn, consume, directory_store, launch, processes, wait_until  # noqa: E402, F401
from load import AccountedProducer, assert_exactly_once_in_order  # noqa: E402

if not PROGRAM.exists():
    pytest.skip("no program for arm64 in .build/arm64/cairn; make it with: make arm64", allow_module_level=True)
if not shutil.which("qemu-aarch64-static"):
    pytest.skip("no qemu-aarch64-static; install it with: scripts/system-packages arm64", allow_module_level=True)

# Flash is not what an emulated processor is slow at, but patience is.
SECONDS = 240


def objects(store):
    return sorted(path for path in (Path(store) / "sites").rglob("*") if path.is_file() and path.name.isdigit())


def test_the_program_is_for_arm64_and_has_the_runtime_inside():
    header = PROGRAM.read_bytes()[:20]
    assert header[:5] == b"\x7fELF\x02" and struct.unpack("<H", header[18:20])[0] == 183, "not ELF for AArch64"
    needed = subprocess.run(["readelf", "-d", PROGRAM], check=True, capture_output=True, text=True).stdout
    assert "libc.so.6" in needed and "libsqlite3.so.0" in needed
    assert "libswift" not in needed and "Foundation" not in needed and "libdispatch" not in needed


def test_it_says_its_version_and_examines_the_machine(tmp_path):
    source = (ROOT / "Sources/Appliance/Cairn.swift").read_text()
    version = cairn("--version")
    assert version.returncode == 0 and f'version = "{version.stdout.strip()}"' in source
    (tmp_path / "store").mkdir()
    (tmp_path / "data").mkdir(mode=0o700)
    settings = tmp_path / "edge.yaml"
    settings.write_text(
        f"site: ARM01\ndata-dir: {tmp_path}/data\nstore: {{url: 'dir:{tmp_path}/store'}}\nkafka: {{listen: '127.0.0.1:0'}}\n"
        "wal: {segment: 8MiB}\nlanes:\n" + "".join(f"  {lane}: {{quota: 64MiB}}\n" for lane in ("critical", "standard", "bulk")))
    done = cairn("doctor", "--config", settings, seconds=SECONDS)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert "io_uring" in done.stdout, done.stdout


def test_a_wrong_setting_is_refused_by_name(tmp_path):
    settings = tmp_path / "edge.yaml"
    settings.write_text("site: ARM01\nstore: {urll: 'dir:/tmp'}\n")
    done = cairn("config", "check", "edge", settings)
    assert done.returncode == 78 and "urll" in done.stdout + done.stderr


def test_records_of_a_real_client_survive_kill_9_and_reach_consumers(launch, directory_store, tmp_path):  # noqa: F811
    cloud = launch(Cloud, directory_store)
    edge = launch(Edge, directory_store, cloud.announce, extra=["--kafka-partitions", "2"], site="ARM01")
    producer = AccountedProducer(edge.bootstrap, "sensor.arm", partitions=2).start()
    for victim in (edge, cloud, edge):
        acked = sum(map(len, producer.acked))
        wait_until(lambda: sum(map(len, producer.acked)) > acked + 200, "records are acknowledged", SECONDS)
        victim.kill()
        victim.start()
    sent = producer.finish(SECONDS)
    assert_exactly_once_in_order(consume(cloud.bootstrap, "sensor.arm", sum(sent), SECONDS), sent)
    assert objects(tmp_path / "store"), "no object of a site in the store"
    assert edge.stop(SECONDS) == 0
    verified = cairn("wal", "verify", edge.data, seconds=SECONDS)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_an_amd64_program_reads_what_an_arm64_one_wrote(launch, directory_store):  # noqa: F811
    native = next((path for path in (ROOT / ".build/release/cairn", ROOT / ".build/debug/cairn") if path.exists()), None)
    if native is None:
        pytest.skip("no program for this machine; make it with: make build")
    edge = launch(Edge, directory_store, site="ARM02")
    producer = AccountedProducer(edge.bootstrap, "sensor.both", partitions=1).start()
    wait_until(lambda: sum(map(len, producer.acked)) > 200, "records are acknowledged", SECONDS)
    sent = producer.finish(SECONDS)
    edge.kill()
    verified = subprocess.run([native, "wal", "verify", edge.data], capture_output=True, text=True, timeout=SECONDS,
                              env={k: v for k, v in os.environ.items() if not k.startswith("CAIRN_")})
    assert verified.returncode == 0, verified.stdout + verified.stderr
    edge.arguments[0] = str(native)
    edge.start()
    cloud = launch(Cloud, directory_store)
    assert_exactly_once_in_order(consume(cloud.bootstrap, "sensor.both", sum(sent), SECONDS), sent)
