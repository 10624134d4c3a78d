"""TLS between gateways, cloud nodes and commands: trusted and untrusted authorities, client certificates, renewal without a restart."""

import datetime
import ipaddress
import json
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from clients import produce
from conftest import BINARY, Cloud, Edge, Process, SeaweedFS, cairn, consume, wait_until
from test_clock import Clock

DAY = datetime.timedelta(days=1)


class Authority:
    """Signs certificates of servers on loopback and of clients."""

    def __init__(self, directory, name, begin=-DAY):
        self.directory, self.name = directory, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            self._builder(self.subject, self.key, begin, 2000 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256()))
        self.path = directory / f"{name}.pem"
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject, key, begin, end):
        now = datetime.datetime.now(datetime.timezone.utc)
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(self.subject)
                .public_key(key.public_key()).serial_number(x509.random_serial_number())
                .not_valid_before(now + begin).not_valid_after(now + end))

    def issue(self, name, begin=-DAY, end=30 * DAY, client=False, files=None):
        """Paths of a certificate and its key; over those of `files` to renew them."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        certificate = (
            self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key, begin, end)
            .add_extension(x509.SubjectAlternativeName([
                x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .sign(self.key, hashes.SHA256()))
        paths = files or (self.directory / f"{name}.crt", self.directory / f"{name}.key")
        paths[1].write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return paths


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "authority")


class SecureCloud(Cloud):
    def __init__(self, directory, store, files, clients=None, extra=(), **options):
        extra = ["--http-tls-certificate", files[0], "--http-tls-key", files[1], *extra]
        if clients:
            extra += ["--http-tls-client-ca", clients]
        super().__init__(directory, store, extra=extra, **options)

    @property
    def announce(self):
        return f"https://127.0.0.1:{self.http}"


def report(edge):
    done = cairn("status", "--json", "--url", f"http://127.0.0.1:{edge.http}")
    return json.loads(done.stdout)


def announced(edge):
    return any(lane.get("adoptedObject") for lane in report(edge)["lanes"])


def complaint(edge, text):
    """`cairn status` says so, for people."""
    def look():
        done = cairn("status", "--url", f"http://127.0.0.1:{edge.http}")
        return done.stdout if text in done.stdout and done.returncode == 1 else None
    return wait_until(look, f"'{text}' in cairn status", 40)


def send(edge):
    produce("confluent", edge.bootstrap, "gnss.tls", [b"x"])


def test_the_right_authority_is_trusted(launch, directory_store, authority):
    cloud = launch(SecureCloud, directory_store, authority.issue("cloud"))
    edge = launch(Edge, directory_store, cloud.announce, extra=["--uplink-tls-ca", authority.path])
    send(edge)
    wait_until(lambda: announced(edge), "the announcement over TLS")
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(f"http://127.0.0.1:{cloud.http}/health", timeout=5)


@pytest.mark.parametrize("what", ["another authority", "expired", "not yet valid", "another host"])
def test_a_server_that_cannot_be_trusted_is_refused_and_said_so(launch, directory_store, authority, tmp_path, what):
    times = {"expired": (-9 * DAY, -DAY), "not yet valid": (DAY, 9 * DAY)}.get(what, (-DAY, DAY))
    cloud = launch(SecureCloud, directory_store, authority.issue("cloud", *times))
    trusted = Authority(tmp_path, "stranger") if what == "another authority" else authority
    address = cloud.announce
    if what == "another host":
        forward = launch(Forward, cloud.http)
        address = f"https://127.0.0.2:{forward.port}"
    edge = launch(Edge, directory_store, address, extra=["--uplink-tls-ca", trusted.path])
    send(edge)
    said = complaint(edge, "TLS: the server's certificate")
    assert "https://127.0.0" in said and not announced(edge)
    # Nothing waits for the announcement: the data is in the store.
    wait_until(lambda: report(edge)["lanes"][0]["uploadedLSN"] > 0, "the upload")


class Forward(Process):
    """Passes connections on from 127.0.0.2, which is in no certificate; with `files` from 127.0.0.1, as a TLS server.

    With `clients` it asks for certificates of that authority and prints the serial number of each.
    """

    SCRIPT = """
import asyncio, ssl, sys
async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()
async def serve(reader, writer):
    if len(sys.argv) > 6:
        print(writer.get_extra_info("ssl_object").getpeercert()["serialNumber"], flush=True)
    there = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
    await asyncio.gather(copy(reader, there[1]), copy(there[0], writer))
