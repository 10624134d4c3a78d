"""cairn doctor against good and bad machines, with the real binary."""

import json
import os
import subprocess

import pytest
from conftest import Cloud, Edge, Process, SeaweedFS, cairn, free_port
from test_tls import DAY, Authority, Forward, SecureCloud


def config(tmp_path, extra="", store=None):
    """A gateway's settings file with free ports, and the path of its data directory."""
    data = tmp_path / "data"
    file = tmp_path / "edge.yaml"
    file.write_text(
        f"site: DOC01\ndata-dir: {data}\nhttp: {{listen: '127.0.0.1:{free_port()}'}}\n"
        f"kafka: {{listen: '127.0.0.1:{free_port()}'}}\n"
        + "".join(f"{line}\n" for line in [extra] if line)
        + ("" if "ntrip:" in extra else f"ntrip: {{listen: '127.0.0.1:{free_port()}'}}\n")
        + ("" if "lanes:" in extra else "lanes:\n" + "".join(
            f"  {name}: {{quota: 64MiB}}\n" for name in ("critical", "standard", "bulk"))
           + "wal: {segment: 8MiB}\n")
        + (store or f"store: {{url: 'dir:{tmp_path / 'store'}'}}\n"))
    file.chmod(0o600)
    return file, data


def examine(file, *extra, code=None):
    done = cairn("doctor", "--config", file, "--json", *extra)
    report = json.loads(done.stdout)
    assert report["exitCode"] == done.returncode
    assert code is None or done.returncode in code, done.stdout
    return report


def of(report, check):
    return [f for f in report["findings"] if f["check"] == check]


def failures(report):
    return [f for f in report["findings"] if f["verdict"] == "failure"]


def test_a_machine_that_is_well(tmp_path):
    file, data = config(tmp_path)
    data.mkdir(mode=0o700)
    (tmp_path / "store").mkdir()
    report = examine(file, code=(0, 1))
    assert not failures(report), report
    assert {f["check"] for f in report["findings"]} >= {
        "settings", "data-dir", "space", "disk", "io_uring", "clock", "ports", "store"}
    assert of(report, "disk")[0]["found"].startswith("a durable write")
    # Nothing stays behind.
    assert list(data.iterdir()) == []
    assert [p for p in (tmp_path / "store").rglob("*") if p.is_file()] == []


def test_text_says_what_to_do_and_brief_says_only_that(tmp_path):
    file, data = config(tmp_path)
    file.chmod(0o644)
    file.write_text(file.read_text() + "uplink: {site-key: '1:" + "ab" * 32 + "'}\n")
    done = cairn("doctor", "--config", file)
    assert "WARNING  secrets" in done.stdout and "→ chmod 600" in done.stdout
    assert "ab" * 8 not in done.stdout, "a secret was printed"
    assert "good     settings" in done.stdout
    assert "good     " not in cairn("doctor", "--config", file, "--brief").stdout


def test_beside_a_running_gateway(tmp_path, launch, directory_store):
    cloud = launch(Cloud, directory_store)
    edge = launch(Edge, directory_store, cloud.announce)
    file = tmp_path / "flags.yaml"
    file.write_text("site: TEST01\n")
    # The gateway's own flags.
    arguments = edge.arguments[2:]
    report = examine(file, *arguments, code=(0, 1))
    held = [f["found"] for f in of(report, "ports")]
    assert len(held) == 3 and all("held by the running cairn" in text for text in held)
    assert of(report, "announce")[0]["verdict"] == "good"
    assert edge.running and "error" not in edge.output().lower(), edge.output()


def test_wrong_settings_are_named_by_line(tmp_path):
    file, _ = config(tmp_path)
    file.write_text(file.read_text() + "kafak: {listen: ''}\n")
    report = examine(file, code=(2,))
    assert "edge.yaml:" in of(report, "settings")[0]["found"]
    assert "no such setting" in of(report, "settings")[0]["found"]
    assert of(report, "clock"), "what needs no settings is looked at all the same"


