"""The agent as a contestant: whole, once or as a daemon, and its HTTP client alone."""

from __future__ import annotations

import sys

from peer import HERE, KEY, Job, Peer

SETTLE_S = 0.1


class AgentClient(Peer):
    """The agent's HTTP client, without queue and folder."""

    name = "the agent's client alone"

    def command(self, job: Job) -> list[str]:
        """Return the script's command."""
        ca = [str(job.ca)] if job.ca else []
        return [sys.executable, str(HERE / "agent_client.py"), job.url, str(job.folder), str(job.manifest), *ca]


class Agent(Peer):
    """The agent on a folder, everything durable, once."""

    name = "the agent"
    parallel = True

    def command(self, job: Job) -> list[str]:
        """Write the configuration."""
        return [*self.configured(job, settle_s=0.0, level="warning"), "--once"]

    def more(self) -> str:
        """Return more lines of the spool's table."""
        return ""

    def configured(self, job: Job, *, settle_s: float, level: str) -> list[str]:
        """Write a configuration, and return the command that runs with it."""
        config = job.work / "config.toml"
        ca = f'ca_file = "{job.ca}"\n' if job.ca else ""
        config.write_text(
            f'[server]\nurl = "{job.url}"\ndevice_key = "{KEY}"\n{ca}[[watch]]\npath = "{job.folder}"\n'
            f"settle_s = {settle_s}\nsidecar_wait_s = 0.0\n"
            f'[spool]\ndir = "{job.work / "spool"}"\nmin_free_bytes = 0\n{self.more()}[checkin]\nenabled = false\n'
            f'[upload]\nworkers = {job.workers}\nstart_jitter_s = 0\n[log]\nlevel = "{level}"\nformat = "json"\n'
        )
        config.chmod(0o600)
        return [sys.executable, "-m", "agent", "-c", str(config), "run"]


class AgentDaemon(Agent):
    """The agent as the daemon that it is."""

    name = "the agent, as a daemon"
    watches = True
    ready = '"started"'

    def command(self, job: Job) -> list[str]:
        """Write the configuration."""
        return self.configured(job, settle_s=SETTLE_S, level="info")
