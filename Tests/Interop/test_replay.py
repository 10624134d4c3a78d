"""Receiver captures through real terminal software arrive in the cloud byte for byte, read with kcat."""

import socket
import subprocess
import time

import pytest
from conftest import FIXTURES, Cloud, Edge, free_port, kcat, wait_until


def stream_of(bootstrap, topic, size, seconds=60):
    """The records of `topic` and `topic`.unknown put together by their position in the terminal's stream."""
    def read():
        pieces = []
        for name in (topic, topic + ".unknown"):
            listing = kcat("-L", "-b", bootstrap, "-J").decode()
            if f'"{name}"' not in listing:
                continue
            out = kcat("-C", "-b", bootstrap, "-t", name, "-o", "beginning", "-e", "-q", "-f", "%h %S\\n")
            raw = kcat("-C", "-b", bootstrap, "-t", name, "-o", "beginning", "-e", "-q", "-D", "", "-f", "%s")
            place = 0
            for line in out.decode().splitlines():
                headers, length = line.rsplit(" ", 1)
                fields = dict(h.split("=", 1) for h in headers.split(","))
                pieces.append((int(fields["position"]), raw[place:place + int(length)]))
                place += int(length)
        pieces.sort()
        whole = b"".join(p[1] for p in pieces)
        return whole if len(whole) >= size else None
    return wait_until(read, f"{size} bytes of {topic}", seconds)


@pytest.mark.parametrize("record", ["frame", "epoch"])
@pytest.mark.parametrize("name", ["rtcm3.2.log", "testglo.rtcm3"])
def test_str2str_casts_a_capture(launch, directory_store, tmp_path, name, record):
    capture = (FIXTURES / name).read_bytes()
    cloud = launch(Cloud, directory_store)
    edge = launch(Edge, directory_store, cloud.announce,
                  extra=["--ntrip-mountpoints", "SITE01:secretpw", "--ntrip-record", record])
    feed = free_port()
    with socket.create_server(("127.0.0.1", feed)) as server:
        server.settimeout(20)
        caster = subprocess.Popen(
            ["str2str", "-in", f"tcpcli://127.0.0.1:{feed}", "-out", f"ntrips://:secretpw@127.0.0.1:{edge.ntrip}/SITE01"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(tmp_path / "str2str.log", "wb"))
        try:
            peer, _ = server.accept()
            time.sleep(3)  # str2str drops what it reads before its output is connected.
            for start in range(0, len(capture), 4096):
                peer.sendall(capture[start:start + 4096])
                time.sleep(0.05)
            assert stream_of(cloud.bootstrap, "gnss.rtcm", len(capture)) == capture
            peer.close()
        finally:
            caster.kill()
            caster.wait(10)
    key = kcat("-C", "-b", cloud.bootstrap, "-t", "gnss.rtcm", "-o", "beginning", "-c", "1", "-e", "-q", "-f", "%k")
    assert key == b"SITE01"


@pytest.mark.parametrize("name", ["ublox-zed-f9p_hpg1.11.log", "ublox-zed-f9p-nmea.log"])
def test_plain_tcp_replays_a_capture(launch, directory_store, name):
    capture = (FIXTURES / name).read_bytes()
    port = free_port()
    cloud = launch(Cloud, directory_store)
    launch(Edge, directory_store, cloud.announce, extra=["--tcp-listen", f"127.0.0.1:{port} id=ROVER topic=gnss.raw record=frame"],
           ports=[port])
    with socket.create_connection(("127.0.0.1", port)) as terminal:
        terminal.sendall(capture)
        assert stream_of(cloud.bootstrap, "gnss.raw", len(capture)) == capture


def test_garbage_between_frames_is_kept_in_a_stream_of_its_own(launch, directory_store):
    capture = (FIXTURES / "rtcm3.2.log").read_bytes()[:8000]
    dirty = b"\xd3\x00noise" + capture[:3000] + bytes(range(256)) + capture[3000:]
    port = free_port()
    cloud = launch(Cloud, directory_store)
    launch(Edge, directory_store, cloud.announce, extra=["--tcp-listen", f"127.0.0.1:{port} id=R topic=gnss.raw record=frame"],
           ports=[port])
    with socket.create_connection(("127.0.0.1", port)) as terminal:
        terminal.sendall(dirty)
    assert stream_of(cloud.bootstrap, "gnss.raw", len(dirty)) == dirty


def test_a_wrong_password_and_an_unknown_mountpoint_are_refused_as_casters_do(launch, directory_store):
    edge = launch(Edge, directory_store, extra=["--ntrip-mountpoints", "SITE01:secretpw"])

    def ask(text):
        with socket.create_connection(("127.0.0.1", edge.ntrip), timeout=5) as peer:
            peer.sendall(text)
            return peer.recv(4096)

    assert ask(b"SOURCE wrong SITE01\r\n\r\n").startswith(b"ERROR - Bad Password")
    assert ask(b"SOURCE secretpw /OTHER\r\n\r\n").startswith(b"ERROR - ")
    assert ask(b"POST /SITE01 HTTP/1.1\r\nHost: h\r\nNtrip-Version: Ntrip/2.0\r\nAuthorization: Basic eDp5\r\n\r\n") \
        .startswith(b"HTTP/1.1 401")
    assert b"SOURCETABLE 200 OK" in ask(b"GET / HTTP/1.0\r\nUser-Agent: NTRIP x\r\n\r\n")
