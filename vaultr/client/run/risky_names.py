"""Names of variables that change how programs are found, loaded or run.

Anyone who can write an environment set (another device, a machine, later a member) could use such a
variable to run code on this computer. So these names are rejected in sets, unless the user allows
each one.
"""

from collections.abc import Collection, Iterable
from typing import Final

from vaultr.client.errors import VaultrError

# Grouped by what reads them. Sources: ld.so(8), dyld(1), bash(1), zsh, the manuals of each runtime
# and of git, and the variables that sudo(8) removes from an environment by default.
_LINES: Final = (
    # the shell, and how programs find other programs
    "PATH IFS ENV BASH_ENV BASHOPTS SHELLOPTS PROMPT_COMMAND PS0 PS1 PS2 PS4 CDPATH",
    "GLOBIGNORE",
    "FPATH ZDOTDIR NULLCMD READNULLCMD SHELL HOME INPUTRC FCEDIT",
    # programs that other programs start
    "EDITOR VISUAL PAGER MANPAGER LESSOPEN LESSCLOSE BROWSER TERMINFO TERMINFO_DIRS TERMCAP",
    "LESS LESSKEY LESSKEYIN LESSKEY_CONTENT LESSKEYIN_SYSTEM MORE",
    # Python
    "PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONINSPECT PYTHONUSERBASE PYTHONBREAKPOINT",
    "PYTHONWARNINGS PYTHONEXECUTABLE PYTHONPYCACHEPREFIX PYTHONPLATLIBDIR",
    # JavaScript
    "NODE_OPTIONS NODE_PATH NODE_REPL_EXTERNAL_MODULE BUN_OPTIONS ELECTRON_RUN_AS_NODE",
    # Perl, Ruby, PHP, Lua, R
    "PERL5OPT PERL5LIB PERLLIB PERL5DB PERL5SHELL PERL_MB_OPT PERL_MM_OPT RUBYOPT RUBYLIB",
    "RUBYSHELL RUBYPATH BUNDLE_GEMFILE GEM_HOME GEM_PATH PHPRC PHP_INI_SCAN_DIR LUA_PATH",
    "LUA_CPATH LUA_INIT R_PROFILE R_PROFILE_USER R_ENVIRON R_ENVIRON_USER",
    # Java, .NET, Go, Rust, C
    "JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS _JAVA_OPTIONS JAVA_OPTS CLASSPATH",
    "CATALINA_OPTS MAVEN_OPTS GRADLE_OPTS ANT_OPTS SBT_OPTS DOTNET_STARTUP_HOOKS",
    "DOTNET_ADDITIONAL_DEPS DOTNET_SHARED_STORE CORECLR_ENABLE_PROFILING CORECLR_PROFILER",
    "COR_ENABLE_PROFILING COR_PROFILER GOFLAGS GOTOOLCHAIN RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER CARGO_BUILD_RUSTC CARGO_BUILD_RUSTC_WRAPPER RUSTFLAGS CC CXX LD",
    "CFLAGS LDFLAGS MAKEFLAGS MFLAGS",
    "GCONV_PATH LOCPATH NLSPATH LIBPATH SHLIB_PATH OPENSSL_CONF OPENSSL_MODULES",
    "OPENSSL_ENGINES GTK_MODULES QT_PLUGIN_PATH",
    # git, ssh and programs that connect elsewhere
    "GIT_SSH GIT_SSH_COMMAND GIT_PROXY_COMMAND GIT_ASKPASS SSH_ASKPASS SSH_ASKPASS_REQUIRE",
    "GIT_EDITOR GIT_SEQUENCE_EDITOR GIT_PAGER GIT_EXTERNAL_DIFF GIT_EXEC_PATH",
    "GIT_TEMPLATE_DIR GIT_DIR GIT_CONFIG GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS RSYNC_RSH CVS_RSH SVN_SSH HGEDITOR",
    "SUDO_ASKPASS VIMINIT EXINIT MYVIMRC",
)
_NAMES: Final = frozenset(name for line in _LINES for name in line.split())
_PREFIXES: Final = (
    *("LD_", "DYLD_", "_RLD", "BASH_FUNC_"),
    *("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_", "NPM_CONFIG_"),
)


class RiskyNames(VaultrError):
    """An environment set has variables that change how programs are loaded or run."""

    exit_code = 1


def is_risky(name: str) -> bool:
    """Check whether a variable changes how programs are found, loaded or run."""
    upper = name.upper()  # npm ignores the case of its settings, and Windows that of every name
    return upper in _NAMES or upper.startswith(_PREFIXES)


def check(names: Iterable[str], allowed: Collection[str]) -> None:
    """Check that no name from an environment set is risky.

    :param allowed: the names that the user allows.
    :raises RiskyNames: lists all that are not allowed.
    """
    found = sorted({name for name in names if is_risky(name)} - {*allowed})
    if found:
        options = " ".join(f"--allow {name}" for name in found)
        raise RiskyNames(
            f"Nothing was run or written: {', '.join(found)} from an environment set can change "
            "how programs are loaded or run, and other devices or machines may be able to write "
            f"the set. If you trust these values, add {options}."
        )
