"""The cost of a build from nothing, with the crates already downloaded: see README.md beside this
file."""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from process import title

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# The same profile for all, whatever their manifests say.
PROFILE = {"LTO": "thin", "CODEGEN_UNITS": "4", "DEBUG": "0", "OPT_LEVEL": "3", "STRIP": "none"}

# Exactly the crates that each server of src/bin needs.
OURS = [f'akurai-{name} = {{ path = "{ROOT}/akurai-{name}" }}' for name in ("http", "ws")]
NEEDS = {
    "akurai-web": ("web", OURS),
    "tiny_http": ("tiny-web", ["tiny_http"]),
    "axum": (
        "axum-web",
        [
            "axum",
            "futures-util",
            'tokio = { version = "1", features = ["rt-multi-thread", "net", "time"] }',
        ],
    ),
}
PACKAGES = ["akurai", "akurai-web", "tiny_http", "axum", "tako"]

MANIFEST = """
[package]
name = "{name}"
version = "0.1.0"
edition = "2024"

[workspace]

[dependencies]
bench-task = {{ path = "{here}/task" }}
{needs}
"""


def prepare(name, work):
    """The package's directory and its name. The demo is in our own workspace, and tako's package
    stands alone."""
    if name == "akurai":
        return ROOT, "akurai-server"
    path = os.path.join(work, name)
    if name == "tako":
        shutil.copytree(os.path.join(HERE, "peers", name), path)
        manifest = os.path.join(path, "Cargo.toml")
        with open(manifest) as file:
            text = file.read()
        with open(manifest, "w") as file:
            file.write(text.replace("../../task", f"{HERE}/task"))
        return path, "akurai-bench-tako"
    program, needs = NEEDS[name]
    with open(os.path.join(HERE, "Cargo.toml")) as file:
        versions = dict(re.findall(r"^([a-z_-]+) = (.*)$", file.read(), re.M))
    os.makedirs(os.path.join(path, "src"))
    lines = [need if "=" in need else f"{need} = {versions[need]}" for need in needs]
    with open(os.path.join(path, "Cargo.toml"), "w") as file:
        file.write(MANIFEST.format(name=f"bench-{name}", here=HERE, needs="\n".join(lines)))
    shutil.copy(
        os.path.join(HERE, "src", "bin", program + ".rs"), os.path.join(path, "src", "main.rs")
    )
    # The versions that the other scenarios measure.
    shutil.copy(os.path.join(HERE, "Cargo.lock"), path)
    return path, f"bench-{name}"


def cargo(path, *words, **settings):
    result = subprocess.run(
        ["cargo", *words],
        cwd=path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **settings},
    )
    if result.returncode:
        raise SystemExit(f"tests/bench: cargo {' '.join(words)} in {path}:\n{result.stderr}")
    return result.stdout


def crates(path, package):
    """The number of crates: other people's and ours, without the measured package itself."""
    tree = cargo(
        path, "tree", "--offline", "-p", package, "--edges", "normal,build", "--prefix", "none"
    )
    names = {tuple(line.split()[:2]) for line in tree.splitlines() if line}
    return len([name for name, _ in names if name not in (package, "bench-task")])


def measure(path, package, work):
    target = os.path.join(work, "target")
    settings = {f"CARGO_PROFILE_RELEASE_{key}": value for key, value in PROFILE.items()}
    settings.update(CARGO_TARGET_DIR=target, CARGO_INCREMENTAL="0")
    start = time.monotonic()
    cargo(path, "build", "--release", "--offline", "-j2", "-p", package, **settings)
    took = time.monotonic() - start
    release = os.path.join(target, "release")
    program = next(entry.path for entry in os.scandir(release)
                   if entry.is_file() and os.access(entry.path, os.X_OK) and "." not in entry.name)
    stripped = os.path.join(work, "stripped")
    subprocess.run(["strip", "-o", stripped, program], check=True)
    size = os.path.getsize(stripped) / 1024
    shutil.rmtree(target)
    return {"seconds": took, "kib": size}


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("scenario", choices=["build"])
    parser.add_argument(
        "packages",
        nargs="*",
        metavar="PACKAGE",
        help=f"{' '.join(PACKAGES)}; all by default, and the first is compared with the others",
    )
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    for name in args.packages:
        if name not in PACKAGES:
            parser.error(f"there is no {name}, but {' '.join(PACKAGES)}")
    names = args.packages or PACKAGES
    rounds = []
    with tempfile.TemporaryDirectory(prefix="akurai-bench-") as work:
        places = {name: prepare(name, work) for name in names}
        for path, _ in places.values():
            cargo(path, "fetch")
        counts = {name: crates(*places[name]) for name in names}
        title(f"cargo build --release, {args.rounds} rounds")
        for number in range(args.rounds):
            found = {}
            for name in names if number % 2 == 0 else names[::-1]:
                found[name] = measure(*places[name], work)
                print(
                    f"  round {number + 1} {name}: "
                    + ", ".join(f"{k} {v:.1f}" for k, v in found[name].items()),
                    file=sys.stderr,
                )
            rounds.append(found)
    ours = names[0]
    print(
        f"| | seconds, -j2 | crates | stripped KiB | seconds to {ours}'s | KiB to {ours}'s |\n|---|---|---|---|---|---|"
    )
    for name in names:
        seconds, kib = (
            statistics.median(found[name][key] for found in rounds) for key in ("seconds", "kib")
        )
        ratios = [
            statistics.median(found[name][key] / found[ours][key] for found in rounds)
            for key in ("seconds", "kib")
        ]
        print(
            f"| {name} | {seconds:.1f} | {counts[name]} | {kib:,.0f} | {ratios[0]:.2f} | {ratios[1]:.2f} |",
            flush=True,
        )


main()
