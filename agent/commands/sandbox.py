"""`acusight-agent sandbox`: a small Acusight platform on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from agent.errors import UsageError

_EPILOG = """\b
Examples:
  acusight-agent sandbox --dir ./arrived
  acusight-agent sandbox --dir ./arrived --port 0 --faults outage.toml

\b
A fault script is TOML (or JSON): rules in order, the first that covers a request holds.
  [[fault]]
  route = "upload"     # upload (default), self, checkin, heartbeat, provision,
                       # model, other, any
  from = 3             # the first request it covers, numbered per route
  count = 2            # how many; default: all that follow
  status = 503         # answer this; code, message and body say what with
  retry_after = 5      # seconds, or an HTTP date
  delay_s = 0.5        # wait before answering
  drop = "before"      # reset the connection "before" or "after" storing
  portal = true        # a captive portal's page
  redirect = "http://x/"
  duplicate = true     # refuse as a duplicate
  device_status = "pending"  # or rejected; stands above the rules
  [[actions]]          # what check-ins are told to do, as it is
  id = 1
"""


@click.command("sandbox", epilog=_EPILOG)
@click.option("--dir", "folder", required=True, type=click.Path(path_type=Path), help="Where uploads are kept.")
@click.option("--port", default=8600, show_default=True, type=click.IntRange(0, 65535), help="0 picks a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--device-key", help="The one key to accept, made up for the sandbox; else any adk_<hex>.")
@click.option("--device-key-file", type=click.Path(path_type=Path), help="A file with that key.")
@click.option("--faults", type=click.Path(path_type=Path), help="A script of what goes wrong, and when.")
@click.option(
    "--duplicates",
    default="reject",
    show_default=True,
    type=click.Choice(["accept", "reject"]),
    help="What happens to a picture that was uploaded before.",
)
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Serve HTTPS with this certificate (PEM).")
@click.option(
    "--tls-key", type=click.Path(path_type=Path), help="The certificate's key, unless it is in the same file."
)
@click.option("--verbose", is_flag=True, help="One line on standard error for each upload.")
def command(
    *,
    folder: Path,
    port: int,
    host: str,
    device_key: str | None,
    device_key_file: Path | None,
    faults: Path | None,
    duplicates: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    verbose: bool,
) -> None:
    """Run a small Acusight platform, to try the agent on.

    It checks uploads as the platform does, keeps them in a folder, shows them as a page, and misbehaves on request.
    """
    try:
        from agent.sandbox import serving
        from agent.sandbox.faults import Script, read
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the sandbox needs {error.name}", remedy="Run: pip install 'acusight-agent[sandbox]'"
        ) from error
    if tls_key and not tls_cert:
        raise UsageError("--tls-key without --tls-cert")
    options = serving.Options(
        folder=folder,
        host=host,
        port=port,
        device_key=_key(device_key, device_key_file),
        script=read(faults) if faults else Script(),
        rejects_duplicates=duplicates == "reject",
        tls_cert=tls_cert,
        tls_key=tls_key,
    )
    serving.serve(
        options,
        ready=lambda url: click.echo(f"Sandbox ready at {url} (uploads in {folder})"),
        report=lambda upload: _say(upload.filename, upload.bytes) if verbose else None,
    )


def _key(given: str | None, file: Path | None) -> str | None:
    if given and file:
        raise UsageError("--device-key and --device-key-file exclude each other")
    if file:
        try:
            given = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the key file {file} cannot be read") from error
    if given is not None:
        from agent.sandbox.contract import is_key

        if not is_key(given):
            raise UsageError("the device key is not of the form adk_<hex>")
    return given


def _say(filename: str, size: int) -> None:
    click.echo(f"stored {filename!a} ({size} bytes)", err=True)
