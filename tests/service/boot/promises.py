"""What is promised of the service, each as a function that tries it on the appliance and says what it saw.

They run in the order of `PROMISES`, each finds the agent running (the first one starts it), and leaves it running.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from appliance import CONFIGURATION, KEY, KEY_FILE, PATIENCE_S, PICTURES, READ_ONLY, UNIT, bmp, png
from debian_root import REPOSITORY
from endings import (
    is_killed_when_it_hangs,
    outlives_a_kill,
    stays_down_with_a_wrong_configuration,
    stops_within_its_grace,
)
from machine import expect, until
from status_page import shows_itself_on_demand
from walls import ARGUS, CAMERA, NETLINK, REFUSALS, stands_in_walls, under_the_unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance import Appliance

SPOOL = "/var/lib/acusight-agent/spool"
ADDED = "/srv/added"
NEW_KEY = "adk_5eed5eed5eed5eed"


def has_clean_unit_files(box: Appliance) -> str:
    """Let systemd look at the units: it has nothing to say, and rates the exposure at 1.5 of 10 or less."""
    run = box.run("sh", "-c", f"systemd-analyze verify {UNIT} acusight-agent-key.path 2>&1")
    expect(run == "", f"systemd-analyze verify says: {run}")
    rating = box.run("systemd-analyze", "security", "--no-pager", UNIT)
    found = re.search(r"exposure level for \S+: ([0-9.]+)", rating)
    expect(found is not None and float(found[1]) <= 1.5, f"the exposure is {found and found[1]}")
    return f"verify is silent, exposure {found[1] if found else '?'} of 10"


def says_when_it_is_ready(box: Appliance) -> str:
    """Start it: `systemctl enable --now` returns once it has said READY=1, and its STATUS= can be read."""
    began = time.monotonic()
    box.run("systemctl", "enable", "--now", UNIT, "acusight-agent-key.path", check=False)
    took = time.monotonic() - began
    expect(box.is_active() and box.show("Type") == "notify", box.journal_tail())
    until(lambda: "HEALTHY" in box.show("StatusText"), PATIENCE_S, lambda: f"STATUS={box.show('StatusText')!r}")
    return f"ready after {took:.1f} s, STATUS={box.show('StatusText')}"


def delivers_by_hard_link(box: Appliance) -> str:
    """Deliver another user's pictures byte for byte; they wait as hard links, so that their bytes are written once."""
    box.platform("stop")
    for number in range(5):
        box.place(f"belt-{number}.png", png(number))
    box.until_said("item_spooled", 5)
    hidden, spooled = (inodes(box, folder) for folder in (f"{PICTURES}/.acusight-agent", SPOOL))
    pictures = inodes(box, PICTURES, "-maxdepth", "1", "-name", "belt-*")
    box.platform("start")
    took = box.until_all_arrived()
    expect(pictures <= hidden | spooled, "the pictures were copied")
    way = "its hidden folder beside them (EXDEV to the spool)" if pictures <= hidden else "the spool"
    return f"5 of 5 arrived {took:.1f} s after the platform came up; linked into {way}"


def copies_where_it_may_not_write(box: Appliance) -> str:
    """Deliver a folder that the agent may only read: by copies, and the log says so once."""
    for number in range(2):
        box.place(f"readable-{number}.png", png(100 + number), READ_ONLY)
    took = box.until_all_arrived()
    expect(box.said("pictures_copied") == 1, box.journal_tail())
    return f"2 of 2 arrived after {took:.1f} s; said once"


def converts_in_its_child(box: Appliance) -> str:
    """Run OpenCV within the system call filter and without writable code: a BMP arrives as JPEG."""
    before = len(box.arrived())
    box.place("part.bmp", bmp())
    box.delivered.popitem()  # its bytes are not those that arrive
    took = until(lambda: len(box.arrived()) > before, PATIENCE_S, box.journal_tail)
    kind = box.arrived()[-1]["media_type"]
    expect(kind == "image/jpeg", f"it arrived as {kind}")
    return f"BMP in, JPEG out after {took:.1f} s"


def keeps_its_key(box: Appliance) -> str:
    """Look for the key, which comes as a credential from a file of root's: no environment, argument or log has it."""
    mode = box.run("stat", "--format=%U %a", KEY_FILE).strip()
    expect(mode == "root 600", f"the key file is {mode}")
    procs = box.run("cat", f"/sys/fs/cgroup/system.slice/{UNIT}/cgroup.procs").split()
    public = [f"/proc/{pid}/{what}" for pid in procs for what in ("environ", "cmdline")]
    found = box.run("grep", "-rlsa", KEY, *public, "/var/lib/acusight-agent", "/run/acusight-agent", check=False)
    expect(not found, f"the key is in {found}")
    expect(KEY not in box.journal(), "the key is in the log")
    expect(not [upload for upload in box.arrived() if upload["key_suffix"] != KEY[-4:]], "another key was used")
    return f"file root 600; uploads carry it; not in environ, argv ({len(procs)} processes), journal, spool, state"


