"""Load the environment sets in a `.vaultr` file, in shells that enter its folder."""

import hashlib
import hmac
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from vaultr.client.errors import UsageError
from vaultr.client.storage.private_folder import Folder

FILE_NAME: Final = ".vaultr"
SHELLS: Final = ("bash", "zsh", "fish")
_FILE_BYTES: Final = 64 * 1024
_ALLOWED: Final = "allowed"
_SET: Final = re.compile(r"vaultr://[^/\s]+/[^/\s]+")

# The shell itself looks for the file, so that a prompt elsewhere starts no process.
_POSIX: Final = """\
_vaultr_hook() {
  local folder=$PWD found=
  while [ -n "$folder" ]; do
    if [ -f "$folder/.vaultr" ]; then found=$folder/.vaultr; break; fi
    folder=${folder%/*}
  done
  if [ "$found" != "${_VAULTR_FILE-}" ]; then
    if [ -n "${_VAULTR_LEAVE-}" ]; then eval "$_VAULTR_LEAVE"; fi
    _VAULTR_LEAVE=
    _VAULTR_FILE=$found
    if [ -n "$found" ]; then
      eval "$(command vaultr hook @SHELL@ --enter "$found")"
    fi
  fi
}
"""
_FISH: Final = """\
function _vaultr_hook --on-variable PWD
  set -l folder $PWD
  set -l found ""
  while test -n "$folder"
    if test -f "$folder/.vaultr"
      set found "$folder/.vaultr"
      break
    end
    set folder (string replace -r '/[^/]*$' '' -- $folder)
  end
  if test "$found" != "$_VAULTR_FILE"
    if test -n "$_VAULTR_LEAVE"
      eval $_VAULTR_LEAVE
    end
    set -g _VAULTR_LEAVE ""
    set -g _VAULTR_FILE $found
    if test -n "$found"
      command vaultr hook fish --enter "$found" | source
    end
  end
end
_vaultr_hook
"""
_INSTALL: Final[Mapping[str, str]] = {
    "bash": 'case "${PROMPT_COMMAND-}" in *_vaultr_hook*) ;;\n'
    '*) PROMPT_COMMAND="_vaultr_hook${PROMPT_COMMAND:+;$PROMPT_COMMAND}" ;;\nesac\n',
    "zsh": "autoload -Uz add-zsh-hook\nadd-zsh-hook chpwd _vaultr_hook\n_vaultr_hook\n",
}


def script(shell: str) -> str:
    """Return the code for a shell's start-up file."""
    if shell == "fish":
        return _FISH
    return _POSIX.replace("@SHELL@", shell) + _INSTALL[shell]


def sets_in(content: bytes) -> list[str]:
    """Return the references in a `.vaultr` file.

    :raises UsageError: a line is not a reference to an environment set; the message has its number.
    """
    if len(content) > _FILE_BYTES:
        raise UsageError(f"The file is larger than {_FILE_BYTES // 1024} KiB.")
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError:
        raise UsageError("The file is not UTF-8.") from None
    found = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text and not text.startswith("#"):
            if not _SET.fullmatch(text):
                raise UsageError(
                    f"Line {number} is not a reference to an environment set: vaultr://VAULT/SET."
                )
            found.append(text)
    return found


class AllowedFiles:
    """The files that the user has allowed, each with its path and content."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def allow(self, file: Path, content: bytes) -> None:
        """Allow a file with its current content."""
        self._folder.write_signed(self._name(file), _digest(file, content))

    def deny(self, file: Path) -> bool:
        """Revoke the permission for a file; return whether there was one."""
        was = self._folder.read(self._name(file)) is not None
        self._folder.remove(self._name(file))
        return was

    def is_allowed(self, file: Path, content: bytes) -> bool:
        """Return whether the file was allowed with this content."""
        stored = self._folder.read_signed(self._name(file))
        return stored is not None and hmac.compare_digest(stored, _digest(file, content))

    def _name(self, file: Path) -> str:
        return f"{_ALLOWED}-{hashlib.sha256(os.fsencode(file)).hexdigest()[:32]}"


def _digest(file: Path, content: bytes) -> bytes:
    path = os.fsencode(file)
    whole = len(path).to_bytes(8) + path + content
    return hashlib.sha256(whole).hexdigest().encode()


def enter(
    shell: str, variables: Mapping[str, str], before: Mapping[str, str], quote: Callable[[str], str]
) -> str:
    """Return code that sets the variables, and code in ``_VAULTR_LEAVE`` that restores them.

    :param before: the environment of the shell.
    :param quote: quotes a value for bash and zsh; fish has its own rules.
    """
    quoted = _fish if shell == "fish" else quote
    set_one = "set -gx {} {}" if shell == "fish" else "export {}={}"
    drop_one = "set -e {}" if shell == "fish" else "unset {}"
    load = [set_one.format(name, quoted(value)) for name, value in variables.items()]
    leave = [
        set_one.format(name, quoted(before[name])) if name in before else drop_one.format(name)
        for name in variables
    ]
    restore = quoted("; ".join(leave))
    load.append(
        f"set -g _VAULTR_LEAVE {restore}" if shell == "fish" else f"_VAULTR_LEAVE={restore}"
    )
    return "\n".join(load) + "\n"


def _fish(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
