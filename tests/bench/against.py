"""Our server of `src/bin/web.rs` with the crates of another checkout of this repository."""

import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))

MANIFEST = """
[package]
name = "before-web"
version = "0.1.0"
edition = "2024"
publish = false

[workspace]

[[bin]]
name = "before-web"
path = "{here}/src/bin/web.rs"

[dependencies]
akurai-http = {{ path = "{checkout}/akurai-http" }}
akurai-ws = {{ path = "{checkout}/akurai-ws" }}
bench-task = {{ path = "{here}/task" }}
"""


def built(checkout, target):
    """The program's path. It is built beside ours, with the same profile."""
    checkout = os.path.abspath(checkout)
    if not os.path.isdir(os.path.join(checkout, "akurai-http")):
        raise SystemExit(f"tests/bench: {checkout} is no checkout of this repository")
    target = os.path.join(os.path.dirname(os.path.abspath(target)), "against")
    package = os.path.join(target, "package")
    os.makedirs(package, exist_ok=True)
    with open(os.path.join(HERE, "Cargo.toml")) as file:
        profile = file.read().partition("[profile.release]")
    with open(os.path.join(package, "Cargo.toml"), "w") as file:
        file.write(MANIFEST.format(here=HERE, checkout=checkout) + "\n" + "".join(profile[1:]))
    subprocess.run(
        ["cargo", "build", "--release", "--quiet", "--target-dir", target], cwd=package, check=True
    )
    return os.path.join(target, "release", "before-web")
