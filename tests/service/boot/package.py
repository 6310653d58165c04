"""Boot a Debian, install the package there, and try what docs/install.md promises; prints a table.

Usage, as root: .venv/bin/python tests/service/boot/package.py [PACKAGE.deb]; without one it is built first.

The same root, cache and exit codes as boot.py. The machine has no way to a package index: what is installed there
comes out of the package alone.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from appliance import CONFIG, CONFIGURATION, KEY, KEY_FILE, PATIENCE_S, SURROUNDINGS, UNIT, Appliance, png
from bare import add_platform, clear, in_order
from boot import CACHE, row
from debian_root import AGENT, REPOSITORY, Unbuildable, copy, prepare, run, workplace
from machine import Broken, Machine, expect, until

if TYPE_CHECKING:
    from collections.abc import Callable

SPOOL = "/var/lib/acusight-agent/spool"
WHEELS = "/usr/lib/acusight-agent/wheels"
INSTALL_S = 240.0
"""An environment takes ten seconds of a processor, much longer where others have it too."""


def main(package: Path | None) -> int:
    """Return the exit code."""
    cache = Path(os.environ.get("ACUSIGHT_BOOT_CACHE", CACHE))
    try:
        prepared = prepare(cache, os.environ.get("ACUSIGHT_BOOT_SUITE", "bookworm"))
        with workplace(cache) as folder:
            root, began = folder / "root", time.monotonic()
            copy(prepared, root)
            clear(root)
            first = package or Path(run(sys.executable, REPOSITORY / "packaging/deb/build.py", folder).strip())
            shutil.copy(first, root / "root/first.deb")
            newer(first, root / "root/second.deb")
            row("package", time.monotonic() - began, "yes", f"{first.name}, {first.stat().st_size / 1e6:.1f} MB")
            return tried(root)
    except (Unbuildable, Broken) as error:
        sys.stderr.write(f"boot: {error}\n")
        return 2


def newer(package: Path, target: Path) -> None:
    """Make the same package of a later version."""
    tree = target.with_suffix("")
    run("dpkg-deb", "--raw-extract", package, tree)
    control = tree / "DEBIAN/control"
    text = control.read_text(encoding="utf-8")
    control.write_text(re.sub(r"^(Version: .*)$", r"\1+later", text, flags=re.MULTILINE), encoding="utf-8")
    run("dpkg-deb", "-Znone", "--root-owner-group", "--build", tree, target)
    shutil.rmtree(tree)


def tried(root: Path) -> int:
    """Boot the root and try the promises in order; return 1 where one does not hold, and leave out what hangs on it."""
    with Machine(root) as machine:
        box = Appliance(machine)
        add_platform(box)
        return in_order(PROMISES, box)


def dpkg(box: Appliance, *arguments: str) -> str:
    """Run dpkg and return all that it and the package's scripts said."""
    command = " ".join(("DEBIAN_FRONTEND=noninteractive", "dpkg", *arguments, "2>&1"))
    return box.run("sh", "-ec", command, seconds=INSTALL_S)


def is_enabled(box: Appliance) -> bool:
    """Tell whether the service is started with the system."""
    return box.run("systemctl", "is-enabled", UNIT, check=False).strip() == "enabled"


def installs(box: Appliance) -> str:
    """Install it: user, environment, configuration; enabled, and not failed for want of a key."""
    began = time.monotonic()
    said = dpkg(box, "--install", "/root/first.deb")
    took = time.monotonic() - began
    expect("provision --url" in said, f"no next step is told: {said}")
    expect(is_enabled(box), "the service is not enabled")
    expect(box.show("ActiveState") == "inactive", f"it is {box.show('ActiveState')}: {box.journal_tail()}")
    owner = box.run("stat", "--format=%U %a", CONFIG).strip()
    expect(owner == "acusight 600", f"the configuration is {owner}")
    expect("video" in box.run("id", "-nG", "acusight").split(), "the user is not in the group video")
    version = box.run("acusight-agent", "version").strip()
    expect(box.run("systemd-analyze", "verify", UNIT) == "", "systemd-analyze verify has something to say")
    return f"after {took:.0f} s, without a package index: {version}"


def starts(box: Appliance) -> str:
    """Give it a configuration and a key: the key's arrival starts it, and a picture is delivered."""
    box.run("sh", "-ec", SURROUNDINGS)
    box.drop_in("folders", "[Service]\nReadWritePaths=-/srv/pictures\n")
    box.configure(CONFIGURATION)
    box.platform("start")
    box.put_key(KEY)
    took = until(box.is_active, PATIENCE_S, box.journal_tail)
    box.place("first.png", png(1))
    box.until_all_arrived()
    verdict = box.run("acusight-agent", "-c", CONFIG, "doctor", check=False, seconds=INSTALL_S).splitlines()
    expect(bool(verdict) and verdict[-1].startswith("WELL"), "\n".join(verdict))
    return f"active {took:.1f} s after its key came; a picture arrived; doctor: {verdict[-1]}"


