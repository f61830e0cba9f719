"""Commands that only ask: a shell may run them without a session and a shell for each.

They start nothing that outlives them, signal nobody and change nothing, as most of what testinfra
asks. Whatever is not known to be one is none.
"""

from __future__ import annotations

import re

_BUILTINS = r"command -v|echo|exit|false|printf|pwd|test|true"
"""What every shell has itself."""
_PROGRAMS = (
    r"(?:(?:/usr)?/s?bin/)?(?:cat|cut|df|dpkg-query|getent|grep|head|id|ls|md5sum|netstat|ps|"
    r"readlink|realpath|rpm -q|sha256sum|ss|stat|sysctl -n|"
    r"systemctl (?:is-active|is-enabled|list-unit-files|show)|tail|uname|wc|which)"
)
# Printable ASCII in one line, each character of which stands for itself: no variable,
# substitution, pattern, tilde, redirection or comment.
_WORDS = r"""(?: +(?:[A-Za-z0-9_@%+=:,./-]|'[ -&(-~]*'|"[ #%-\[\]^_a-~]*")+)*"""

_PROGRAM = re.compile(_PROGRAMS + _WORDS)
_QUERY = re.compile(rf"(?:{_BUILTINS}|{_PROGRAMS}){_WORDS}(?: 2>&1)?(?: \| {_PROGRAMS}{_WORDS})*")

NONE = "sh"
FORK = ""
"""How a script of ours is run, which is no query but needs no more than a subshell either."""


def way(command: str) -> str:
    """How a shell may run a command, in a subshell.

    Returns:
        A word to put before it: ``exec`` for one program, which takes the subshell's place, and
        ``command`` for a builtin or a pipeline of programs; or `NONE`: only in a shell of its own.
    """
    if _PROGRAM.fullmatch(command):
        return "exec"
    return "command" if _QUERY.fullmatch(command) else NONE
