"""What each shell is given, and gives, when it completes a command line."""

import os
import re
from typing import Final

from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

# The words arrive one a line; each offer goes back as its type and its text. What a shell would
# take apart is quoted by the shell itself, so that a title with spaces stays one word.
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
                # Within quotes the shell quotes nothing: what it would obey there is not offered,
                # and nothing is after quotes that were closed.
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
    source_template = _BASH

    def source(self) -> str:
        # Not BashComplete's: it starts a bash to see how old it is, also where this one is zsh.
        return ShellComplete.source(self)

    def get_completion_args(self) -> tuple[list[str], str]:
        words = [_unquoted(word) for word in os.environ["COMP_WORDS"].split("\n")]
        place = int(os.environ["COMP_CWORD"])
        return words[1:place], words[place] if place < len(words) else ""


SHELLS: Final[dict[str, type[ShellComplete]]] = {
    "bash": Bash,
    "zsh": ZshComplete,
    "fish": FishComplete,
}


def _unquoted(word: str) -> str:
    """Read a word as far as it was typed, quotes and escapes of the shell taken away."""
    if word[:1] in ("'", '"'):
        return word[1:].removesuffix(word[0])
    return re.sub(r"\\(.)", r"\1", word)
