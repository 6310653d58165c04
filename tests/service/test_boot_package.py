from __future__ import annotations

from boot_rig import boots, keeps_its_promises

PATIENCE_S = 900


@boots("dpkg-deb", patience_s=PATIENCE_S)
def test_the_package_keeps_its_promises_on_a_booted_debian() -> None:
    """The package installs, starts, upgrades and purges on a real Debian as documented, and so does install.sh."""
    keeps_its_promises("package.py", patience_s=PATIENCE_S)
