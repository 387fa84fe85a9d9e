"""The time until all workers of a training have come."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from trainkit.backend import compat
from trainkit.core.errors import UserError

__all__ = ["wait_for_all"]

LOOK_SECONDS = 0.1
QUIET_SECONDS = 5.0  # in which workers that are started together usually come
AGAIN_SECONDS = 60.0
MOST_SECONDS = 3600.0  # as TensorFlow
CONNECT_SECONDS = 1.0


def wait_for_all(addresses: Sequence[str], own: str) -> None:
    """Wait until each worker has come.

    TensorFlow waits without a word, for an hour, and lets Python neither hear a signal nor run a thread. So
    we wait before it does: each worker listens at its address until it has reached all others, then makes
    room for TensorFlow's server, which later ones reach in its place.

    Args:
        addresses: `host:port` of all workers.
        own: That of this one.

    Raises:
        UserError: if another process has this worker's port, or a worker has not come within an hour.
    """
    if compat.has_server():
        return
    missing = [address for address in addresses if address != own]
    begin = time.monotonic()
    say = begin + QUIET_SECONDS
    with _listening(own):
        while missing := [address for address in missing if not _listens(address)]:
            named = f"worker{'s' if len(missing) > 1 else ''} at {', '.join(missing)}"
            if time.monotonic() > begin + MOST_SECONDS:
                raise UserError(f"The {named} did not come within an hour. Start all workers of TF_CONFIG.")
            if time.monotonic() > say:
                say = time.monotonic() + AGAIN_SECONDS
                sys.stderr.write(f"Waiting for the {named} ...\n")
            time.sleep(LOOK_SECONDS)


def _listening(address: str) -> socket.socket:
    port = _split(address)[1]
    try:
        with suppress(OSError, ValueError):  # a machine without IPv6
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise UserError(
            f"TF_CONFIG: this worker cannot listen at {address}: {reason}. Name a port that is free."
        ) from error


def _listens(address: str) -> bool:
    with suppress(OSError, UnicodeError), socket.create_connection(_split(address), CONNECT_SECONDS) as found:
        return bool(found.getsockname() != found.getpeername())  # a port of our own may be the very one
    return False


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
