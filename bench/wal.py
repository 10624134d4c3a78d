"""The log alone: 64 KiB units at 600 MB/s, and full speed with 1 MiB groups against fio doing the same writes, in turn; and
the log encrypted against itself in plain."""

import json
import shutil
import subprocess
import tempfile

from common import ROOT, median, run_json

PROGRAM = ROOT / ".build/release/wal-bench"
PAIRS = 9
SECONDS = 2


def fio(directory):
    """1 MiB direct writes into a file that is written already, one fdatasync for each."""
    path = f"{directory}/fio.dat"
    common = ["fio", "--name=a", f"--filename={path}", "--size=512m", "--direct=1", "--output-format=json"]
    subprocess.run([*common, "--rw=write", "--bs=1m"], check=True, capture_output=True)
    done = subprocess.run(
        [*common, "--rw=write", "--bs=1m", "--fdatasync=1", "--time_based", f"--runtime={SECONDS}", "--overwrite=1"],
        check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["jobs"][0]["write"]["bw_bytes"] / 1e6


def main():
    with tempfile.TemporaryDirectory(dir=ROOT / ".build") as directory:
        def log(mode, *arguments):
            shutil.rmtree(f"{directory}/log", ignore_errors=True)
            return run_json([PROGRAM, mode, f"{directory}/log", *arguments])

        offered = [log("offered", 600, SECONDS) for _ in range(3)]
        print("log, 64 KiB units offered at 600 MB/s:", json.dumps(sorted(offered, key=lambda r: r.get("p50_ms", 0))[1]))
        pairs = [(log("full", SECONDS)["mb_per_s"], fio(directory)) for _ in range(PAIRS)]
        print(f"{'log MB/s':>10} {'fio MB/s':>10} {'ratio':>6}   1 MiB groups, one fdatasync each")
        for ours, theirs in pairs:
            print(f"{ours:>10.0f} {theirs:>10.0f} {ours / theirs:>6.2f}")
        ours, theirs = [o for o, _ in pairs], [t for _, t in pairs]
        print(f"ratio of medians {median(ours) / median(theirs):.2f}, of the best runs {max(ours) / max(theirs):.2f}")
        ratios = [sealed_against_plain(f"{directory}/log") for _ in range(PAIRS)]
        print("encrypted against plain, medians: MB/s {:.2f}, CPU-s/GB {:.2f}".format(*map(median, zip(*ratios))))


def sealed_against_plain(directory):
    """MB/s and CPU-s/GB of an encrypted log, as ratios to a plain one right before it; each on an empty disk."""
    shutil.rmtree(directory, ignore_errors=True)
    done = subprocess.run([PROGRAM, "sealed", directory, str(SECONDS), "1"], check=True, capture_output=True, text=True)
    plain, sealed = (json.loads(line) for line in done.stdout.splitlines()[:2])
    assert plain["failures"] == sealed["failures"] == 0, done.stdout
    return sealed["mb_per_s"] / plain["mb_per_s"], sealed["cpu_s_per_gb"] / plain["cpu_s_per_gb"]


if __name__ == "__main__":
    main()
