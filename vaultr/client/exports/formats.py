"""The formats for environment sets. Values that a format cannot express are rejected."""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from vaultr.client.errors import VaultrError
from vaultr.client.exports import shell_quoting

Variables = Mapping[str, str]

# Source: bufio.MaxScanTokenSize, the longest line of an --env-file for docker and podman.
_DOCKER_LINE_BYTES: Final = 64 * 1024
# Source: Kubernetes, MaxSecretSize, and the rule for the names of objects and of keys.
_SECRET_BYTES: Final = 1024 * 1024
_KEY_CHARACTERS: Final = 253
_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SECRET_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NAMESPACE: Final = re.compile(_LABEL)
_NAMESPACE_CHARACTERS: Final = 63


class NotExpressible(VaultrError):
    """The format cannot express a value. The message names it and the reason."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class KubernetesName:
    """The name of a Kubernetes Secret.

    :ivar namespace: None to let `kubectl apply` choose.
    """

    name: str | None = None
    namespace: str | None = None


def dotenv(variables: Variables) -> str:
    """Write ``NAME=value`` lines that a shell reads unchanged when it sources them.

    ``vaultr import`` reads them unchanged too. Other dotenv parsers disagree about backslashes and
    ``$``.
    """
    return "".join(f"{name}={shell_quoting.dotenv(value)}\n" for name, value in variables.items())


def shell(variables: Variables) -> str:
    """Write ``export`` lines for ``eval`` in sh, bash, dash, zsh and ksh."""
    return "".join(
        f"export {name}={shell_quoting.shell(value)}\n" for name, value in variables.items()
    )


def as_json(variables: Variables) -> str:
    """Write one JSON object of names and strings."""
    return json.dumps(dict(variables), ensure_ascii=False, indent=2) + "\n"


def yaml(variables: Variables) -> str:
    """Write one YAML mapping of names and strings, with the same meaning in YAML 1.1 and 1.2."""
    lines = (
        f"{shell_quoting.yaml_key(n)}: {shell_quoting.yaml(v)}\n" for n, v in variables.items()
    )
    return "".join(lines) or "{}\n"


def docker(variables: Variables) -> str:
    """Write lines for ``docker run --env-file``: unquoted, one for each value.

    :raises NotExpressible: a value has more than one line, or is too long for one.
    """
    faults = []
    for name, value in variables.items():
        if "\n" in value or value.endswith("\r"):
            faults.append(f"{name} has more than one line")
        elif len(f"{name}={value}".encode()) >= _DOCKER_LINE_BYTES:
            faults.append(f"{name} is over {_DOCKER_LINE_BYTES // 1024} KiB")
    _reject("A docker env file", faults)
    return "".join(f"{name}={value}\n" for name, value in variables.items())


def kubernetes(variables: Variables, place: KubernetesName) -> str:
    """Write a Secret in YAML, with values in base64, for ``kubectl apply -f -``.

    :raises NotExpressible: Kubernetes rejects a name, or the values exceed the size of a Secret.
    """
    name = place.name or ""
    faults = [
        f"{n[:40]}… is longer than a name may be" for n in variables if len(n) > _KEY_CHARACTERS
    ]
    if sum(len(value.encode()) for value in variables.values()) > _SECRET_BYTES:
        faults.append(f"it is over {_SECRET_BYTES // 1024} KiB")
    if len(name) > _KEY_CHARACTERS or not _SECRET_NAME.fullmatch(name):
        faults.append("its name must be of a-z, 0-9, - and . (use --name)")
    space = place.namespace
    if space is not None and (
        len(space) > _NAMESPACE_CHARACTERS or not _NAMESPACE.fullmatch(space)
    ):
        faults.append("a namespace must be of a-z, 0-9 and -")
    _reject("A Kubernetes Secret", faults)
    lines = ["apiVersion: v1", "kind: Secret", "metadata:", f"  name: {shell_quoting.yaml(name)}"]
    lines += [] if space is None else [f"  namespace: {shell_quoting.yaml(space)}"]
    lines += ["type: Opaque", "data:" if variables else "data: {}"]
    for each, value in variables.items():
        text = base64.b64encode(value.encode()).decode()
        lines.append(f"  {shell_quoting.yaml_key(each)}: {text or shell_quoting.yaml('')}")
    return "\n".join(lines) + "\n"


def _reject(what: str, faults: list[str]) -> None:
    if faults:
        raise NotExpressible(f"{what} cannot express this: {'; '.join(faults)}.")


_WRITERS: Final[Mapping[str, Callable[[Variables], str]]] = MappingProxyType(
    {"dotenv": dotenv, "shell": shell, "json": as_json, "yaml": yaml, "docker": docker}
)
FORMATS: Final = (*_WRITERS, "kubernetes")


def written(form: str, variables: Variables, place: KubernetesName) -> str:
    """Write ``variables`` in one of ``FORMATS``.

    :raises NotExpressible: the format cannot hold them.
    """
    if form == "kubernetes":
        return kubernetes(variables, place)
    return _WRITERS[form](variables)
