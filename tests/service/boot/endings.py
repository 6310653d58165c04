"""How the service ends and comes back: killed, hanging, stopped, and misconfigured."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from appliance import CONFIG, CONFIGURATION, PATIENCE_S, UNIT, png
from machine import expect

if TYPE_CHECKING:
    from appliance import Appliance

GRACE_S = 8.0


def outlives_a_kill(box: Appliance) -> str:
    """Kill it with -9: systemd starts it again, and what waited in the spool is delivered once."""
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
    """Stop its process: the watchdog, fed until then, has it killed, and it goes on with its spool."""
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


def stops_within_its_grace(box: Appliance) -> str:
    """Stop while uploads hang: it takes grace_s and a second at most, and nothing is lost."""
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
    box.until_all_arrived(answers_lost=True)
    return f"{took:.1f} s with uploads hanging (grace 8); 3 of 3 arrived after the next start"


def stays_down_with_a_wrong_configuration(box: Appliance) -> str:
    """Start with a configuration that cannot be used: it ends with 78, and systemd does not try again and again."""
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
