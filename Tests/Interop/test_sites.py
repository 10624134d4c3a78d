"""Sites with an identity of their own: registered, signed, limited, revoked. Real processes and a real client."""

import hashlib
import hmac
import http.client
import json
import subprocess
import time

import pytest

from clients import produce, read
from conftest import BINARY, Cloud, Edge, SeaweedFS, cairn, wait_until


def send(edge, topic, values):
    produce("confluent", edge.bootstrap, topic, [v.encode() for v in values])


def values(cloud, topic, count=0):
    """All values of a topic in the cloud, once there are `count` at least."""
    def look():
        try:
            found = [v.decode() for v in read("confluent", cloud.bootstrap, topic)]
        except Exception:  # noqa: BLE001 - the topic may not be there yet
            return None
        return found if len(found) >= count else None
    return wait_until(look, f"{count} records of {topic} in the cloud")


def site(cloud, *arguments, check=True):
    """`cairn site …` against a cloud node."""
    result = subprocess.run(
        [BINARY, "site", *arguments, "--cloud", cloud.announce], capture_output=True, text=True, timeout=30)
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result


def overview(cloud, name):
    sites = json.loads(site(cloud, "list", "--json").stdout)
    return next((s for s in sites if s["site"] == name), None)


def post(port, body, headers):
    """One announcement; status, headers and body of the reply."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/v1/announce", body, headers)
    reply = connection.getresponse()
    return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()


class Signer:
    """The protocol of docs/site-authority.md, written once more from its text."""

    def __init__(self, name, key, incarnation="a" * 32, nonce="b" * 32):
        self.name, self.incarnation, self.nonce = name, incarnation, nonce
        self.generation, digits = key.split(":")
        self.key, self.counter, self.challenge = bytes.fromhex(digits), 0, ""

    def sign(self, body):
        self.counter += 1
        text = "\n".join([
            "cairn announce v1", "POST", "/v1/announce", self.name, self.incarnation, self.generation,
            self.challenge, self.nonce, str(self.counter), hashlib.sha256(body).hexdigest()])
        return {
            "cairn-site": self.name, "cairn-incarnation": self.incarnation, "cairn-key": self.generation,
            "cairn-challenge": self.challenge, "cairn-nonce": self.nonce, "cairn-counter": str(self.counter),
            "cairn-signature": hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()}

    def is_reply(self, request, status, headers, body):
        text = "\n".join(
            ["cairn reply v1", request["cairn-signature"], str(status), hashlib.sha256(body).hexdigest()])
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest() == headers.get("cairn-signature")


def greeting(name, incarnation="a" * 32):
    return json.dumps({"site": name, "incarnation": incarnation}).encode()


def bundle_edge(directory, bundle, name="edge", extra=()):
    """A gateway that knows nothing but its bundle."""
    edge = Edge(directory, [], name=name, extra=extra)
    start = edge.arguments.index("--site")
    edge.arguments[start:start + 2] = ["--config", str(bundle)]
    edge.data.parent.mkdir(exist_ok=True)
    return edge


def key_of(bundle):
    line = next(line for line in bundle.read_text().splitlines() if "site-key" in line)
    return line.split('"')[1]


@pytest.fixture
def closed(tmp_path):
    cloud = Cloud(tmp_path, ["--store-url", f"dir:{tmp_path}/objects"], extra=["--sites-open", "false"]).start()
    yield cloud
    cloud.kill()


def test_a_bundle_makes_a_gateway_and_revoking_ends_it(tmp_path, closed):
    bundle = tmp_path / "quarry.yaml"
    site(closed, "add", "QUARRY", "--topics", "gnss.*,t", "--bundle", str(bundle))
    assert bundle.stat().st_mode & 0o777 == 0o600
    checked = cairn("config", "check", "edge", bundle)
    assert checked.returncode == 0, checked.stderr
    # The key is nowhere in the ledger: only the master key makes it.
    digits = key_of(bundle).split(":")[1]
    for path in closed.data.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert digits.encode() not in content and bytes.fromhex(digits) not in content, path
    edge = bundle_edge(tmp_path, bundle).start()
    try:
        send(edge, "t", [f"v{i}" for i in range(100)])
        assert sorted(values(closed, "t", 100)) == sorted(f"v{i}" for i in range(100))
        wait_until(lambda: overview(closed, "QUARRY").get("address"), "the gateway's address in the list")
        # A topic that is not allowed: the object is set aside whole, with its reason, and nothing of it is visible.
        send(edge, "secret", ["x"])

        def aside():
            lanes = overview(closed, "QUARRY")["progress"]
            return [lane for lane in lanes if "secret" in (lane.get("reason") or "")]
        wait_until(aside, "the object set aside")
        site(closed, "grant", "QUARRY", "--topics", "gnss.*,t,secret")
        assert values(closed, "secret", 1) == ["x"]
        site(closed, "revoke", "QUARRY")
        send(edge, "t", ["late"])
        wait_until(lambda: "revoked" in edge.output(), "the gateway says that it was revoked")
        assert len(values(closed, "t", 100)) == 100
        time.sleep(2.5)  # two rounds of listing
        assert overview(closed, "QUARRY")["state"] == "revoked"
        assert "late" not in values(closed, "t", 100)
    finally:
        edge.stop()


def test_a_forged_replayed_or_foreign_announcement_is_refused(tmp_path, closed):
    for name in ("A", "B"):
        site(closed, "add", name, "--topics", "*", "--bundle", str(tmp_path / f"{name}.yaml"))
    a, b = (Signer(name, key_of(tmp_path / f"{name}.yaml")) for name in ("A", "B"))
    body = greeting("A")
    assert post(closed.http, greeting("NOBODY"), {})[0] == 403
    assert post(closed.http, body, {})[0] == 401
    request = a.sign(body)
    status, headers, answer = post(closed.http, body, request)
    assert status == 401 and a.is_reply(request, status, headers, answer)
    a.challenge = headers["cairn-challenge"]
    request = a.sign(body)
    status, headers, answer = post(closed.http, body, request)
    assert status == 200 and a.is_reply(request, status, headers, answer)
    assert not b.is_reply(request, status, headers, answer)
    # Recorded on the way and sent once more.
    status, headers, answer = post(closed.http, body, request)
    assert status == 401 and b"before" in answer and "cairn-challenge" not in headers
    # A bit of the code, and one byte of the body.
    request = a.sign(body)
    wrong = dict(request, **{"cairn-signature": "0" * 64})
    assert post(closed.http, body, wrong)[0] == 401
    assert post(closed.http, body.replace(b"A", b"A "), request)[0] in (401, 403)
    # B's good key in A's name, and B announcing an object of A.
    b.challenge = a.challenge
    stolen = dict(b.sign(body), **{"cairn-site": "A"})
    assert post(closed.http, body, stolen)[0] == 401
    foreign = json.dumps({
        "site": "B", "incarnation": "a" * 32, "lane": "bulk", "sequence": 1, "firstLSN": 1, "lastLSN": 1,
        "key": "sites/A/" + "a" * 32 + "/bulk/00000000000000000001"}).encode()
    status, headers, _ = post(closed.http, foreign, b.sign(foreign))
    assert status == 401
    b.challenge = headers["cairn-challenge"]
    status, _, answer = post(closed.http, foreign, b.sign(foreign))
    assert status in (400, 403), answer
    # The node's memory ends with it; a recording does not outlive it.
    request = a.sign(body)
    closed.stop()
    closed.start()
    status, headers, _ = post(closed.http, body, request)
    assert status == 401 and headers["cairn-challenge"] != a.challenge


def test_rotation_keeps_the_old_key_for_the_overlap(tmp_path, closed):
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    site(closed, "add", "R", "--topics", "*", "--bundle", str(first))
    site(closed, "rotate", "R", "--overlap", "3s", "--bundle", str(second))
    old, new = Signer("R", key_of(first)), Signer("R", key_of(second), nonce="c" * 32)
    body = greeting("R")
    challenge = post(closed.http, body, old.sign(body))[1]["cairn-challenge"]
    old.challenge = new.challenge = challenge
    assert post(closed.http, body, old.sign(body))[0] == 200
    assert post(closed.http, body, new.sign(body))[0] == 200
    wait_until(lambda: post(closed.http, body, old.sign(body))[0] == 403, "the old key is over", 10)
    assert post(closed.http, body, new.sign(body))[0] == 200


def test_administration_is_for_this_machine_or_the_token(tmp_path):
    cloud = Cloud(
        tmp_path, ["--store-url", f"dir:{tmp_path}/objects"], extra=["--http-admin-token", "sesame"]).start()
    try:
        assert site(cloud, "list", check=False).returncode != 0
        assert site(cloud, "list", "--token", "sesamf", check=False).returncode != 0
        assert site(cloud, "list", "--token", "sesame").stdout.strip() == "no sites"
        connection = http.client.HTTPConnection("127.0.0.1", cloud.http, timeout=10)
        connection.request("GET", "/v1/sites", headers={"authorization": "Bearer sesame"})
        assert connection.getresponse().status == 403, "a page in a browser could have asked this"
    finally:
        cloud.kill()


def copy_disk(edge, copy):
    """What a technician does with an image: everything, as it is."""
    subprocess.run(["cp", "-a", str(edge.data), str(copy.data)], check=True)


def test_a_copied_disk_never_reuses_a_sequence(tmp_path, closed):
    bundle = tmp_path / "clone.yaml"
    site(closed, "add", "CLONE", "--topics", "*", "--bundle", str(bundle))
    first = bundle_edge(tmp_path, bundle, name="first").start()
    second = bundle_edge(tmp_path, bundle, name="second")
    try:
        send(first, "t", [f"before-{i}" for i in range(50)])
        values(closed, "t", 50)
        first.stop()
        copy_disk(first, second)
        first.start()
        second.start()
        for round_ in range(5):
            send(first, "t", [f"first-{round_}-{i}" for i in range(20)])
            send(second, "t", [f"second-{round_}-{i}" for i in range(20)])
            time.sleep(0.5)
        wanted = sorted(
            [f"before-{i}" for i in range(50)]
            + [f"{name}-{r}-{i}" for name in ("first", "second") for r in range(5) for i in range(20)])
        assert sorted(values(closed, "t", len(wanted))) == wanted
        shown = overview(closed, "CLONE")
        assert len(shown["clones"]) == 1
        clone = shown["clones"][0]
        assert "127.0.0.1" in clone["holder"] and "127.0.0.1" in clone["refused"]
        incarnations = {lane["incarnation"] for lane in shown["progress"]}
        assert len(incarnations) == 2
        assert not any(lane.get("reason") or lane["gaps"] for lane in shown["progress"]), shown["progress"]
        assert "two gateways with one identity" in closed.output()
        said = [e for e in (first, second) if "goes on under a new incarnation" in e.output()]
        assert len(said) == 1, "exactly one of the two goes on under another name"
        # It stays so: after a restart of both nobody is in doubt any more.
        for edge in (first, second):
            edge.stop()
        for edge in (first, second):
            edge.start()
            send(edge, "t", [f"after-{edge.name}"])
        everything = values(closed, "t", len(wanted) + 2)
        assert sorted(everything) == sorted(wanted + ["after-first", "after-second"])
        assert len({lane["incarnation"] for lane in overview(closed, "CLONE")["progress"]}) == 2
    finally:
        first.kill()
        second.kill()


def test_a_disk_in_another_machine_goes_on_under_a_new_incarnation(tmp_path, closed):
    bundle, machine = tmp_path / "m.yaml", tmp_path / "machine"
    site(closed, "add", "MOVED", "--topics", "*", "--bundle", str(bundle))
    machine.write_text("serial 1\n")
    edge = bundle_edge(tmp_path, bundle, extra=["--identity-machine", machine]).start()
    try:
        send(edge, "t", ["a"])
        values(closed, "t", 1)
        edge.stop()
        machine.write_text("serial 2\n")
        edge.start()
        send(edge, "t", ["b"])
        assert sorted(values(closed, "t", 2)) == ["a", "b"]
        assert "the disk is in another machine" in edge.output()
        shown = overview(closed, "MOVED")
        assert len({lane["incarnation"] for lane in shown["progress"]}) == 2 and not shown["clones"]
        assert all(lane["gaps"] == 0 for lane in shown["progress"])
    finally:
        edge.kill()


def test_a_disk_set_back_to_an_older_image_loses_and_overwrites_nothing(tmp_path, closed):
    bundle = tmp_path / "back.yaml"
    site(closed, "add", "BACK", "--topics", "*", "--bundle", str(bundle))
    edge = bundle_edge(tmp_path, bundle).start()
    try:
        send(edge, "t", ["a"])
        values(closed, "t", 1)
        edge.stop()
        subprocess.run(["cp", "-a", str(edge.data), str(tmp_path / "image")], check=True)
        edge.start()
        for value in ("b", "c"):
            send(edge, "t", [value])
            time.sleep(0.6)
        values(closed, "t", 3)
        edge.stop()
        subprocess.run(["rm", "-r", str(edge.data)], check=True)
        subprocess.run(["cp", "-a", str(tmp_path / "image"), str(edge.data)], check=True)
        # The cloud forgets nothing over a restart of its own.
        closed.stop()
        closed.start()
        edge.start()
        send(edge, "t", ["d"])
        assert sorted(values(closed, "t", 4)) == ["a", "b", "c", "d"]
        assert "goes on under a new incarnation" in edge.output()
    finally:
        edge.kill()


@pytest.fixture
def weed(tmp_path):
    server = SeaweedFS(tmp_path).start()
    yield server
    server.kill()


def test_a_gateway_without_store_keys(tmp_path, weed):
    """The cloud permits each object ahead; URLs run out in seconds here and are asked for again; nothing is lost."""
    cloud = Cloud(tmp_path, weed.settings(), extra=["--sites-open", "false", "--sites-presign-valid", "12s"]).start()
    bundle = tmp_path / "keyless.yaml"
    site(cloud, "add", "KEYLESS", "--topics", "*", "--bundle", str(bundle))
    text = bundle.read_text()
    assert "mode: presigned" in text and "secret" not in text.split("site-key")[1].split("\n", 1)[1]
    edge = bundle_edge(tmp_path, bundle, extra=["--store-presign-ahead", "16"]).start()
    try:
        wanted = []
        for round_ in range(12):
            batch = [f"{round_}-{i}" for i in range(20)]
            send(edge, "t", batch)
            wanted += batch
            time.sleep(0.4)
        assert sorted(values(cloud, "t", len(wanted))) == sorted(wanted)
        for path in edge.data.rglob("*"):
            if path.is_file():
                assert b"cairnsecret" not in path.read_bytes(), path
        assert (edge.data / "grants.json").stat().st_mode & 0o777 == 0o600
        # The cloud is away: what was permitted ahead goes up all the same.
        objects = lambda: weed.client().list_objects_v2(Bucket="cairn-test", Prefix="sites/KEYLESS/")["KeyCount"]  # noqa: E731
        before = objects()
        cloud.stop()
        send(edge, "t", ["without the cloud"])
        wanted.append("without the cloud")
        wait_until(lambda: objects() > before, "an object put while the cloud is away")
        # Everything permitted is over, and the gateway was restarted meanwhile.
        edge.stop()
        time.sleep(13)
        edge.start()
        send(edge, "t", ["after"])
        wanted.append("after")
        cloud.start()
        assert sorted(values(cloud, "t", len(wanted))) == sorted(wanted)
        shown = overview(cloud, "KEYLESS")
        assert not any(lane.get("reason") or lane["gaps"] for lane in shown["progress"])
        # A permission creates once; it neither changes nor removes what is there.
        grant = json.loads((edge.data / "grants.json").read_text())["grants"][-1]
        stored = weed.client().list_objects_v2(Bucket="cairn-test", Prefix="sites/KEYLESS/")["Contents"][-1]["Key"]
        sequence = int(stored.rsplit("/", 1)[1])
        index = sequence - grant["from"]
        if 0 <= index < len(grant["putSignatures"]):
            target = f"{grant['base']}{sequence:020d}?{grant['put']}&X-Amz-Signature={grant['putSignatures'][index]}"
            path = target.split("/", 3)[3]
            for headers, refused in [({"if-none-match": "*"}, (412,)), ({}, (400, 403))]:
                connection = http.client.HTTPConnection("127.0.0.1", weed.port, timeout=10)
                connection.request("PUT", "/" + path, b"overwritten", headers)
                assert connection.getresponse().status in refused
    finally:
        edge.kill()
        cloud.kill()


def test_directives_are_applied_live_kept_and_reported(tmp_path, closed):
    bundle = tmp_path / "told.yaml"
    site(closed, "add", "TOLD", "--topics", "*", "--bundle", str(bundle))
    edge = bundle_edge(tmp_path, bundle).start()

    def partitions():
        from confluent_kafka.admin import AdminClient
        topics = AdminClient({"bootstrap.servers": edge.bootstrap}).list_topics(timeout=10).topics
        return len(topics["wide"].partitions) if "wide" in topics else 0

    try:
        assert site(closed, "set", "TOLD", "log.level=deafening", check=False).returncode != 0
        site(closed, "set", "TOLD", "topics.wide.partitions=7", "log.level=debug", "uplink.bandwidth=64KiB",
             "lanes.nowhere.flush=2s")
        send(edge, "t", ["x"])  # an announcement brings the answer
        wait_until(lambda: partitions() == 7, "seven partitions")
        shown = wait_until(
            lambda: (lambda s: s if s["appliedVersion"] == s["directivesVersion"] else None)(overview(closed, "TOLD")),
            "what was applied is reported")
        assert "no lane" in shown["refused"]["lanes.nowhere.flush"]
        # The last good ones hold without the cloud.
        edge.stop()
        closed.stop()
        edge.start()
        wait_until(lambda: partitions() == 7, "seven partitions after a restart without the cloud")
        closed.start()
        site(closed, "set", "TOLD", "log.level=")
        assert "log.level" not in overview(closed, "TOLD")["directives"]
    finally:
        edge.kill()