def upgrades(box: Appliance) -> str:
    """Install a newer one while pictures wait: restarted once it is there, settings kept, all delivered."""
    box.platform("stop")
    for number in range(3):
        box.place(f"waiting-{number}.png", png(10 + number))
    box.until_said("item_spooled", 4)
    before, settings = box.pid, box.run("cat", CONFIG)
    dpkg(box, "--install", "/root/second.deb")
    until(lambda: box.pid not in {0, before} and box.is_active(), PATIENCE_S, box.journal_tail)
    expect(box.run("cat", CONFIG) == settings, "the configuration was changed")
    box.platform("start")
    box.until_all_arrived()
    return "a new process, the same settings; 3 of 3 waiting pictures arrived"


def outlives_a_new_python(box: Appliance) -> str:
    """Break the environment as a newer Python does: the trigger makes it anew, and the service runs again."""
    expect("made" not in dpkg_trigger(box), "the environment was made anew without need")
    box.run("ln", "-sfn", "/usr/bin/python3.0", f"{AGENT}/bin/python3")
    before = box.pid
    dpkg_trigger(box)
    until(lambda: box.pid not in {0, before} and box.is_active(), PATIENCE_S, box.journal_tail)
    box.place("new-python.png", png(20))
    box.until_all_arrived()
    return "the environment was made anew by dpkg's trigger; a picture arrived"


def dpkg_trigger(box: Appliance) -> str:
    """Say that /usr/bin/python3 was replaced, and return what the scripts said."""
    before = box.run("stat", "--format=%i", f"{AGENT}/bin/acusight-agent").strip()
    box.run("dpkg-trigger", "--no-await", "--by-package=python3-minimal", "/usr/bin/python3")
    dpkg(box, "--triggers-only", "--pending")
    after = box.run("stat", "--format=%i", f"{AGENT}/bin/acusight-agent").strip()
    return "kept" if before == after else "made"


def is_removed(box: Appliance) -> str:
    """Remove it while a picture waits: nothing runs, and settings, key and pictures stay."""
    box.platform("stop")
    box.place("left.png", png(30))
    box.until_said("item_spooled", 6)
    dpkg(box, "--remove", "acusight-agent")
    expect(not box.is_active(), "it still runs")
    expect(not box.machine.path(AGENT).exists(), f"{AGENT} is still there")
    expect(box.machine.path(KEY_FILE).exists(), "the key was removed")
    dpkg(box, "--install", "/root/second.deb")
    until(box.is_active, PATIENCE_S, box.journal_tail)
    box.platform("start")
    box.until_all_arrived()
    return "environment and service gone; installed again, what had waited arrived"


def is_purged(box: Appliance) -> str:
    """Purge it: settings and key go, and the spool stays, which it says."""
    box.run("cp", "-a", WHEELS, "/root/wheels")
    said = dpkg(box, "--purge", "acusight-agent")
    expect("/var/lib/acusight-agent was left as it is" in said, f"it does not say that pictures stay: {said}")
    for path in ("/etc/acusight-agent", AGENT, "/usr/lib/acusight-agent"):
        expect(not box.machine.path(path).exists(), f"{path} is still there")
    expect(box.machine.path(SPOOL).is_dir(), "the spool was removed")
    left = box.run("systemctl", "list-unit-files", "--no-legend", "acusight-agent*", check=False).strip()
    expect(left == "", f"units are left: {left}")
    return "settings and key gone, the spool left, no unit left"


def is_installed_by_the_script(box: Appliance) -> str:
    """Install, upgrade and uninstall by install.sh, from the same wheels: the service delivers, and leaves no trace."""
    shutil.copy(REPOSITORY / "install.sh", box.machine.path("/root/install.sh"))
    script = ("/root/install.sh", "--wheels", "/root/wheels")
    said = box.run(*script, "--no-doctor", seconds=INSTALL_S)
    expect("next: get the key" in said, f"no next step is told: {said}")
    box.configure(CONFIGURATION)
    box.put_key(KEY)
    until(box.is_active, PATIENCE_S, box.journal_tail)
    box.place("script.png", png(40))
    box.until_all_arrived()
    before = box.pid
    said = box.run(*script, "--upgrade", seconds=INSTALL_S)
    expect(box.pid not in {0, before} and box.is_active(), f"it was not restarted: {said}")
    expect(re.search(r"^WELL", said, re.MULTILINE) is not None, f"the doctor is not content: {said}")
    box.run("/root/install.sh", "--uninstall", seconds=INSTALL_S)
    expect(not box.is_active() and not box.machine.path(AGENT).exists(), "something is left")
    expect(box.machine.path(SPOOL).is_dir() and box.machine.path(CONFIG).exists(), "something of the owner's is gone")
    return "installed, delivered, upgraded, uninstalled; settings and spool left"


PROMISES: tuple[tuple[str, Callable[[Appliance], str]], ...] = (
    ("install", installs),
    ("start", starts),
    ("upgrade", upgrades),
    ("new Python", outlives_a_new_python),
    ("remove", is_removed),
    ("purge", is_purged),
    ("install.sh", is_installed_by_the_script),
)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if sys.argv[1:] else None))