def test_a_store_that_nobody_serves(tmp_path):
    store = (f"store: {{url: 's3://b', endpoint: 'http://127.0.0.1:{free_port()}', path-style: true, "
             "access-key: a, secret-key: s}\n")
    file, _ = config(tmp_path, store=store)
    report = examine(file, code=(2,))
    assert of(report, "store")[0]["verdict"] == "failure"
    assert "127.0.0.1" in of(report, "store")[0]["found"]


def test_a_real_store_is_left_as_it_was(tmp_path, launch):
    weed = launch(SeaweedFS)
    file, _ = config(tmp_path, store="")
    report = examine(file, *weed.settings(), code=(0, 1))
    assert of(report, "store")[0]["verdict"] == "good", report
    listed = weed.client().list_objects_v2(Bucket="cairn-test")
    assert listed.get("KeyCount", 0) == 0, listed


def test_wrong_keys_of_a_store(tmp_path, launch):
    weed = launch(SeaweedFS)
    settings = weed.settings()
    settings[settings.index("cairnsecret")] = "wrong"
    file, _ = config(tmp_path, store="")
    report = examine(file, *settings, code=(2,))
    assert of(report, "store")[0]["verdict"] == "failure", report


def test_cloud_nodes_that_do_not_take_this_site(tmp_path, launch, directory_store):
    cloud = launch(Cloud, directory_store, extra=["--sites-open", "false"])
    dead = f"http://127.0.0.1:{free_port()}"
    file, _ = config(tmp_path, extra=f"uplink: {{announce: ['{cloud.announce}', '{dead}']}}")
    report = examine(file, code=(2,))
    refused, unreachable = of(report, "announce")
    assert refused["verdict"] == "failure" and "does not take this gateway" in refused["found"]
    assert unreachable["verdict"] == "failure" and "does not answer" in unreachable["found"]
    # The registered site, with its key, is taken; with another key it is not.
    done = cairn("site", "add", "DOC01", "--topics", "*", "--bundle", tmp_path / "bundle", "--cloud", cloud.announce)
    assert done.returncode == 0, done.stderr
    key = next(line.split()[-1].strip('"') for line in (tmp_path / "bundle").read_text().splitlines() if "site-key:" in line)
    announce = ["--uplink-announce", cloud.announce, "--uplink-site-key"]
    assert of(examine(file, *announce, key, code=(0, 1)), "announce")[0]["verdict"] == "good"
    wrong = key[:-2] + ("00" if key[-2:] != "00" else "11")
    assert of(examine(file, *announce, wrong, code=(2,)), "announce")[0]["verdict"] == "failure"
    # Asking changed nothing there: the site has no installation yet.
    assert "DOC01" in cairn("site", "list", "--cloud", cloud.announce).stdout


