"""The commands `vaultr gateway`: serve items to a cluster or a CI runner."""

from datetime import timedelta
from pathlib import Path

import click

from vaultr.client.background import memory_protection
from vaultr.client.cli import machine_mode, output
from vaultr.client.cli.offline_options import Duration
from vaultr.client.cli.options import GlobalOptions, Group, command, pass_options
from vaultr.client.cli.token_output import out_option, token_place
from vaultr.client.errors import UsageError

_callers_option = click.option(
    "--callers",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File with the callers: hashed tokens and what each may read",
)


@click.group(
    "gateway",
    cls=Group,
    invoke_without_command=True,
    examples=(
        "vaultr gateway token build --callers callers.json --allow 'vaultr://prod/*' --out token",
        "vaultr gateway --listen 127.0.0.1:8443 --callers callers.json",
    ),
)
@click.option(
    "--listen",
    default="127.0.0.1:8443",
    metavar="HOST:PORT",
    help="Where to listen (default: 127.0.0.1:8443)",
)
@_callers_option
@click.option(
    "--tls-cert",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Certificate in PEM; needed except on loopback",
)
@click.option(
    "--tls-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Private key of the certificate in PEM",
)
@click.option(
    "--max-age",
    type=Duration(),
    default="10m",
    metavar="AGE",
    help="Serve data up to this age while offline (default: 10m)",
)
@click.option(
    "--every",
    type=click.FloatRange(min=1, max=3600),
    default=15.0,
    metavar="SECONDS",
    help="How often to ask the server for changes (default: 15)",
)
@click.pass_context
@pass_options
def gateway(
    options: GlobalOptions,
    context: click.Context,
    listen: str,
    callers: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    max_age: timedelta,
    every: float,
) -> None:
    """Serve items to a cluster or a CI runner.

    Set VAULTR_TOKEN or VAULTR_TOKEN_FILE to the token of a machine. The gateway keeps sealed copies
    and opens an item only for the response to a caller that may read it.

    Requests: GET /v1/secret?key=VAULT/ITEM&property=FIELD, /v1/VAULT/ITEM/FIELD, /healthz, /readyz,
    /metrics
    """
    if context.invoked_subcommand is not None:
        return
    token = machine_mode.token()
    if token is None:
        raise UsageError(
            "The gateway needs the token of a machine. Set VAULTR_TOKEN or VAULTR_TOKEN_FILE."
        )
    if callers is None:
        raise UsageError("Name the file of callers: --callers FILE. See vaultr gateway token.")
    # Load the code that opens items and the web server, which --help does not need.
    from vaultr.client.gateway.app import Gateway  # noqa: PLC0415 - late, see above
    from vaultr.client.gateway.callers import Callers  # noqa: PLC0415 - late, see above
    from vaultr.client.gateway.server import Listen, serve  # noqa: PLC0415 - late, see above
    from vaultr.client.gateway.source import Source  # noqa: PLC0415 - late, see above
    from vaultr.client.sdk.machine_session import MachineSession  # noqa: PLC0415 - late, see above

    memory_protection.guard(for_good=True)
    place, known = Listen.parse(listen, tls_cert, tls_key), Callers(callers)
    session = MachineSession(options.server, token, ca_file=options.trusted_ca_file)
    source = Source(session, max_age_seconds=max_age.total_seconds(), notify=_print_note)
    source.sync(list_again=True)
    scheme = "http" if tls_cert is None else "https"
    serving = f"Serving on {scheme}://{place.host}:{place.port}. Press Ctrl-C to stop."
    try:
        serve(source, Gateway(source, known), place, every_seconds=every,
              started=lambda: output.print_note(serving))  # fmt: skip
    finally:
        session.close()


def _print_note(text: str) -> None:
    output.print_note(f"vaultr: {output.printable(text)}")


@command(
    "token",
    "vaultr gateway token build --callers callers.json --allow 'vaultr://prod/*' --out token",
    no_args_is_help=True,
)
@click.argument("name")
@click.option(
    "--allow",
    multiple=True,
    metavar="REFERENCE",
    help="Reference that the caller may read; * matches any part (repeatable)",
)
@_callers_option
@out_option
@pass_options
def caller_token(
    options: GlobalOptions,
    name: str,
    allow: tuple[str, ...],
    callers: Path | None,
    out_file: Path | None,
) -> None:
    """Create a token for a caller of the gateway, and show it once.

    The file of callers stores only the hash of the token. If it already has a caller of this name,
    the new token replaces the old one. To remove a caller, remove its entry from the file.
    """
    if callers is None or not allow:
        raise UsageError("Use --callers FILE, and --allow with what the caller may read.")
    from vaultr.client.gateway.callers import add_caller  # noqa: PLC0415 - loads the client's folder

    with token_place(out_file) as place:
        place.token = add_caller(callers, name, allow)
    if options.json:
        output.print_json({"name": name, "allow": list(allow)} | place.to_json())
        return
    output.print_line(f"Caller {name} may read: {', '.join(map(output.printable, allow))}")
    place.show("", "Store it now as a secret of the caller: it is shown only once.")


gateway.add_command(caller_token)
