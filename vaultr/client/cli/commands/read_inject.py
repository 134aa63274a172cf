"""The commands `vaultr read` and `vaultr inject`, which resolve references."""

import signal
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.offline_options import copy_options, uses_copy
from vaultr.client.cli.options import GlobalOptions, command, every_option, pass_options
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.errors import UsageError
from vaultr.client.items.references import Reference, Resolver
from vaultr.client.items.templates import filled, holds_references

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Vaultr

_TEMPLATE_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)

out_file_option = click.option(
    "-o",
    "--out-file",
    "--out",
    "out_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE, readable only by you (0600)",
)
force_option = click.option("--force", is_flag=True, help="Overwrite an existing file")


@command(
    "read",
    "vaultr read vaultr://Personal/Mail/password",
    "vaultr read 'vaultr://Personal/Mail/totp?as=code'",
    "vaultr read vaultr://Work/deploy/private_key -o key.pem",
    no_args_is_help=True,
)
@click.argument("reference")
@click.option("-n", "--no-newline", is_flag=True, help="Do not print a newline after the value")
@out_file_option
@force_option
@copy_options
@pass_options
def read(
    options: GlobalOptions,
    reference: str,
    no_newline: bool,
    out_file: Path | None,
    force: bool,
    offline: bool,
    max_age: timedelta | None,
) -> None:
    """Print the value of a reference.

    REFERENCE is vaultr://VAULT/ITEM/FIELD, with the names that `vaultr show --vault VAULT ITEM
    --field FIELD` accepts. Write %2F for a / in a name, %3F for a ? and %25 for a %. Append
    ?as=code for the current one-time code.
    """
    parsed = Reference.parse(reference)
    with unlocked_sdk(options) as vaultr:
        value = open_resolver(vaultr, offline=offline, max_age=max_age).value(parsed)
    if out_file is not None:
        text = value if no_newline or value.endswith("\n") else f"{value}\n"
        save_output(options, out_file, text, force=force)
    elif options.json:
        output.print_json(value)
    else:
        output.print_value(value, newline=not no_newline)


@command(
    "inject",
    "vaultr inject < config.tmpl > config.yaml",
    "vaultr inject config.tmpl -o config.yaml",
    "echo 'password: {{ vaultr://Personal/Mail/password }}' | vaultr inject",
    "vaultr inject --watch app.tmpl --out app.env --exec 'systemctl reload app'",
)
@click.option(
    "-i",
    "--in-file",
    type=_TEMPLATE_FILE,
    metavar="FILE",
    help="Template file (default: TEMPLATE, or standard input)",
)
@out_file_option
@force_option
@click.option("--watch", is_flag=True, help="Keep the file of --out up to date until stopped")
@every_option
@click.option(
    "--exec",
    "shell_command",
    metavar="COMMAND",
    help="Shell command to run each time --watch has written the file",
)
@copy_options
@click.argument("template", type=_TEMPLATE_FILE, required=False)
@pass_options
def inject(
    options: GlobalOptions,
    in_file: Path | None,
    template: Path | None,
    out_file: Path | None,
    force: bool,
    watch: bool,
    every: float,
    shell_command: str | None,
    offline: bool,
    max_age: timedelta | None,
) -> None:
    """Replace the references in a template with their values.

    Write a reference as {{ vaultr://VAULT/ITEM/FIELD }}, or without braces if it has no space.
    Values are inserted unchanged, so quote them as the format of the file requires. If one value is
    missing, nothing is written.

    With --watch, the file of --out is overwritten when a value changes, and stays unchanged while
    the server is unreachable. COMMAND inherits no token and no secret.
    """
    if in_file is not None and template is not None:
        raise UsageError("Name the template once: as TEMPLATE or with --in-file.")
    source = in_file or template
    if watch:
        _check_watch(options, source, out_file, uses_copy=offline or max_age is not None)
    elif shell_command is not None:
        raise UsageError("--exec needs --watch.")
    text = _read_template(options, source)
    if watch and out_file is not None:
        _watch(options, text, out_file, shell_command, every_seconds=every)
        return
    if holds_references(text):
        with unlocked_sdk(options) as vaultr:
            text = filled(text, open_resolver(vaultr, offline=offline, max_age=max_age).value)
    if out_file is not None:
        save_output(options, out_file, text, force=force)
    elif options.json:
        output.print_json(text)
    else:
        output.print_value(text, newline=False)


def _read_template(options: GlobalOptions, source: Path | None) -> str:
    data = prompts.read_input(options) if source is None else source.read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError("The template is not UTF-8.") from None


def _check_watch(
    options: GlobalOptions, source: Path | None, out_file: Path | None, *, uses_copy: bool
) -> None:
    if out_file is None:
        raise UsageError("--watch writes to a file: name it with --out FILE.")
    if options.json:
        raise UsageError("`vaultr inject --watch` prints no result, so there is no --json.")
    if uses_copy:
        raise UsageError("--watch contacts the server, so --offline and --max-age do not apply.")
    if source is not None and out_file.exists() and out_file.samefile(source):
        raise UsageError("--out names the template itself, which --watch would overwrite.")


def _watch(
    options: GlobalOptions,
    template: str,
    out_file: Path,
    shell_command: str | None,
    *,
    every_seconds: float,
) -> None:
    if not holds_references(template):
        raise UsageError("The template has no reference, so there is nothing to watch.")
    # Load the code that opens items, which --help does not need.
    from vaultr.client.run.template_watch import TemplateWatch, WatchedFile  # noqa: PLC0415 - late, see above

    file = WatchedFile(template, out_file, shell_command)
    with unlocked_sdk(options) as vaultr:
        watch = TemplateWatch(vaultr, file, every_seconds=every_seconds, notify=_print_note)
        signal.signal(signal.SIGTERM, watch.stop)
        watch.run()


def _print_note(text: str) -> None:
    output.print_note(f"vaultr: {output.printable(text)}")


def open_resolver(vaultr: "Vaultr", *, offline: bool, max_age: timedelta | None) -> Resolver:
    """Return a resolver of references that reads from the server or the copy, as options demand."""
    return vaultr.resolver(offline=uses_copy(vaultr, offline=offline, max_age=max_age))


def save_output(options: GlobalOptions, path: Path, text: str, *, force: bool) -> None:
    """Write a file that only its owner can read, and print its name."""
    # This import also loads the client's folder and the ciphers.
    from vaultr.client.storage.secret_files import save  # noqa: PLC0415 - heavy, see above

    save(path, text.encode(errors="backslashreplace"), force=force)
    if options.json:
        output.print_json({"file": str(path)})
    else:
        output.print_note(f"Saved, readable only by you: {output.printable(str(path))}")
