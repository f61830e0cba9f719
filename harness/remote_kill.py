"""The kill of what a remote shell runs: a script that finds all that a command has started."""

from __future__ import annotations

# Everything below a process and everything in the sessions of those, wherever it was reparented
# to. What forks meanwhile is found by its session in the next round. What root runs for us (sudo,
# perhaps on a terminal of its own) needs sudo again.
#
# A shell that is spared runs queries in its own session: there they are found as its children, and
# what earlier commands have left is not. It must not be followed twice: it has gone on by then.
_KILL = """
exec 2>/dev/null
root=@pid seen=' @pid '
[ -r /proc/self/stat ] || kill -KILL -- -$root
for round in 1 2 3 4 5; do
  victims=
  while
    more=
    for stat in /proc/[0-9]*/stat; do
      read -r line <"$stat" || continue
      pid=${stat#/proc/} pid=${pid%/stat}
      case $seen in *" $pid "*) continue ;; esac
      set -- ${line##*") "}  # state, parent, group, session
      [ "$4" = "@spared" ] && set -- "$1" "$2" "$3" none
      case $seen in *" $2 "*|*" $4 "*) seen="$seen$pid " victims="$victims $pid" more=1 ;; esac
    done
    [ "$more" ]
  do :; done
  [ $round = 1 ] && @first
  [ "$victims" ] || break
  kill -KILL $victims || sudo -n kill -KILL $victims
done
"""


def kill_script(pid: int, *, spare: bool) -> str:
    """A script that kills a session leader with all that it started; ``spare``: not the leader,
    nor what its earlier commands have left running.

    Linux only: elsewhere (no /proc) it kills the leader's process group.
    """
    first = 'seen=" ${seen#" $root "}"' if spare else 'victims="$root $victims"'
    script = _KILL.replace("@spared", str(pid) if spare else "").replace("@pid", str(pid))
    return script.replace("@first", first)
