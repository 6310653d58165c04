from __future__ import annotations

from boot_rig import boots, keeps_its_promises

PATIENCE_S = 600


@boots("ansible-playbook", patience_s=PATIENCE_S)
def test_the_playbook_keeps_its_promises_on_a_booted_debian() -> None:
    """Played on a bare Debian it sets the agent up, changes nothing the second time, and takes changes and upgrades."""
    keeps_its_promises("playbook.py", patience_s=PATIENCE_S)