def takes_a_new_configuration(box: Appliance) -> str:
    """Reload: the configuration is read again by the same process."""
    pid = box.pid
    box.run("install", "-d", "-o", "producer", ADDED)
    box.configure(f'{CONFIGURATION}[[watch]]\npath = "{ADDED}"\nsettle_s = 0.2\n')
    box.run("systemctl", "reload", UNIT)
    box.until_said("configuration_reloaded")
    box.place("reloaded.png", png(400), ADDED)
    took = box.until_all_arrived()
    expect(box.pid == pid, "the process was replaced")
    return f"a picture in an added folder arrived after {took:.1f} s; same process"


def refuses_a_wrong_configuration(box: Appliance) -> str:
    """Reload a wrong configuration: nothing changes, and the log says why."""
    pid = box.pid
    box.configure(CONFIGURATION.replace("start_jitter_s = 0", 'workers = "many"'))
    box.run("systemctl", "reload", UNIT)
    box.until_said("configuration_refused")
    box.place("refused.png", png(401))
    box.until_all_arrived()
    expect(box.pid == pid and box.is_active(), box.journal_tail())
    box.configure(CONFIGURATION)
    box.run("systemctl", "reload", UNIT)
    box.until_said("configuration_reloaded", 2)
    return "said so, the old one goes on, the next right one is taken"


def takes_a_new_key(box: Appliance) -> str:
    """Replace a refused key, then take it away and put it back: the agent notices without anybody's help."""
    box.write("/root/platform_key", NEW_KEY)
    box.platform("restart")
    box.place("rekeyed.png", png(600))
    until(lambda: "denied" in box.show("StatusText"), PATIENCE_S, lambda: box.show("StatusText"))
    box.put_key(NEW_KEY)
    replaced = box.until_all_arrived()
    box.run("rm", KEY_FILE)
    until(lambda: box.show("ActiveState") == "failed", PATIENCE_S, box.journal_tail)
    expect(box.show("ExecMainStatus") == "78", box.show("ExecMainStatus"))
    box.put_key(NEW_KEY)
    came = box.until_active_again(0, PATIENCE_S)
    return f"refused key replaced: delivering after {replaced:.1f} s; none at all: 78, ready {came:.1f} s after it came"


def starts_with_every_drop_in(box: Appliance) -> str:
    """Add the drop-ins for cameras: systemd has nothing to say, each opens what it is there to open, and no more."""
    said = []
    for name in ("raspberry-pi-csi", "jetson-csi"):
        box.drop_in(name, (REPOSITORY / "systemd/drop-ins" / f"{name}.conf").read_text(encoding="utf-8"))
        words = box.run("sh", "-c", f"systemd-analyze verify {UNIT} 2>&1")
        expect(words == "", f"systemd-analyze verify says: {words}")
        answers = under_the_unit(box)
        expect(answers[NETLINK] in REFUSALS, f"{name}: {NETLINK}: {answers[NETLINK]}")
        expect(name != "jetson-csi" or answers[ARGUS] == "", f"{name}: {ARGUS}: {answers[ARGUS]}")
        expect(name != "jetson-csi" or answers[CAMERA] == "ENXIO", f"{name}: {CAMERA}: {answers[CAMERA]}")
        exposure = box.run("systemd-analyze", "security", "--no-pager", UNIT).split(": ")[-1].split()[0]
        expect(float(exposure) <= 1.5, f"{name}: exposure {exposure}")
        said.append(f"{name} opens its own, exposure {exposure}")
        box.drop_in(name, None)
    box.run("systemctl", "restart", UNIT)
    return ", ".join(said)


def inodes(box: Appliance, folder: str, *tests: str) -> set[str]:
    """Return the inode numbers of the regular files below a folder of the appliance."""
    return set(box.run("find", folder, *tests, "-type", "f", "-printf", "%i\n").split())


PROMISES: tuple[tuple[str, Callable[[Appliance], str]], ...] = (
    ("unit files", has_clean_unit_files),
    ("ready", says_when_it_is_ready),
    ("watched folder", delivers_by_hard_link),
    ("read-only folder", copies_where_it_may_not_write),
    ("conversion", converts_in_its_child),
    ("credential", keeps_its_key),
    ("hardening", stands_in_walls),
    ("kill -9", outlives_a_kill),
    ("watchdog", is_killed_when_it_hangs),
    ("reload", takes_a_new_configuration),
    ("wrong reload", refuses_a_wrong_configuration),
    ("stop", stops_within_its_grace),
    ("exit 78", stays_down_with_a_wrong_configuration),
    ("new key", takes_a_new_key),
    ("camera drop-ins", starts_with_every_drop_in),
    ("status page", shows_itself_on_demand),
)