async def main():
    tls = None
    if len(sys.argv) > 3:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(sys.argv[3], sys.argv[4])
    if len(sys.argv) > 6:
        tls.load_verify_locations(sys.argv[6])
        tls.verify_mode = ssl.CERT_REQUIRED
    server = await asyncio.start_server(serve, sys.argv[5] if tls else "127.0.0.2", int(sys.argv[1]), ssl=tls)
    await server.serve_forever()
asyncio.run(main())
"""

    def __init__(self, directory, target, files=(), clients=None):
        self.host = "127.0.0.1" if files else "127.0.0.2"
        with socket.socket() as probe:
            probe.bind((self.host, 0))
            self.port = probe.getsockname()[1]
        arguments = [sys.executable, "-c", self.SCRIPT, self.port, target, *files]
        arguments += ([self.host] if files else []) + ([clients] if clients else [])
        super().__init__("forward", arguments, directory)

    def start(self):
        super().start()

        def up():
            try:
                socket.create_connection((self.host, self.port), timeout=0.5).close()
                return True
            except OSError:
                return False
        wait_until(up, "forwarding")
        return self


def test_clients_without_a_certificate_are_refused_where_one_is_asked_for(launch, directory_store, authority, tmp_path):
    clients = Authority(tmp_path, "clients")
    cloud = launch(SecureCloud, directory_store, authority.issue("cloud"), clients=clients.path)
    bare = launch(Edge, directory_store, cloud.announce, extra=["--uplink-tls-ca", authority.path], name="bare")
    send(bare)
    complaint(bare, "TLS: the server wants a certificate of this client")
    stranger = authority.issue("stranger", client=True)
    wrong = launch(Edge, directory_store, cloud.announce, name="wrong", site="TEST02", extra=[
        "--uplink-tls-ca", authority.path, "--uplink-tls-certificate", stranger[0], "--uplink-tls-key", stranger[1]])
    send(wrong)
    complaint(wrong, "TLS: the server does not accept this client's certificate")
    shown = clients.issue("gateway", client=True)
    good = launch(Edge, directory_store, cloud.announce, name="good", site="TEST03", extra=[
        "--uplink-tls-ca", authority.path, "--uplink-tls-certificate", shown[0], "--uplink-tls-key", shown[1]])
    send(good)
    wait_until(lambda: announced(good), "the announcement with a client certificate")
    done = cairn("site", "list", "--cloud", cloud.announce, "--tls-ca", authority.path,
                 "--tls-certificate", shown[0], "--tls-key", shown[1])
    assert done.returncode == 0 and "TEST03" in done.stdout, done.stdout + done.stderr
    done = cairn("site", "list", "--cloud", cloud.announce, "--tls-ca", authority.path)
    assert done.returncode == 69 and "wants a certificate" in done.stderr, done.stderr


@pytest.mark.parametrize("dates", ["system", "known"])
def test_a_store_of_a_private_authority(launch, authority, tmp_path, dates):
    weed = launch(SeaweedFS)
    front = launch(Forward, weed.port, authority.issue("store"))
    cloud = launch(Cloud, weed.settings())
    settings = weed.settings()
    settings[settings.index("--store-endpoint") + 1] = f"https://127.0.0.1:{front.port}"
    stranger = Authority(tmp_path, "stranger")
    edge = launch(Edge, settings, cloud.announce, extra=["--store-tls-ca", stranger.path, "--store-tls-dates", dates])
    send(edge)
    wait_until(lambda: "TLS: the server's certificate is not trusted here" in cairn(
        "status", "--url", f"http://127.0.0.1:{edge.http}").stdout, "the reason in cairn status", 40)
    edge.stop()
    edge.arguments[edge.arguments.index(stranger.path.as_posix())] = str(authority.path)
    edge.start()
    assert [m.value() for m in consume(cloud.bootstrap, "gnss.tls", 1)] == [b"x"]


def serial(port, authority):
    context = ssl.create_default_context(cafile=str(authority.path))
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            return secure.getpeercert()["serialNumber"]


def test_a_renewed_certificate_is_shown_without_a_restart(launch, directory_store, authority):
    files = authority.issue("cloud")
    cloud = launch(SecureCloud, directory_store, files)
    edge = launch(Edge, directory_store, cloud.announce, extra=["--uplink-tls-ca", authority.path])
    before = serial(cloud.http, authority)
    authority.issue("cloud", files=files)
    wait_until(lambda: serial(cloud.http, authority) != before, "the new certificate", 30)
    renewed = serial(cloud.http, authority)
    # A broken file changes nothing and is told.
    good = files[0].read_bytes()
    files[0].write_text("-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n")
    context = ssl.create_default_context(cafile=str(authority.path))

    def sick(text="http.tls-certificate as it was before"):
        try:
            urllib.request.urlopen(f"https://127.0.0.1:{cloud.http}/health", timeout=5, context=context)
        except urllib.error.HTTPError as error:
            return text in error.read().decode()
    wait_until(sick, "the broken file in /health", 30)
    assert serial(cloud.http, authority) == renewed
    files[0].write_bytes(good)
    wait_until(lambda: urllib.request.urlopen(
        f"https://127.0.0.1:{cloud.http}/health", timeout=5, context=context).status == 200 if not sick() else False, "well again", 30)
    send(edge)
    wait_until(lambda: announced(edge), "the announcement after the renewal")
    # One that nobody renews is told before it ends.
    authority.issue("cloud", begin=-20 * DAY, end=DAY, files=files)
    wait_until(lambda: sick("http.tls-certificate: certificate 'localhost' ends in 23 hours"), "the end of the certificate", 30)


def test_a_renewed_client_certificate_is_used_without_a_restart(launch, directory_store, authority, tmp_path):
    """Short-lived certificates of an agent: the one that is not accepted is replaced on disk, and announcements go through."""
    clients = Authority(tmp_path, "clients")
    cloud = launch(SecureCloud, directory_store, authority.issue("cloud"), clients=clients.path)
    files = authority.issue("gateway", client=True)
    edge = launch(Edge, directory_store, cloud.announce, extra=[
        "--uplink-tls-ca", authority.path, "--uplink-tls-certificate", files[0], "--uplink-tls-key", files[1]])
    send(edge)
    complaint(edge, "TLS: the server does not accept this client's certificate")
    clients.issue("gateway", client=True, files=files)
    wait_until(lambda: announced(edge), "the announcement with the new certificate", 90)
    # A key that is not the certificate's changes nothing and is told.
    good = files[1].read_bytes()
    files[1].write_bytes(clients.issue("other", client=True)[1].read_bytes())
    said = complaint(edge, "uplink.tls-ca, -certificate and -key as they were before: certificate and key do not belong")
    with pytest.raises(urllib.error.HTTPError) as sick:
        urllib.request.urlopen(f"http://127.0.0.1:{edge.http}/health", timeout=5)
    assert "uplink.tls-ca, -certificate and -key as they were before" in sick.value.read().decode(), said
    adopted = lambda: max(lane.get("adoptedObject") or 0 for lane in report(edge)["lanes"])
    before = adopted()
    send(edge)
    wait_until(lambda: adopted() > before, "the announcement with the certificate from before", 60)
    files[1].write_bytes(good)
    wait_until(lambda: "as they were before" not in cairn("status", "--url", f"http://127.0.0.1:{edge.http}").stdout,
               "well again", 30)
    clients.issue("gateway", client=True, begin=-20 * DAY, end=DAY, files=files)
    complaint(edge, "uplink.tls-certificate: certificate 'localhost' ends in 23 hours")


def test_a_renewed_client_certificate_is_shown_to_the_store(launch, authority, tmp_path):
    weed = launch(SeaweedFS)
    clients = Authority(tmp_path, "clients")
    front = launch(Forward, weed.port, authority.issue("store"), clients=clients.path)
    cloud = launch(Cloud, weed.settings())
    settings = weed.settings()
    settings[settings.index("--store-endpoint") + 1] = f"https://127.0.0.1:{front.port}"
    files = clients.issue("gateway", client=True)
    edge = launch(Edge, settings, cloud.announce, extra=[
        "--store-tls-ca", authority.path, "--store-tls-certificate", files[0], "--store-tls-key", files[1]])

    def shown():
        return f"{x509.load_pem_x509_certificate(files[0].read_bytes()).serial_number:X}" in [
            line.lstrip("0") for line in front.output().split()]
    send(edge)
    wait_until(shown, "the first certificate at the store", 40)
    clients.issue("gateway", client=True, files=files)

    def renewed():
        send(edge)
        return shown()
    wait_until(renewed, "the new certificate at the store", 40)
    assert len(consume(cloud.bootstrap, "gnss.tls", 2)) >= 2


YEAR = 365 * DAY


@pytest.mark.parametrize("dates, times, wall, trusted", [
    ("ignore-unknown", (-DAY, DAY), 0, True),
    ("ignore-unknown", (-9 * DAY, -DAY), 0, False),
    ("ignore-unknown", (-9 * DAY, -DAY), -1_700_000_000, True),
    ("known", (-DAY, DAY), 0, True),
    ("known", (-2 * YEAR, YEAR), -1_700_000_000, True),
    ("known", (-2 * YEAR, -YEAR), -1_700_000_000, False),
])
def test_dates_before_the_clock_is_known(launch, directory_store, authority, tmp_path, dates, times, wall, trusted):
    clock = Clock(tmp_path)
    clock.set(wall, disciplined=True)
    old = Authority(tmp_path, "old", begin=-3 * YEAR)
    cloud = launch(SecureCloud, directory_store, old.issue("cloud", *times))
    edge = launch(lambda directory, *a, **k: Clocked(directory, *a, clock=clock, **k), directory_store, cloud.announce,
                  extra=["--uplink-tls-ca", old.path, "--uplink-tls-dates", dates])
    send(edge)
    if trusted:
        wait_until(lambda: announced(edge), "the announcement")
    else:
        said = complaint(edge, "TLS: the server's certificate is not trusted here: certificate")
        assert "expired" in said
        assert ("time is not known" in said) == (wall != 0)


@pytest.mark.parametrize("what", ["another authority", "another host"])
def test_whatever_the_dates_authority_and_host_are_checked(launch, directory_store, authority, tmp_path, what):
    cloud = launch(SecureCloud, directory_store, authority.issue("cloud"))
    trusted, address = authority, cloud.announce
    if what == "another authority":
        trusted = Authority(tmp_path, "stranger")
    else:
        address = f"https://127.0.0.2:{launch(Forward, cloud.http).port}"
    edge = launch(Edge, directory_store, address, extra=[
        "--uplink-tls-ca", trusted.path, "--uplink-tls-dates", "ignore-unknown"])
    send(edge)
    said = complaint(edge, "TLS: the server's certificate is not trusted here")
    assert ("mismatch" in said) == (what == "another host") and not announced(edge)


class Clocked(Edge):
    def __init__(self, directory, *arguments, clock, **options):
        super().__init__(directory, *arguments, **options)
        self.environment.update(clock.environment)


def test_a_bundle_carries_the_authority(launch, directory_store, authority, tmp_path):
    cloud = launch(SecureCloud, directory_store, authority.issue("cloud"), extra=[
        "--sites-open", "false", "--sites-announce-ca", authority.path])
    bundle = tmp_path / "bundle.yaml"
    done = cairn("site", "add", "NEW01", "--topics", "gnss.*", "--bundle", bundle, "--data-dir", tmp_path / "gateway",
                 "--cloud", cloud.announce, "--tls-ca", authority.path)
    assert done.returncode == 0, done.stderr
    assert "BEGIN CERTIFICATE" in bundle.read_text() and f"https://127.0.0.1:{cloud.http}" in bundle.read_text()
    authority.path.unlink()  # all that the gateway gets is the bundle
    edge = Bundled(tmp_path, bundle)
    try:
        edge.start()
        send(edge)
        wait_until(lambda: announced(edge), "the announcement of the bundle's gateway")
    finally:
        edge.kill()


class Bundled(Edge):
    def __init__(self, directory, bundle):
        super().__init__(directory, [], name="bundled")
        place = self.arguments.index("--site")
        del self.arguments[place:place + 4]  # site and data-dir are the bundle's
        self.arguments += ["--config", str(bundle)]


def test_what_cannot_be_used_is_refused_at_the_start(tmp_path, authority):
    files = authority.issue("cloud")
    base = [BINARY, "cloud", "--data-dir", tmp_path / "c", "--store-url", f"dir:{tmp_path / 'store'}"]
    for arguments, text in [
        (["--http-tls-certificate", files[0]], "http.tls-key: is required"),
        (["--http-tls-certificate", files[0], "--http-tls-key", tmp_path / "none"], "none: No such file"),
        (["--http-tls-certificate", files[0], "--http-tls-key", files[0]], "expected a private key"),
        (["--http-tls-client-ca", authority.path], "http.tls-certificate: is required"),
        (["--sites-announce-ca", files[1]], "certificate"),
    ]:
        done = subprocess.run([*map(str, base + arguments)], capture_output=True, text=True, timeout=30)
        assert done.returncode == 78 and text in done.stderr, (arguments, done.returncode, done.stderr)
    done = cairn("edge", "--site", "A", "--data-dir", tmp_path / "e", "--store-url", f"dir:{tmp_path / 'store'}",
                 "--uplink-announce", "http://127.0.0.1:1", "--uplink-tls-ca", authority.path)
    assert done.returncode == 78 and "needs https://" in done.stderr, done.stderr
