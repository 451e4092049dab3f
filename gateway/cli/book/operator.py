"""Who types the command, as the audit trail names those with direct access to the database."""

from __future__ import annotations

import getpass
import os
import socket

from gateway.store.records import Actor


def operator() -> Actor:
    """`cli:<user>@<host>`: what the system says, and only as true as that."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a number that the system has no name for, as containers have them
        user = str(os.getuid())
    name = f"cli:{user}@{socket.gethostname()}"[:255]
    return Actor("".join(each if each.isprintable() else "?" for each in name))
