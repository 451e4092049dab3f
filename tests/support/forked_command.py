"""`python -IS forked_command.py DOOR ARGUMENTS` stands for `python -m gateway ARGUMENTS`, as a fork of `forking`'s.

It imports next to nothing: a shell's commands are started one after the other.
"""

from __future__ import annotations

import json
import os
import socket
import sys


def main(door: str, *arguments: str) -> int:
    """The exit status as a shell tells it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as news:
        news.connect(door)
        folder = os.getcwd()  # noqa: PTH109  # pathlib is more than all the rest
        asked = {"arguments": arguments, "environment": dict(os.environ), "folder": folder}
        socket.send_fds(news, [json.dumps(asked).encode()], [0, 1, 2])
        news.recv(32)  # its number
        status = os.waitstatus_to_exitcode(int(news.recv(32)))
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
