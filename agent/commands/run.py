"""`acusight-agent run`: the daemon, or one bounded run."""

from __future__ import annotations

import resource
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.errors import Interrupted, SetAside

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.clock import Clock
    from agent.config.configuration import Configuration
    from agent.config.environment import Environment
    from agent.pipeline import Pipeline
    from agent.service import Notifier, Signals

FED_EVERY_S = 1.0


@click.command("run", epilog="\b\nExamples:\n  acusight-agent run\n  acusight-agent -c config.toml run --once")
@click.option("-c", "--config", "given", type=click.Path(path_type=Path, dir_okay=False), help="Configuration file.")
@click.option("--once", is_flag=True, help="Take what is there now, send it, and end.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent; send and store nothing.")
@click.pass_obj
def command(inherited: Path | None, given: Path | None, *, once: bool, dry_run: bool) -> None:
    """Watch the configured directories and cameras, and upload what they give.

    Ends with 0 when done, 4 when pictures were quarantined, 5 when the server or the link was at fault (what waits
    is kept), 6 when the key is refused, 78 when the configuration is invalid.
    """
    path = given or inherited
    if dry_run:
        from agent.commands.preview import preview

        preview(path)
        return
    quarantined = run(path, once=once)
    if quarantined:
        counted = "1 picture was" if quarantined == 1 else f"{quarantined} pictures were"
        raise SetAside(f"{counted} refused and set aside", remedy="The log says why; they stay in the spool.")


def run(path: Path | None, *, once: bool, intake: bool = True) -> int:
    """Run the daemon in this process; return how many pictures it set aside. Without `intake` it only sends.

    Raises `Interrupted` where a signal ends a `once` run before it is done.
    """
    from agent.config.environment import read_environment
    from agent.config.reading import Reading, read

    leave_no_core()
    environment = read_environment()
    # First of all: while the child checks the configuration, the rest is loaded.
    with Reading(path, environment) as reading:
        from agent import collector
        from agent.app.house import House
        from agent.clock import SystemClock
        from agent.daemon import Daemon
        from agent.service import Notifier, Signals

        configuration = reading.result()
    clock, notifier = SystemClock(), Notifier(environment.notify_socket)

    def reloaded() -> Configuration:
        return _settled(read(path, environment, _patience(signals, notifier)), environment, clock)

    def build(configuration: Configuration) -> Pipeline:
        return House(configuration, environment, clock=clock, once=once, intake=intake).pipeline()

    with ExitStack() as stack:
        signals = stack.enter_context(Signals())
        daemon = Daemon(
            _settled(configuration, environment, clock),
            environment,
            build=build,
            reload=reloaded,
            signals=signals,
            notifier=notifier,
            clock=clock,
            once=once,
            watch=_progress(stack) if once and sys.stderr.isatty() else lambda _: None,
        )
        collector.resume()
        quarantined = daemon.run()
    if once and daemon.interrupted:
        raise Interrupted("interrupted", remedy="What was taken waits in the spool.")
    return quarantined


def _settled(configuration: Configuration, environment: Environment, clock: Clock) -> Configuration:
    """Return a configuration that can be worked with; from now on it says what is logged, and how."""
    from agent import log
    from agent.app.house import House

    House(configuration, environment, clock=clock).check()
    secrets = (key.get_secret_value(),) if (key := configuration.device_key) else ()
    shown = configuration.settings.log
    log.configure(shown.level, shown.format, environment=environment, secrets=secrets)
    return configuration


def _patience(signals: Signals, notifier: Notifier) -> Callable[[int, float], bool]:
    """Return what waits for a reload to be checked: it feeds the service watchdog, and a stop ends it."""

    def wait(descriptor: int, timeout_s: float) -> bool:
        notifier.watchdog()
        return signals.wait_for(descriptor, min(timeout_s, FED_EVERY_S))

    return wait


def leave_no_core() -> None:
    """Have neither this process nor its children leave a core file: it would hold the device key.

    The unit says so too. The process stays dumpable otherwise, since that also decides who owns its files in /proc.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _progress(stack: ExitStack) -> Callable[[Pipeline], None]:
    """Draw a bar of what was delivered of what this run has before it."""
    bar = stack.enter_context(click.progressbar(length=1, label="Uploading", file=sys.stderr, show_pos=True))
    before: list[int] = []

    def draw(pipeline: Pipeline) -> None:
        accounts = pipeline.spool.accounts().values()
        delivered = sum(account.delivered for account in accounts)
        before.append(delivered) if not before else None
        bar.length = max(1, delivered - before[0] + sum(account.waiting for account in accounts))
        bar.update(delivered - before[0] - bar.pos)

    return draw
