"""Completion scripts for bash, zsh and fish, and how each shell passes the command line."""

import os
import re
from typing import Final

from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

# Words arrive one per line. Each candidate is returned as its type and its text. The shell quotes a
# candidate itself, so that a title with spaces stays one word.
_BASH: Final = """\
%(complete_func)s() {
    local line kind text
    COMPREPLY=()
    while IFS= read -r line; do
        kind=${line%%%%,*} text=${line#*,}
        case $kind in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain)
                # Within quotes the shell does not quote: skip candidates with characters that are
                # special there, and offer nothing after a closed quote.
                case ${COMP_WORDS[COMP_CWORD]} in
                    \\'*\\'* | \\"*\\"*) ;;
                    \\'*) [[ $text == *\\'* ]] || COMPREPLY+=("$text") ;;
                    \\"*) [[ $text == *[\\\\\\"\\`\\$\\!]* ]] || COMPREPLY+=("$text") ;;
                    *) COMPREPLY+=("$(printf %%q "$text")") ;;
                esac ;;
        esac
    done < <(COMP_WORDS=$(printf '%%s\\n' "${COMP_WORDS[@]}") COMP_CWORD=$COMP_CWORD \\
        %(complete_var)s=bash_complete %(prog_name)s 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """Completion for bash, by a script that passes words one per line."""

    source_template = _BASH

    def source(self) -> str:
        """Return the script."""
        # BashComplete would start a bash to check its version, even when the user runs zsh.
        return ShellComplete.source(self)

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the complete words, and the word that the user is typing."""
        words = [_unquoted(word) for word in os.environ["COMP_WORDS"].split("\n")]
        index = int(os.environ["COMP_CWORD"])
        return words[1:index], words[index] if index < len(words) else ""


SHELLS: Final[dict[str, type[ShellComplete]]] = {
    "bash": Bash,
    "zsh": ZshComplete,
    "fish": FishComplete,
}


def _unquoted(word: str) -> str:
    """Return a partly typed word without the quotes and escapes of the shell."""
    if word[:1] in ("'", '"'):
        return word[1:].removesuffix(word[0])
    return re.sub(r"\\(.)", r"\1", word)
