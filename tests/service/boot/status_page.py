"""The status page under its own unit: started by a visitor, small, shut in, and gone when nobody looks."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from appliance import PATIENCE_S, PORT, png
from debian_root import AGENT
from machine import expect, until

if TYPE_CHECKING:
    from appliance import Appliance

SERVICE, SOCKET = "acusight-agent-page.service", "acusight-agent-page.socket"
ADDRESS = "http://127.0.0.1:8585"
LARGEST = 60_000_000
FETCH = """
import sys, time, urllib.request
url, method, body = sys.argv[1:]
headers = {"Origin": url.rsplit("/", 1)[0]} if method == "POST" else {}
began = time.monotonic()
asked = urllib.request.Request(url, body.encode() or None, headers, method=method)
with urllib.request.urlopen(asked, timeout=20) as answer:
    print(f"{time.monotonic() - began:.2f} {answer.status}")
    print(answer.read().decode())
"""


def shows_itself_on_demand(box: Appliance) -> str:
    """Enable the socket: the page starts with its first visitor, is small, retries what was refused, and ends idle."""
    box.steps(unit=SOCKET)
    words = box.run("sh", "-c", f"systemd-analyze verify {SERVICE} {SOCKET} 2>&1")
    expect(words == "", f"systemd-analyze verify says: {words}")
    exposure = box.run("systemd-analyze", "security", "--no-pager", SERVICE).split(": ")[-1].split()[0]
    expect(float(exposure) <= 0.6, f"the exposure is {exposure}")
    # A program that waits for nobody would never be seen to end: its five minutes are made two seconds.
    box.drop_in("idle", "[Service]\nEnvironment=ACUSIGHT_AGENT_PAGE__IDLE_S=2\n", unit=SERVICE)
    box.run("systemctl", "enable", "--now", SOCKET)
    expect(state(box) == "inactive", f"the page runs although nobody looked: {state(box)}")
    took, page = fetch(box, "/")
    expect("<h1" in page and "HEALTHY" in page.upper(), f"this is no page: {page[:500]}")
    memory = resident(box)
    expect(memory <= LARGEST, f"the page takes {memory / 1e6:.0f} MB")
    retried = retries(box)
    idle = until(lambda: state(box) == "inactive", PATIENCE_S, lambda: state(box))
    expect(box.show("Result", SERVICE) == "success", f"systemd says: {box.show('Result', SERVICE)}")
    again, _ = fetch(box, "/metrics")
    box.run("systemctl", "disable", "--now", SOCKET, SERVICE)
    box.drop_in("idle", None, unit=SERVICE)
    return (
        f"exposure {exposure}, first answer after {took} s, {memory / 1e6:.0f} MB resident, {retried}, "
        f"ended by itself {idle:.1f} s after (idle_s = 2), answers again after {again} s"
    )


def retries(box: Appliance) -> str:
    """Have the platform refuse a picture, and press its button."""
    box.platform("start")
    box.place("accepted.png", png(699))
    box.until_all_arrived()
    rule = {"route": "upload", "count": 1, "status": 422, "body": '{"success": false, "error": "no"}'}
    fetch(box, "/_sandbox/faults", "PUT", json.dumps({"fault": [rule]}), site=f"http://127.0.0.1:{PORT}")
    box.place("retried.png", png(700))
    page = ""

    def refused() -> bool:
        nonlocal page
        page = fetch(box, "/")[1]
        return "retried" in page or 'name="id"' in page

    until(refused, PATIENCE_S, box.journal_tail)
    found = re.search(r'name="id" value="(\d+)"', page)
    expect(found is not None, f"there is no button in {page[-3000:]}")
    fetch(box, "/retry", "POST", f"id={found[1] if found else ''}")
    took = box.until_all_arrived()
    return f"a refused picture arrived {took:.1f} s after Retry"


def fetch(box: Appliance, path: str, method: str = "GET", body: str = "", site: str = ADDRESS) -> tuple[str, str]:
    """Ask from inside the machine; return how many seconds that took and what was answered."""
    said = box.run(f"{AGENT}/bin/python3", "-c", FETCH, f"{site}{path}", method, body)
    head, _, answer = said.partition("\n")
    return head.split()[0], answer


def state(box: Appliance) -> str:
    """Return whether the page runs."""
    return box.show("ActiveState", SERVICE)


def resident(box: Appliance) -> int:
    """Return how much memory the page's process has, in bytes."""
    status = box.run("cat", f"/proc/{box.show('MainPID', SERVICE)}/status")
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    expect(found is not None, status)
    return int(found[1]) * 1024 if found else 0
