"""Names under a directory that lead inside and outside in turn, swapped as fast as possible. Ends
with its stdin."""

import os
import sys
import threading


def rename_in(link_target, name):
    """Puts a new symlink where `name` is, in one step."""
    fresh = f"{name}.new"
    os.symlink(link_target, fresh)
    os.rename(fresh, name)


def swap(number, outside):
    out = number % 2 == 1
    rename_in(f"{outside}/data.txt" if out else "swapped/data.txt", "swap-link.txt")
    rename_in(outside if out else "swapped", "swap-dir")
    # A real file, and a symlink in its place.
    if out:
        rename_in(f"{outside}/data.txt", "swap-file.txt")
    else:
        # A second name of a lasting file: a newly written file would go to the disk at each rename.
        os.link("swapped/data.txt", "swap-file.new")
        os.rename("swap-file.new", "swap-file.txt")
    # The server must not wait for a FIFO or device, nor read it, however late it notices it.
    odd = ("swapped/data.txt", "fifo", "swapped/data.txt", "/dev/zero")[number % 4]
    rename_in(odd, "swap-odd.txt")
    rename_in(f"{outside}/data.txt" if out else "swapped/data.txt", "swap-side.txt.gz")
    # The same with a directory. No rename can replace it by a symlink in one step.
    if out:
        os.rename("swap-real", "swap-away")
        os.symlink(outside, "swap-real")
    else:
        os.unlink("swap-real")
        os.rename("swap-away", "swap-real")


def main():
    root, outside, seconds = sys.argv[1:]
    os.chdir(root)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    timer = threading.Timer(float(seconds), ended.set)
    timer.daemon = True
    timer.start()
    print("ready", flush=True)
    number = 0
    while not ended.is_set() or number % 2 == 1:
        number += 1
        swap(number, outside)
    print(number)


if __name__ == "__main__":
    main()
