"""What is promised of the service, each as a function that tries it on the appliance and says what it saw.

They run in the order of `PROMISES`, each finds the agent running (the first one starts it), and leaves it running.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from appliance import (
    CONFIG,
    CONFIGURATION,
    KEY,
    KEY_FILE,
    PATIENCE_S,
    PICTURES,
    READ_ONLY,
    UNIT,
    bmp,
    png,
)
from debian_root import REPOSITORY
from machine import Broken, until
from walls import stands_in_walls

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance import Appliance

GRACE_S = 8.0
SPOOL = "/var/lib/acusight-agent/spool"
ADDED = "/srv/added"
NEW_KEY = "adk_5eed5eed5eed5eed"


def has_clean_unit_files(box: Appliance) -> str:
    """systemd has nothing to say about the unit, and rates its exposure at 1.5 of 10 or less."""
    run = box.run("sh", "-c", f"systemd-analyze verify {UNIT} acusight-agent-key.path 2>&1")
    expect(run == "", f"systemd-analyze verify says: {run}")
    rating = box.run("systemd-analyze", "security", "--no-pager", UNIT)
    found = re.search(r"exposure level for \S+: ([0-9.]+)", rating)
    expect(found is not None and float(found[1]) <= 1.5, f"the exposure is {found and found[1]}")
    return f"verify is silent, exposure {found[1] if found else '?'} of 10"


def says_when_it_is_ready(box: Appliance) -> str:
    """`systemctl enable --now` returns once the agent has said READY=1; its STATUS= is there to read."""
    began = time.monotonic()
    box.run("systemctl", "enable", "--now", UNIT, "acusight-agent-key.path")
    took = time.monotonic() - began
    expect(box.is_active() and box.show("Type") == "notify", box.journal_tail())
    until(lambda: "waiting" in box.show("StatusText"), PATIENCE_S, lambda: f"STATUS={box.show('StatusText')!r}")
    return f"ready after {took:.1f} s, STATUS={box.show('StatusText')}"


def delivers_by_hard_link(box: Appliance) -> str:
    """Another user's pictures arrive byte for byte, and wait as hard links, because their bytes are written once."""
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
    """A folder that the agent may only read is delivered too, by copies, and the log says so once."""
    for number in range(2):
        box.place(f"readable-{number}.png", png(100 + number), READ_ONLY)
    took = box.until_all_arrived()
    expect(box.said("pictures_copied") == 1, box.journal_tail())
    return f"2 of 2 arrived after {took:.1f} s; said once"


def converts_in_its_child(box: Appliance) -> str:
    """OpenCV runs within the system call filter and without writable code: a BMP arrives as JPEG."""
    before = len(box.arrived())
    box.place("part.bmp", bmp())
    box.delivered.popitem()  # its bytes are not those that arrive
    took = until(lambda: len(box.arrived()) > before, PATIENCE_S, box.journal_tail)
    kind = box.arrived()[-1]["media_type"]
    expect(kind == "image/jpeg", f"it arrived as {kind}")
    return f"BMP in, JPEG out after {took:.1f} s"


def keeps_its_key(box: Appliance) -> str:
    """The key comes from a file of root's as a credential, and is in nobody's environment, arguments, log or files."""
    mode = box.run("stat", "--format=%U %a", KEY_FILE).strip()
    expect(mode == "root 600", f"the key file is {mode}")
    procs = box.run("cat", f"/sys/fs/cgroup/system.slice/{UNIT}/cgroup.procs").split()
    public = [f"/proc/{pid}/{what}" for pid in procs for what in ("environ", "cmdline")]
    found = box.run("grep", "-rlsa", KEY, *public, "/var/lib/acusight-agent", "/run/acusight-agent", check=False)
    expect(not found, f"the key is in {found}")
    expect(KEY not in box.journal(), "the key is in the log")
    expect(not [upload for upload in box.arrived() if upload["key_suffix"] != KEY[-4:]], "another key was used")
    return f"file root 600; uploads carry it; not in environ, argv ({len(procs)} processes), journal, spool, state"


def outlives_a_kill(box: Appliance) -> str:
    """After kill -9 systemd starts the agent again, and what waited in the spool is delivered once."""
    box.platform("stop")
    restarts, spooled, pid = int(box.show("NRestarts")), box.said("item_spooled"), box.pid
    for number in range(3):
        box.place(f"kill-{number}.png", png(200 + number))
    box.until_said("item_spooled", spooled + 3)
    box.signal("KILL")
    box.platform("start")
    took = box.until_active_again(pid, PATIENCE_S)
    expect(int(box.show("NRestarts")) == restarts + 1, f"{box.show('NRestarts')} restarts")
    box.until_all_arrived()
    expect(box.said("item_spooled") == spooled + 3, "pictures were taken in twice")
    return f"ready again after {took:.1f} s (RestartSec=5); 3 of 3 waiting pictures arrived once"


