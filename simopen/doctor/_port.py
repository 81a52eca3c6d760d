"""Looks at the port to connect from: who is on it, and whether it can be bound."""

from __future__ import annotations

import socket

from simopen._endpoints import Endpoint
from simopen._errors import LocalBindError
from simopen.net import _port_state, _sockets
from simopen.net._addresses import Addresses

from ._facts import LocalPort


def read_port(
    family: socket.AddressFamily, local: Endpoint, pair: Addresses | None = None
) -> LocalPort:
    """Look at a local endpoint. Nothing is sent.

    Args:
        family: ``AF_INET`` or ``AF_INET6``.
        local: A numeric endpoint.
        pair: The same with its remote, where there is one.
    """
    # First: our own attempt to bind would be one of them.
    states = frozenset(state.name for state in _port_state.states(local))
    pair_state = None if pair is None else _port_state.pair_state(pair.source, pair.remote)
    error = ""
    try:
        _sockets.open_punch_socket(family, local).close()
    except LocalBindError as raised:
        error = raised.strerror or str(raised)
    return LocalPort(
        local=local,
        remote=None if pair is None else pair.remote,
        states=states,
        pair_state=pair_state,
        bind_error=error,
    )
