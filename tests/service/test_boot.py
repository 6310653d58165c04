from __future__ import annotations

from boot_rig import boots, keeps_its_promises

PATIENCE_S = 420


@boots(patience_s=PATIENCE_S)
def test_the_service_keeps_its_promises_on_a_booted_debian() -> None:
    """The real unit under a real systemd is ready, restarted, reloaded, stopped and walled in as documented."""
    keeps_its_promises("boot.py", patience_s=PATIENCE_S)
