"""The hardening, tried: a probe runs where the agent runs, and, as the control, where nothing is forbidden."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from appliance import UNIT
from debian_root import AGENT
from machine import Broken

if TYPE_CHECKING:
    from appliance import Appliance

PROBE = "/opt/probe.py"
REPORT = "/var/lib/acusight-agent/probe.json"
CONTROL = "/root/probe.json"
CAMERA, NETLINK, ARGUS = "open a camera", "netlink socket", "reach a socket in /tmp"
CLOCK = "hear of a set clock"
LISTEN = ("--socket-property=ListenStream=/tmp/argus_socket", "--socket-property=SocketMode=0777")
REFUSALS = {"EPERM", "EACCES", "EROFS", "ENOENT", "EAFNOSUPPORT"}


def stands_in_walls(box: Appliance) -> str:
    """Try what a broken-in agent would: all is refused under the unit, and all of it works without the unit."""
    shutil.copy(Path(__file__).with_name("probe.py"), box.machine.path(PROBE))
    box.run("mknod", "--mode=666", "/dev/probe", "c", "10", "229")
    box.run("sh", "-ec", "mknod --mode=660 /dev/video99 c 81 99 && chgrp video /dev/video99")
    box.run("systemd-run", "--quiet", "--unit=argus", *LISTEN, "sleep", "infinity")
    walls = dict(line.split(":\t") for line in box.run("cat", f"/proc/{box.pid}/status").splitlines() if ":\t" in line)
    if (walls["Seccomp"], walls["NoNewPrivs"], int(walls["CapBnd"], 16)) != ("2", "1", 0):
        raise Broken(f"the process has {walls}")
    inside, outside = under_the_unit(box), _without(box)
    camera, clock = inside.pop(CAMERA), inside.pop(CLOCK)
    outside.pop(CAMERA)
    if clock or outside.pop(CLOCK):
        raise Broken(f"to hear of a set clock is refused: {clock or 'without the unit too'}")
    open_doors = [name for name, answer in inside.items() if answer not in REFUSALS]
    if open_doors:
        raise Broken(f"not refused: {', '.join(open_doors)}")
    blind = [name for name, answer in outside.items() if answer in REFUSALS]
    if blind:
        raise Broken(f"refused without the unit too, so this proves nothing: {', '.join(blind)}")
    return (
        f"{len(inside)} of {len(inside)} attempts refused (0 without the unit); a set clock heard of; {_camera(camera)}"
    )


def under_the_unit(box: Appliance) -> dict[str, str]:
    """Start the agent anew and return what a probe met that ran where it runs: attempt to error, "" for success."""
    box.drop_in("probe", f"[Service]\nExecStartPre={AGENT}/bin/python3 {PROBE} {REPORT}\n")
    box.run("systemctl", "restart", UNIT)
    box.drop_in("probe", None)
    return _report(box, REPORT)


def _without(box: Appliance) -> dict[str, str]:
    box.run("systemd-run", "--wait", "--quiet", f"{AGENT}/bin/python3", PROBE, CONTROL)
    return _report(box, CONTROL)


def _camera(answer: str) -> str:
    """Judge the answer of a camera's node that has no driver: ENXIO once the policy and the group let one in."""
    known = "video4linux" in Path("/proc/devices").read_text(encoding="ascii")
    if known and answer in REFUSALS:
        raise Broken(f"a camera is refused: {answer}")
    return "a camera let in" if known else "this kernel has no video4linux, so no camera to be let in"


def _report(box: Appliance, path: str) -> dict[str, str]:
    answers: dict[str, str] = json.loads(box.machine.path(path).read_text(encoding="ascii"))
    return answers