def is_killed_when_it_hangs(box: Appliance) -> str:
    """A healthy agent feeds the watchdog; a stopped one is killed and started again, and goes on with its spool."""
    box.drop_in("watchdog", "[Service]\nWatchdogSec=3\n")
    box.run("systemctl", "restart", UNIT)
    box.platform("stop")
    restarts, spooled, pid = int(box.show("NRestarts")), box.said("item_spooled"), box.pid
    box.place("frozen.png", png(300))
    box.until_said("item_spooled", spooled + 1)
    time.sleep(4)
    expect(box.pid == pid, "a healthy agent was killed")
    box.signal("STOP")
    box.platform("start")
    took = box.until_active_again(pid, 40.0)
    expect("Watchdog timeout" in box.journal(), box.journal_tail())
    expect(int(box.show("NRestarts")) == restarts + 1, f"{box.show('NRestarts')} restarts")
    box.until_all_arrived()
    box.drop_in("watchdog", None)
    return f"WatchdogSec=3: fed for 4 s; SIGSTOP to ready again {took:.1f} s; the waiting picture arrived"


def takes_a_new_configuration(box: Appliance) -> str:
    """`systemctl reload` reads the configuration again in the same process."""
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
    """A reload of a wrong configuration changes nothing; the log says why."""
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


def stops_within_its_grace(box: Appliance) -> str:
    """With a platform that has stopped answering, stop to exit takes grace_s and a second; nothing is lost."""
    box.run("systemctl", "kill", "--signal=STOP", "platform.service")
    spooled = box.said("item_spooled")
    for number in range(3):
        box.place(f"stop-{number}.png", png(500 + number))
    box.until_said("item_spooled", spooled + 3)
    time.sleep(1)  # now uploads are under way
    began = time.monotonic()
    box.run("systemctl", "stop", UNIT)
    took = time.monotonic() - began
    expect(took <= GRACE_S + 1, f"it took {took:.1f} s")
    expect(box.show("Result") == "success", f"systemd says: {box.show('Result')}")
    expect("SIGKILL" not in box.journal_tail(), box.journal_tail())
    box.run("systemctl", "kill", "--signal=CONT", "platform.service")
    box.run("systemctl", "start", UNIT)
    box.until_all_arrived()
    return f"{took:.1f} s with uploads hanging (grace 8); 3 of 3 arrived after the next start"


def stays_down_with_a_wrong_configuration(box: Appliance) -> str:
    """A configuration that cannot be used ends the agent with 78, and systemd does not try it again and again."""
    box.configure("[server]\nurl = 7\n")
    box.run("systemctl", "restart", UNIT, check=False)
    invocation = box.show("InvocationID")
    time.sleep(7)  # RestartSec=5 would have passed
    seen = box.show("ActiveState"), box.show("ExecMainStatus")
    expect(seen == ("failed", "78"), f"it is {seen}")
    expect(box.show("InvocationID") == invocation, "it was started again")
    expect(CONFIG in box.journal_tail(), "the log does not name the file")
    box.configure(CONFIGURATION)
    box.run("systemctl", "start", UNIT)
    return "ended with 78, not started again within 7 s, starts once mended"


def takes_a_new_key(box: Appliance) -> str:
    """A key that replaces a refused one is used without anybody's help; so is the first one to come."""
    box.write("/root/platform_key", NEW_KEY)
    box.platform("restart")
    box.place("rekeyed.png", png(600))
    until(lambda: "paused" in box.show("StatusText"), PATIENCE_S, lambda: box.show("StatusText"))
    box.put_key(NEW_KEY)
    replaced = box.until_all_arrived()
    box.run("rm", KEY_FILE)
    until(lambda: box.show("ActiveState") == "failed", PATIENCE_S, box.journal_tail)
    expect(box.show("ExecMainStatus") == "78", box.show("ExecMainStatus"))
    box.put_key(NEW_KEY)
    came = box.until_active_again(0, PATIENCE_S)
    return f"refused key replaced: delivering after {replaced:.1f} s; none at all: 78, ready {came:.1f} s after it came"


def starts_with_every_drop_in(box: Appliance) -> str:
    """The drop-ins for cameras load without a word and leave the agent able to start."""
    said = []
    for name in ("raspberry-pi-csi", "jetson-csi"):
        box.drop_in(name, (REPOSITORY / "systemd/drop-ins" / f"{name}.conf").read_text(encoding="utf-8"))
        words = box.run("sh", "-c", f"systemd-analyze verify {UNIT} 2>&1")
        expect(words == "", f"systemd-analyze verify says: {words}")
        box.run("systemctl", "restart", UNIT)
        rating = box.run("systemd-analyze", "security", "--no-pager", UNIT)
        said.append(f"{name} {rating.split(': ')[-1].split()[0]}")
        box.drop_in(name, None)
    box.run("systemctl", "restart", UNIT)
    return f"each starts; exposure: {', '.join(said)}"


def inodes(box: Appliance, folder: str, *tests: str) -> set[str]:
    """Return the inode numbers of the regular files below a folder of the appliance."""
    return set(box.run("find", folder, *tests, "-type", "f", "-printf", "%i\n").split())


def expect(holds: bool, otherwise: str) -> None:  # noqa: FBT001 (reads as the sentence that it is)
    """Raise Broken with what was seen where the promise does not hold."""
    if not holds:
        raise Broken(otherwise)


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
)
