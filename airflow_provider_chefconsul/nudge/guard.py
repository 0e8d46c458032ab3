"""The shell that a node wraps around a remotely executed command, so that a job runs its command at most once.

The events of remote execution may come late, twice, or again when an agent restarts; over SSH, a restarted triggerer
connects again. The guard makes that harmless: the first start runs the command under a lock, and each later one waits
for that run to end and exits with the same code. A later attempt at the job waits in the same way, and then runs the
command again, unless it succeeded within the last minute: whoever makes another attempt does so for the nodes that need
another run, and one of them may have succeeded while the event was on its way.
"""

from __future__ import annotations

import hashlib
import shlex

from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.nudge.result import LONGEST_OUTPUT

LONGEST_COMMAND = 128 * 1024 - 1  # bytes; Linux refuses to start a process with a longer argument (MAX_ARG_STRLEN)

# Agents on one machine, as in a demo, share its directories. Their command lines and working directories tell them
# apart, since an agent does not pass its node's name to the command. Names begin with cc_ to leave the command's
# environment alone.
#
# The command writes into a pipe that `tail` drains, not to the agent: so its output costs no writes in Consul, a
# background process that keeps it open does not delay the exit, and an agent that dies does not break it. The pipe
# also marks the command as started, the file `rc` marks it as ended, and the file `attempt` says in which attempt.
# Descriptor 9 is the lock; nothing that may outlive the guard inherits it.
_GUARD = f"""
cc_fail() {{ echo "chefconsul: $2; nothing was run" >&2; exit "$1"; }}
cc_own() {{
  [ -d "$1" ] || mkdir -m 700 "$1" 2>/dev/null
  [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] && chmod 700 "$1" 2>/dev/null
}}
command -v flock >/dev/null || cc_fail 127 "flock is missing on this node; install util-linux"
cc_base=/run/chefconsul
cc_own "$cc_base" || cc_base=${{TMPDIR:-/tmp}}/chefconsul-$(id -u)
cc_own "$cc_base" || cc_fail 126 "this user can make neither /run/chefconsul nor $cc_base its own directory"
IFS= read -r cc_agent <"/proc/$PPID/cmdline"
cc_agent=$(echo "$PWD $cc_agent" | cksum)
cc_job=$cc_base/$1-${{cc_agent% *}}
mkdir -p "$cc_job" || cc_fail 126 "cannot make $cc_job"
exec 9>"$cc_job/lock"
flock 9
if [ "$3" -gt "$(cat "$cc_job/attempt" 2>/dev/null || echo "$3")" ] &&
  ! {{ [ "$(cat "$cc_job/rc" 2>/dev/null)" = 0 ] && [ -z "$(find "$cc_job/rc" -mmin +1)" ]; }}; then
  rm -f "$cc_job/pipe" "$cc_job/rc" "$cc_job/output" "$cc_job/drained"
fi
if [ ! -e "$cc_job/pipe" ]; then
  echo "$3" >"$cc_job/attempt"
  mkfifo "$cc_job/pipe" || cc_fail 126 "cannot make $cc_job/pipe"
  {{ tail -c {LONGEST_OUTPUT} <"$cc_job/pipe" >"$cc_job/output"; : >"$cc_job/drained"; }} >/dev/null 2>&1 9>&- &
  /bin/sh -c "$2" >"$cc_job/pipe" 2>&1 9>&-
  cc_rc=$?
  for cc_try in 1 2 3 4 5 6 7 8 9 10; do
    [ $cc_rc -eq 0 ] || [ -e "$cc_job/drained" ] || sleep 0.1
  done
  echo $cc_rc >"$cc_job/rc"
  find "$cc_base" -mindepth 1 -maxdepth 1 -type d -mtime +0 -exec flock -n {{}}/lock rm -rf {{}} \\; \
    >/dev/null 2>&1 9>&- &
elif [ -s "$cc_job/rc" ]; then
  cc_rc=$(cat "$cc_job/rc")
else
  echo "chefconsul: this job was started on this node before and was killed before it ended" >&2
  exit 137
fi
[ "$cc_rc" -eq 0 ] || cat "$cc_job/output" 2>/dev/null
exit "$cc_rc"
"""


def guarded(job_id: str, command: str, *, attempt: int = 1) -> list[str]:
    """The program and arguments that run a shell command at most once per attempt at a job and node.

    Another command under the same job id is another job. The exit code is the command's; 126 or 127 when the guard
    could not work (its message says why), 137 when an earlier start of the job was killed. "At most once" holds for a
    day, as long as the node keeps ``/run`` (or its temporary directory).

    :param attempt: a later one runs the command again, unless an earlier one has just succeeded.
    :raises InvalidInput: no node could start this command.
    """
    size = len(command.encode())
    if size > LONGEST_COMMAND or "\0" in command:
        raise InvalidInput(
            f"the command that begins {command[:40]!r} cannot be started: it has {size} bytes, and may have at most "
            f"{LONGEST_COMMAND} and no NUL; put a script on the nodes and call it in the command"
        )
    job = hashlib.sha256(f"{job_id}\0{command}".encode()).hexdigest()[:32]
    return ["/bin/sh", "-c", _GUARD, "chefconsul", job, command, str(attempt)]


def guarded_line(job_id: str, command: str) -> str:
    """The same as one line for a login shell, which is how sshd starts commands.

    :raises InvalidInput: no node could start this command, whose whole line is one argument.
    """
    line = shlex.join(guarded(job_id, command))
    size = len(line.encode())
    if size > LONGEST_COMMAND:
        raise InvalidInput(
            f"the command that begins {command[:40]!r} cannot be started over SSH: quoted and guarded it has {size} "
            f"bytes, and may have at most {LONGEST_COMMAND}; put a script on the nodes and call it in the command"
        )
    return line