def test_a_port_that_another_program_has(tmp_path, processes):
    import sys
    port = free_port()
    other = Process("other", [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"], tmp_path)
    processes.append(other)
    other.start()
    from conftest import accepts, wait_until
    wait_until(lambda: accepts(port), "the other program listens")
    file, _ = config(tmp_path, extra=f"ntrip: {{listen: '127.0.0.1:{port}'}}")
    report = examine(file, code=(2,))
    taken = [f for f in of(report, "ports") if f["verdict"] == "failure"]
    assert len(taken) == 1 and f"ntrip.listen 127.0.0.1:{port} is taken by python" in taken[0]["found"]


def test_an_address_that_no_interface_has(tmp_path):
    file, _ = config(tmp_path, extra=f"ntrip: {{listen: '192.0.2.7:{free_port()}'}}")
    report = examine(file, code=(2,))
    assert any("no interface" in f["found"] for f in of(report, "ports"))


def test_a_name_that_is_not_known(tmp_path):
    file, _ = config(tmp_path, extra="uplink: {announce: ['http://no-such-host.invalid:9644']}")
    report = examine(file, code=(2,))
    assert of(report, "names")[0]["verdict"] == "failure"


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's directory and mounts need root")
class TestAsRoot:
    def test_a_directory_of_another_user(self, tmp_path):
        file, data = config(tmp_path)
        data.mkdir(mode=0o700)
        for path in (tmp_path, *tmp_path.parents):
            if path.stat().st_mode & 0o005 != 0o005 and str(path).startswith("/tmp/pytest"):
                path.chmod(0o755)
        file.chmod(0o644)
        from conftest import BINARY
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", BINARY, "doctor", "--config",
                               file, "--json"], capture_output=True, text=True, timeout=60,
                              env={k: v for k, v in os.environ.items() if not k.startswith("CAIRN_")})
        report = json.loads(done.stdout)
        assert of(report, "data-dir")[0]["verdict"] == "failure", report
        assert "may not be written" in of(report, "data-dir")[0]["found"]

    def test_a_running_node_with_tls_is_known_by_its_certificate(self, tmp_path, launch, directory_store):
        """Whoever may not see which process holds a port."""
        paths = Authority(tmp_path, "authority").issue("cloud")
        cloud = launch(SecureCloud, directory_store, paths)
        paths[1].chmod(0o644)
        for path in (tmp_path, *tmp_path.parents):
            if path.stat().st_mode & 0o005 != 0o005 and str(path).startswith("/tmp/pytest"):
                path.chmod(0o755)
        from conftest import BINARY

        def ports(files):
            settings = [str(a).replace(str(paths[0]), str(files[0])).replace(str(paths[1]), str(files[1])) for a in cloud.arguments[2:]]
            done = subprocess.run(
                ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", BINARY, "doctor", "--role", "cloud", "--json",
                 *settings], capture_output=True, text=True, timeout=60,
                env={k: v for k, v in os.environ.items() if not k.startswith("CAIRN_")})
            return {f["found"].split()[0]: f["verdict"] for f in of(json.loads(done.stdout), "ports")}

        assert ports(paths) == {"kafka.listen": "good", "http.listen": "good"}
        other = Authority(tmp_path, "other").issue("stranger")
        other[1].chmod(0o644)
        assert ports(other)["http.listen"] == "failure"

    def test_a_full_disk(self, tmp_path):
        file, data = config(tmp_path)
        data.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", data], check=True)
        try:
            with open(data / "filler", "wb") as filler:
                try:
                    filler.write(b"x" * (2 << 20))
                except OSError:
                    pass
            report = examine(file, code=(2,))
            assert of(report, "space")[0]["verdict"] == "failure"
            assert any("in memory" in f["found"] for f in of(report, "data-dir"))
            assert "no room" in of(report, "disk")[0]["found"]
        finally:
            subprocess.run(["umount", data], check=True)

    def test_a_disk_that_may_only_be_read(self, tmp_path):
        file, data = config(tmp_path)
        data.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "none", data], check=True)
        try:
            report = examine(file, code=(2,))
            assert "may only be read" in of(report, "data-dir")[0]["found"]
        finally:
            subprocess.run(["umount", data], check=True)


def test_a_cloud_node(tmp_path):
    file = tmp_path / "cloud.yaml"
    file.write_text(f"data-dir: {tmp_path / 'c'}\nhttp: {{listen: '127.0.0.1:{free_port()}'}}\n"
                    f"kafka: {{listen: '127.0.0.1:{free_port()}'}}\nstore: {{url: 'dir:{tmp_path / 'store'}'}}\n")
    report = examine(file, code=(0, 1))
    assert report["role"] == "cloud"
    assert len(of(report, "ports")) == 2


