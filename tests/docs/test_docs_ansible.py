from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

PLAYBOOK = Path(__file__).resolve().parents[2] / "docs/ansible/playbook.yml"


def tasks() -> list[dict[str, Any]]:
    """Return the tasks of the playbook's one play."""
    (play,) = yaml.safe_load(PLAYBOOK.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = play["tasks"]
    return found


def test_whatever_holds_the_key_is_silent() -> None:
    """A task that names the device key logs nothing, and what it writes is its owner's alone."""
    holders = [task for task in tasks() if "acusight_device_key" in str(task)]
    assert holders
    assert all(task["no_log"] is True and task["ansible.builtin.copy"]["mode"] == "0600" for task in holders)


def test_the_configuration_is_checked_before_it_counts() -> None:
    """A template is there, and what it gives is validated by the agent itself."""
    (template,) = [task["ansible.builtin.template"] for task in tasks() if "ansible.builtin.template" in task]
    assert (PLAYBOOK.parent / template["src"]).is_file()
    assert "config check -c %s" in template["validate"]


def test_it_needs_nothing_beside_ansible_core() -> None:
    """Every module is one of Ansible's own: whoever has `ansible-core` needs no collection."""
    modules = [key for task in tasks() for key in task if "." in key]
    assert len(modules) == len(tasks())
    assert all(module.startswith("ansible.builtin.") for module in modules)


@pytest.mark.skipif(shutil.which("ansible-playbook") is None, reason="ansible-playbook is not installed")
def test_ansible_understands_it() -> None:
    """Ansible's own check of the syntax finds nothing."""
    done = subprocess.run(
        ["ansible-playbook", "--syntax-check", "-i", "localhost,", str(PLAYBOOK)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
