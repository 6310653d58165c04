"""Boot a Debian, and let the fleet's playbook at it as if it were a device behind SSH; prints a table.

Usage, as root: .venv/bin/python tests/service/boot/playbook.py

The same root, cache and exit codes as boot.py; needs ansible-playbook too. The machine has no network: what pip asks
for lies in a folder of wheels, and what stands in for ssh enters the machine's namespaces.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from appliance import KEY, PATIENCE_S, PICTURES, PORT, SURROUNDINGS, Appliance, png
from bare import add_platform, clear, in_order
from boot import CACHE, row
from debian_root import REPOSITORY, Unbuildable, copy, download, pip, prepare, requirements, workplace
from machine import Broken, Machine, expect, until

if TYPE_CHECKING:
    from collections.abc import Callable

WHEELS = "/usr/local/share/wheels"
PLAYBOOK = REPOSITORY / "docs/ansible/playbook.yml"
PLAY_S = 300.0
FOLDER = "/srv/other"
SSH = """\
#!/bin/sh
# Stands in for ssh: its last argument, the command, is run inside the machine.
for command; do :; done
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 {enter} -- /bin/sh -c "$command"
"""
VARIABLES = {
    "ansible_become": False,
    "ansible_ssh_transfer_method": "piped",
    "acusight_url": f"http://127.0.0.1:{PORT}",
    "acusight_folder": PICTURES,
    "acusight_device_key": KEY,
}


class Fleet:
    """One device, and the controller beside it."""

    def __init__(self, box: Appliance, place: Path) -> None:
        self.box = box
        self._place = place
        ssh = place / "ssh"
        ssh.write_text(SSH.format(enter=" ".join(box.machine.entered)), encoding="utf-8")
        ssh.chmod(0o755)
        (wheel,) = place.glob("*.whl")
        self.variables = {**VARIABLES, "ansible_ssh_executable": str(ssh), "acusight_wheel": str(wheel)}

    def play(self, *options: str, **more: object) -> dict[str, int]:
        """Run the playbook, and return the counts of its recap; raises Broken where a task fails."""
        said = self._place / "variables.json"
        said.write_text(json.dumps({**self.variables, **more}), encoding="utf-8")
        (self._place / "hosts").write_text("[edge]\ndevice\n", encoding="utf-8")
        ended = subprocess.run(
            ["ansible-playbook", "-i", self._place / "hosts", "-e", f"@{said}", *options, PLAYBOOK],
            capture_output=True,
            text=True,
            check=False,
            timeout=PLAY_S,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOME": str(self._place), "LC_ALL": "C.UTF-8"},
        )
        expect(ended.returncode == 0, f"{ended.stdout[-2500:]}{ended.stderr[-1000:]}")
        expect(KEY not in ended.stdout + ended.stderr, "the key was printed")
        return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", ended.stdout.rpartition("RECAP")[2])}


def main() -> int:
    """Return the exit code."""
    cache = Path(os.environ.get("ACUSIGHT_BOOT_CACHE", CACHE))
    began = time.monotonic()
    try:
        prepared = prepare(cache, os.environ.get("ACUSIGHT_BOOT_SUITE", "bookworm"))
        with workplace(cache) as folder:
            root, place = folder / "root", folder / "controller"
            copy(prepared, root)
            clear(root)
            download(root, root / WHEELS.lstrip("/"), f"--constraint={locked(folder)}", *requirements())
            (root / "etc/pip.conf").write_text(f"[global]\nno-index = true\nfind-links = {WHEELS}\n", encoding="utf-8")
            pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", place, REPOSITORY)
            row("device", time.monotonic() - began, "yes", f"{prepared.name}, bare")
            return tried(root, place)
    except (Unbuildable, Broken) as error:
        sys.stderr.write(f"boot: {error}\n")
        return 2


def locked(folder: Path) -> Path:
    """Return the versions that were tested together, as install.sh asks for them."""
    lines = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8").splitlines()
    path = folder / "constraints.txt"
    path.write_text("\n".join(line.removesuffix(" \\") for line in lines if re.match(r"[a-z0-9].*==", line)), "utf-8")
    return path


def tried(root: Path, place: Path) -> int:
    """Boot the root and try the promises in order; return 1 where one does not hold."""
    with Machine(root) as machine:
        box = Appliance(machine)
        add_platform(box)
        box.platform("start")
        box.run("touch", "/var/lib/apt/lists")  # as if they had been fetched today: there is no mirror in reach
        return in_order(PROMISES, Fleet(box, place))


def sets_a_device_up(fleet: Fleet) -> str:
    """Play it on a bare device: the agent runs, and is what doctor calls well; a picture arrives."""
    box = fleet.box
    box.run("sh", "-ec", f"install -d {PICTURES}")
    counts = fleet.play()
    until(box.is_active, PATIENCE_S, box.journal_tail)
    box.run("sh", "-ec", SURROUNDINGS)
    box.place("first.png", png(1))
    box.until_all_arrived()
    page = box.run("systemctl", "is-enabled", "acusight-agent-page.socket", check=False).strip()
    expect(page == "disabled", f"the page's socket is {page}")
    return f"{counts['changed']} of {counts['ok']} tasks changed something; a picture arrived"


def leaves_it_alone(fleet: Fleet) -> str:
    """Play it again, and once more as a rehearsal: nothing changes, and the agent is not restarted."""
    before = fleet.box.pid
    for options in ((), ("--check",)):
        counts = fleet.play(*options)
        expect(counts["changed"] == 0 and counts["failed"] == 0, f"{options}: {counts}")
    expect(fleet.box.pid == before, "the agent was restarted")
    return "changed=0, also with --check"


def takes_a_change(fleet: Fleet) -> str:
    """Change what is watched: the configuration alone is written, and the agent restarted; a wrong one is refused."""
    box = fleet.box
    box.run("install", "-d", "-o", "producer", FOLDER)
    before = box.pid
    counts = fleet.play(acusight_folder=FOLDER, acusight_page=True)
    expect(counts["changed"] == 3, f"{counts}: the template, the socket and the restart were to change")
    expect(box.pid not in {0, before}, "the agent was not restarted")
    box.place("other.png", png(2), FOLDER)
    box.until_all_arrived()
    before = box.pid
    try:
        fleet.play(acusight_url="ftp://nowhere")
    except Broken as error:
        expect("config" in str(error) and box.pid == before, str(error))
        return "written, restarted, delivered; a wrong one was refused and left the agent alone"
    raise Broken("a wrong configuration was put in place")


def upgrades(fleet: Fleet) -> str:
    """Bring a wheel with other bytes: it is installed, and the running agent is the new one."""
    wheel = Path(str(fleet.variables["acusight_wheel"]))
    later = wheel.with_name(wheel.name.replace("-py3", "-1-py3"))  # a build number
    shutil.copy(wheel, later)
    before = fleet.box.pid
    counts = fleet.play(acusight_wheel=str(later), acusight_folder=FOLDER)
    expect(counts["changed"] == 2, f"{counts}: the copy and the installation were to change")
    until(lambda: fleet.box.pid not in {0, before} and fleet.box.is_active(), PATIENCE_S, fleet.box.journal_tail)
    expect(fleet.play(acusight_wheel=str(later), acusight_folder=FOLDER)["changed"] == 0, "it is never done")
    return "installed over what was there, restarted; then changed=0"


PROMISES: tuple[tuple[str, Callable[[Fleet], str]], ...] = (
    ("set-up", sets_a_device_up),
    ("again", leaves_it_alone),
    ("a change", takes_a_change),
    ("an upgrade", upgrades),
)


if __name__ == "__main__":
    sys.exit(main())