class TestCertificates:
    """Certificates of files and of servers; whose dates and names they are is checked without trusting them."""

    @staticmethod
    def gateway(tmp_path, cloud, *extra):
        file, data = config(tmp_path)
        data.mkdir(mode=0o700)
        (tmp_path / "store").mkdir(exist_ok=True)
        return of(examine(file, "--uplink-announce", cloud, *extra), "tls")

    def test_a_node_that_is_trusted(self, tmp_path, launch, directory_store):
        authority = Authority(tmp_path, "authority")
        cloud = launch(SecureCloud, directory_store, authority.issue("cloud", end=90 * DAY))
        found = self.gateway(tmp_path, cloud.announce, "--uplink-tls-ca", authority.path)
        assert [f["verdict"] for f in found] == ["good", "good"], found
        assert "uplink.tls-ca" in found[0]["found"]
        assert f"uplink.announce 127.0.0.1:{cloud.http}: 'localhost' until" in found[1]["found"]

    @pytest.mark.parametrize("what", ["soon", "short-lived", "expired", "not yet valid", "another authority", "another host"])
    def test_what_is_wrong_with_a_node(self, tmp_path, launch, directory_store, what):
        begin, end = {"soon": (-99 * DAY, 20 * DAY), "short-lived": (-3 * DAY, DAY), "expired": (-9 * DAY, -DAY),
                      "not yet valid": (DAY, 99 * DAY)}.get(what, (-DAY, 99 * DAY))
        authority = Authority(tmp_path, "authority", begin=-100 * DAY)
        cloud = launch(SecureCloud, directory_store, authority.issue("cloud", begin, end))
        trusted = Authority(tmp_path, "stranger") if what == "another authority" else authority
        address = cloud.announce
        if what == "another host":
            address = f"https://127.0.0.2:{launch(Forward, cloud.http).port}"
        found = [f for f in self.gateway(tmp_path, address, "--uplink-tls-ca", trusted.path) if "announce" in f["found"]]
        verdicts = [f["verdict"] for f in found]
        assert all(f.get("advice") for f in found if f["verdict"] != "good"), found
        if what in ("soon", "short-lived"):
            assert verdicts == ["warning"], found
        elif what in ("expired", "not yet valid"):
            assert verdicts == ["failure"], found
            assert {"expired": "is over since", "not yet valid": "valid only from"}[what] in found[0]["found"]
        else:
            assert verdicts == ["good", "failure"] and "is not trusted" in found[1]["found"], found
            assert ("127.0.0.2" if what == "another host" else "uplink.tls-ca") in found[1]["advice"]

    def test_a_node_without_tls_and_one_that_is_away(self, tmp_path, launch, directory_store):
        cloud = launch(Cloud, directory_store)
        found = self.gateway(tmp_path, cloud.announce.replace("http:", "https:"))
        assert found[0]["verdict"] == "failure" and "does not speak TLS" in found[0]["found"], found
        cloud.stop()
        (tmp_path / "again").mkdir()
        found = self.gateway(tmp_path / "again", cloud.announce.replace("http:", "https:"))
        assert found[0]["verdict"] == "skipped" and "no connection" in found[0]["found"], found

    def test_files_of_a_cloud_node(self, tmp_path):
        authority = Authority(tmp_path, "authority")
        paths = authority.issue("cloud", begin=-60 * DAY, end=5 * DAY)
        file = tmp_path / "cloud.yaml"
        port = free_port()
        file.write_text(f"data-dir: {tmp_path / 'c'}\nkafka: {{listen: '127.0.0.1:{free_port()}'}}\n"
                        f"http: {{listen: '127.0.0.1:{port}', tls-certificate: {paths[0]}, tls-key: {paths[1]}}}\n"
                        f"store: {{url: 'dir:{tmp_path / 'store'}'}}\n")
        paths[1].chmod(0o640)
        report = examine(file, code=(1,))
        assert [f["verdict"] for f in of(report, "tls")] == ["warning"]
        assert "days more" in of(report, "tls")[0]["found"] and "renew" in of(report, "tls")[0]["advice"]
        key = next(f for f in of(report, "secrets") if str(paths[1]) in f["found"])
        assert key["verdict"] == "warning" and "chmod 600" in key["advice"]
        paths[1].chmod(0o600)
        assert all(f["verdict"] == "good" for f in of(examine(file, code=(1,)), "secrets"))
        # The key of another certificate: the settings are refused, and what is to be done is said.
        other = authority.issue("other")
        report = examine(file, "--http-tls-key", other[1], code=(2,))
        assert "do not belong together" in of(report, "settings")[0]["found"]
        assert "openssl" in of(report, "settings")[0]["advice"]


def test_two_listeners_on_one_port(tmp_path):
    port = free_port()
    file, _ = config(tmp_path, extra=f"ntrip: {{listen: '127.0.0.1:{port}'}}")
    report = examine(file, "--kafka-listen", f"127.0.0.1:{port}", code=(2,))
    assert any("are one port" in f["found"] for f in failures(report))


def test_wrong_usage(tmp_path):
    assert cairn("doctor", "--role", "both").returncode == 64
