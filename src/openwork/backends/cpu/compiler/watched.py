"""A program that runs a command, and ends with it; run by `call` as a process of its own, without site-packages.

It leads a process group. Its standard input never says anything and ends when the process that reads the other end
of its standard output dies, however that happens: then the whole group is killed.
"""

import _thread
import os
import signal
import sys


def main(command: list[str]) -> int:
    """Returns: the command's exit status."""
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_RDWR), 0)
            os.dup2(0, 1)  # the standard output says by its end that this program, not a left-over, has ended
            os.execv(command[0], command)
        except OSError as error:
            os.write(2, f"error: {command[0]} cannot be run ({error.strerror})\n".encode())
        os._exit(127)
    _thread.start_new_thread(_die_with_parent, ())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _die_with_parent() -> None:
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]) & 0xFF)
