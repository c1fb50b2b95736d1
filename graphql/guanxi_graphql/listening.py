"""Where the server listens."""

import errno
import socket
from typing import NamedTuple

from guanxi_sdk import GuanxiError


class Address(NamedTuple):
    """Where to listen, as a number and as people write it."""

    ip: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """The address for a browser on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host and host[0] != '[' else host}:{self.port}"


def free_address(host: str, port: int) -> Address:
    """Resolve ``host`` and make sure that the port is free.

    Granian shares its port among its workers, and so would share it with another server, too.
    """
    try:
        family, _, _, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise GuanxiError(f"'{host}' is not a host: give an address such as 127.0.0.1.") from None
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
        except OSError as error:
            raise GuanxiError(_reason(error, host, port)) from None
    return Address(str(place[0]), host, port)


def _reason(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: stop what listens there, or give another --port."
    if error.errno == errno.EACCES:
        return f"port {port} needs the rights of root: choose a --port above 1023."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine: choose another --host."
    return f"cannot listen on {host}, port {port}: {error.strerror}."
