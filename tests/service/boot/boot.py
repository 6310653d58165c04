"""Boot a Debian with the real unit, try what docs/service.md promises, and print a table.

Usage, as root: .venv/bin/python tests/service/boot/boot.py [PROMISE...]

Needs debootstrap, systemd-nspawn, nsenter and setpriv, and the first time a Debian mirror and a package index. The
prepared root is kept in $ACUSIGHT_BOOT_CACHE (default: /var/tmp/acusight-boot); the copy that was booted is removed.
ACUSIGHT_BOOT_SUITE names another Debian than bookworm. Ends with 0 if every promise holds, with 1 if one does not,
with 2 if the machine could not be made.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from appliance import Appliance
from debian_root import Unbuildable, copy, prepare, workplace
from machine import Broken, Machine
from promises import PROMISES

CACHE = "/var/tmp/acusight-boot"  # noqa: S108 (kept between boots; made by root)


def main(wanted: list[str]) -> int:
    """Return the exit code."""
    cache = Path(os.environ.get("ACUSIGHT_BOOT_CACHE", CACHE))
    began = time.monotonic()
    try:
        prepared = prepare(cache, os.environ.get("ACUSIGHT_BOOT_SUITE", "bookworm"))
        with workplace(cache) as folder:
            root = folder / "root"
            copy(prepared, root)
            row("root", time.monotonic() - began, "yes", f"{prepared.name} and this checkout's agent")
            return tried(root, wanted)
    except (Unbuildable, Broken) as error:
        sys.stderr.write(f"boot: {error}\n")
        return 2


def tried(root: Path, wanted: list[str]) -> int:
    """Boot the root and try the promises, the wanted ones or all; return 1 if one does not hold."""
    code = 0
    with Machine(root) as machine:
        systemd = machine.run("systemctl", "--version").splitlines()[0]
        row("boot", machine.boot_s, "yes", f"multi-user.target, {systemd}")
        box = Appliance(machine)
        box.install()
        for name, promise in PROMISES:
            if wanted and name not in {*wanted, "ready"}:
                continue
            began = time.monotonic()
            try:
                holds, said = "yes", promise(box)
            except Broken as error:
                holds, said, code = "NO", str(error), 1
                box.mend()
            row(name, time.monotonic() - began, holds, said)
    return code


def row(name: str, seconds: float, holds: str, said: str) -> None:
    """Print one line of the table."""
    sys.stdout.write(f"{name:16} | {seconds:5.1f} s | {holds:3} | {said}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
