"""The calls: they join the rooms below and decide nothing themselves."""

from __future__ import annotations

import socket
import time
import warnings
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, overload

import anyio
from anyio.abc import ByteStream, ByteStreamConnectable

from ._direct import DirectCall
from ._endpoints import Candidate, EndpointsLike, literal_address, parse_endpoints
from ._errors import UsageError
from ._events import OnEvent
from ._securing import secure
from ._traced import Traced
from .net._stream import PeerStream
from .punch import PunchOptions
from .rendezvous._url import Rendezvous
from .security._errors import SecretError
from .security._secret import Invite, Secret, SecretLike, check_secret, hold

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._events import Event
    from .trace import HandshakeTrace

_DEFAULTS = PunchOptions()


@overload
async def connect_peer(
    remote: EndpointsLike,
    *,
    local: EndpointsLike,
    secret: SecretLike | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 - ends in a diagnosis
    on_event: OnEvent | None = None,
    options: PunchOptions | None = None,
    trace: bool | HandshakeTrace = False,
) -> PeerStream: ...


@overload
async def connect_peer(
    *,
    rendezvous: str | Rendezvous,
    room: str | None = None,
    secret: SecretLike | None = None,
    local: EndpointsLike | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 - ends in a diagnosis
    on_event: OnEvent | None = None,
    options: PunchOptions | None = None,
    trace: bool | HandshakeTrace = False,
) -> PeerStream: ...


async def connect_peer(  # noqa: PLR0913 - the whole product in one line
    remote: EndpointsLike | None = None,
    *,
    local: EndpointsLike | None = None,
    rendezvous: str | Rendezvous | None = None,
    room: str | None = None,
    secret: SecretLike | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 - ends in a diagnosis
    on_event: OnEvent | None = None,
    options: PunchOptions | None = None,
    trace: bool | HandshakeTrace = False,
) -> PeerStream:
    """Connect to a peer that connects to us at the same time; nobody listens.

    There are two ways to find each other. **Direct**: both sides know both endpoints, and run
    mirror images of each other, where one's ``local`` is the other's ``remote``. **Rendezvous**:
    both sides know a coordinator, a room and a secret, and run the very same line. Either way both
    send SYNs from their ports until two of them cross, and the kernel makes one ordinary TCP
    connection of that (simultaneous open, RFC 9293 §3.5).

    **With a secret** the stream is TLS 1.3, and has been handed over only after both ends have
    proved, over this very connection, that they hold the secret. It authenticates a group, not a
    person: whoever has it can be the peer. The coordinator does not have it, and is trusted with
    nothing; it sees addresses and times.

    **Without a secret** (direct mode) the stream is plain TCP: not encrypted, and whoever holds the
    remote address and port can be at the other end. Success means that the kernel shows the
    connection established without an error; a reset that is still on its way is not known yet, and
    shows as a ``BrokenResourceError`` on the stream.

    **Several ways at once** (direct mode). One pair of endpoints is enough almost everywhere.
    Several are raced, ``options.lane_delay`` apart. A range of ports races them pair by pair: where
    a NAT has spoilt one (Linux can hold one for two minutes), the next one connects. A list races
    several addresses of the peer from the same port: private ones first, then IPv6, then public
    IPv4 (in the manner of RFC 8305; all names are resolved before the first SYN). The first pair to
    connect is kept, unless a better one is about to: that is waited for, half a second or twice
    the handshake at most. So both sides keep the same one without a message; only where packets
    are lost for that long, or the better path is slower than that, can one of them hold a
    stream that is reset. (With a secret the sides agree on one over the encrypted connections.)
    Give both sides the same addresses and ports, mirrored, and addresses of one kind in the same
    order. No more than 16 pairs are raced. They share ``options.syn_rate``; each has a free period
    of its own.

    Two hosts behind one NAT that sends packets for its public address back inside must not use the
    same port: each would meet itself there, which cannot be told from a peer.

    Args:
        remote: The peer's endpoint as we reach it (its public one, if it is behind a NAT):
            ``"host:port"``, ``"[v6]:port"`` or ``(host, port)``. A range of ports
            (``"host:40000-40003"``) races that many pairs, the first with the first of ``local``
            and so on; a list races several addresses of the peer (see above).
        local: Our endpoint to connect from, with as many ports. A wildcard address (``0.0.0.0``,
            ``::``) lets the kernel choose the source address. Its family decides which addresses
            of a remote name are used, the first of them; a list may have one of each family.
            With ``rendezvous`` it may be left out, or have port 0: any free one. A range then has
            one port for each round.
        rendezvous: The coordinator: ``"tcp://host:port"``, ``"tls://host:port"`` (which hides the
            room's tag from whoever watches), or a :class:`Rendezvous`.
        room: The room, of which both sides have the same spelling. It may be left out with an
            invite, which names it.
        secret: What both sides hold and nobody else: an :class:`Invite` or its string, at least 16
            random bytes, or a text of at least 20 characters.
        timeout: Seconds for everything from resolving to the connected (and proven) stream; None
            waits for the peer for ever (at no more than ``options.syn_rate`` SYNs a second;
            through a coordinator without any).
        on_event: Called with every :class:`simopen.Event`, inline; an exception in it ends the
            call and propagates.
        options: The engine's numbers; the defaults are measured.
        trace: Whether to record the handshake, packet by packet where the process may see packets
            (``CAP_NET_RAW``): True for a trace that will be ``stream.trace``, or a
            :class:`HandshakeTrace`, which is filled when the call fails as well.

    Returns:
        The connected stream; ``stream.report`` says how it was opened.

    Raises:
        TypeError: The arguments do not go together. Nothing was sent.
        UsageError: An argument cannot be used (a ``ValueError``). Nothing was sent.
        SelfConnectionError: Both endpoints are the same socket address.
        LocalBindError: The local endpoint cannot be had (an ``OSError``).
        NameResolutionError: The remote name has no usable address.
        PeerTimeoutError: The SYNs did not meet in time (a ``TimeoutError``).
        CoordinatorUnavailable: The coordinator cannot be reached.
        RoomFullError: Two others are in the room.
        PeerNotFoundError: Nobody came to the room in time (a ``TimeoutError``).
        WrongSecretError: The other side holds another secret, or none.
        ReflectedOfferError: Our own offer came back to us.
        PeerProofError: Nobody who was met could prove to be the peer.
        PeerConnectError: Nothing could be sent at all, or every round has failed; the base of those
            above. Its ``.diagnosis`` says what was tried, what came back and what to change.
        RemoteProtocolError: What answers at ``rendezvous`` is no coordinator.
    """
    began = time.monotonic()
    secret = None if secret is None else hold(secret)
    options = options or _DEFAULTS
    if rendezvous is None:
        if remote is None or local is None:
            raise TypeError("give remote and local, or rendezvous, room and secret")
        if room is not None:
            raise TypeError("a room is at a rendezvous: give that, or leave the room out")
        with Traced(trace, on_event) as traced:
            call = _direct_call(remote, local, timeout, traced.announce, options, began)
            return traced.stream(await call.stream(_checked(secret)))
    if remote is not None:
        raise TypeError("remote and rendezvous exclude each other: a coordinator finds the peer")
    secret = _checked(secret)
    from ._meeting import Meeting  # noqa: PLC0415 - direct calls do without all of its rooms

    with Traced(trace, on_event) as traced:
        meeting = Meeting(
            rendezvous if isinstance(rendezvous, Rendezvous) else Rendezvous(rendezvous),
            room=_room(room, secret),
            secret=_wanted(secret, options),
            local=None if local is None else _own_ends(local),
            began=began,
            timeout=_checked_timeout(timeout),
            options=options,
            announce=traced.announce,
        )
        return traced.stream(await meeting.run())


async def connect_peer_socket(
    remote: EndpointsLike,
    *,
    local: EndpointsLike,
    timeout: float | None = None,  # noqa: ASYNC109 - as connect_peer
    on_event: OnEvent | None = None,
    options: PunchOptions | None = None,
    trace: bool | HandshakeTrace = False,
) -> socket.socket:
    """Connect as :func:`connect_peer` does in direct mode and return the bare socket.

    For what wants a socket of its own: :func:`asyncio.open_connection` (``sock=``),
    ``trio.socket.from_stdlib_socket``, :mod:`ssl`. The socket is non-blocking, ``TCP_NODELAY`` and
    keep-alive (after 30 s) are set, and it is the caller's to close.

    Args:
        remote: As for :func:`connect_peer`.
        local: As for :func:`connect_peer`.
        timeout: As for :func:`connect_peer`.
        on_event: As for :func:`connect_peer`; ``punch.connected`` carries the report.
        options: As for :func:`connect_peer`.
        trace: As for :func:`connect_peer`; a socket cannot carry it, so give an object.

    Returns:
        The connected socket.

    Raises:
        SimopenError: As :func:`connect_peer`.
    """
    options = options or _DEFAULTS
    began = time.monotonic()
    with Traced(trace, on_event) as traced:
        call = _direct_call(remote, local, timeout, traced.announce, options, began)
        sock, _ = await call.socket()
        return traced.socket(sock)


async def secure_stream(
    stream: ByteStream,
    *,
    secret: SecretLike,
    timeout: float | None = None,  # noqa: ASYNC109 - ends in a diagnosis
) -> ByteStream:
    """Encrypt and prove any stream, as :func:`connect_peer` does the one it has punched.

    Both sides call it, with the same secret and before anything else is sent. Each makes a
    certificate for this call only and sends it sealed; TLS 1.3 follows, and the proof inside it
    that both hold the secret. Which side is TLS's client follows from the certificates.

    For streams that came from elsewhere: a relay, a serial line, an accepted connection. The
    stream must take 2 KiB before the other side reads, as every socket does. It is the result's
    from now on, and is closed if this fails or is cancelled, whatever the reason.

    Example::

        stream = await anyio.connect_tcp("relay.example", 7001)
        async with await simopen.secure_stream(stream, secret=invite, timeout=10) as secured:
            await secured.send(b"hello")

    Args:
        stream: Connected to the peer; nothing of it has been read ahead.
        secret: As for :func:`connect_peer`. The room of an invite plays no part.
        timeout: Seconds for all of it; None waits for the other side for ever.

    Returns:
        The encrypted stream, with the extra attributes of ``stream``. Its ``send_eof`` half-closes
        whether ``stream`` can or not, and an end without the peer's word that this is the end is a
        ``BrokenResourceError``.

    Raises:
        UsageError: The secret or the timeout cannot be used (a ``ValueError``). Nothing was sent.
        WrongSecretError: The other side holds another secret, or sends something else.
        ReflectedOfferError: What we send comes back to us.
        PeerProofError: The other side could not prove the key in its offer, or the stream broke.
        PeerTimeoutError: All of it took longer than ``timeout`` (a ``TimeoutError``).
    """
    began = time.monotonic()
    secret = hold(secret)
    try:
        secret = _checked(secret)
        return await secure(stream, secret=secret, began=began, timeout=_checked_timeout(timeout))
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise


@dataclass(frozen=True, kw_only=True)
class PeerConnectable(ByteStreamConnectable):
    """A peer as anyio's ``ByteStreamConnectable``: each ``connect()`` is a new punch.

    Anything that takes a connectable takes a peer.

    Attributes:
        remote: As for :func:`connect_peer`.
        local: As for :func:`connect_peer`.
        rendezvous: As for :func:`connect_peer`.
        room: As for :func:`connect_peer`.
        secret: As for :func:`connect_peer`.
        timeout: As for :func:`connect_peer`, for each ``connect()``.
        on_event: As for :func:`connect_peer`.
        options: As for :func:`connect_peer`.
        trace: As for :func:`connect_peer`; an object tells of the latest ``connect()``.
    """

    remote: EndpointsLike | None = None
    local: EndpointsLike | None = None
    rendezvous: str | Rendezvous | None = None
    room: str | None = None
    secret: SecretLike | None = field(default=None, repr=False)
    timeout: float | None = None
    on_event: OnEvent | None = None
    options: PunchOptions | None = None
    trace: bool | HandshakeTrace = False

    async def connect(self) -> PeerStream:
        """Punch, as :func:`connect_peer`; not reaching the peer is ``anyio.ConnectionFailed``."""
        # No variable of this frame may hold the secret: a traceback could show it.
        return await connect_peer(**{each.name: getattr(self, each.name) for each in fields(self)})


def _direct_call(
    remote: EndpointsLike,
    local: EndpointsLike,
    timeout: float | None,
    announce: Callable[[Event], None],
    options: PunchOptions,
    began: float,
) -> DirectCall:
    return DirectCall(
        theirs=parse_endpoints(remote, role="remote"),
        ours=parse_endpoints(local, role="local"),
        began=began,
        timeout=_checked_timeout(timeout),
        options=options,
        announce=announce,
    )


def _own_ends(local: EndpointsLike) -> tuple[Candidate, ...]:
    """Our endpoints for a rendezvous: addresses, one of a family, all with the same ports."""
    found = parse_endpoints(local, role="local", any_port=True)
    addresses = [literal_address(ends[0].host) for ends in found]
    if None in addresses:
        raise UsageError("with a rendezvous local is an address, or a wildcard, not a name")
    families = {address.version for address in addresses if address is not None}
    if len(families) < len(found):
        raise UsageError("local has several addresses of one family: give one of each")
    if len({tuple(end.port for end in ends) for ends in found}) > 1:
        raise UsageError("local has other ports in one family than in the other: give the same")
    return found


def _checked_timeout(timeout: float | None) -> float | None:
    if timeout is not None and not timeout > 0:
        raise UsageError(f"timeout must be more than 0 seconds or None, not {timeout!r}")
    return timeout


@overload
def _checked(secret: None) -> None: ...


@overload
def _checked(secret: Invite | Secret) -> Invite | Secret: ...


def _checked(secret: Invite | Secret | None) -> Invite | Secret | None:
    """A secret that can be used; an invite's string as the invite."""
    if secret is None:
        return None
    try:
        return check_secret(secret)
    except SecretError as error:
        trouble = str(error)
    # Not where that was caught: it would bring frames along that have the secret.
    raise UsageError(trouble)


def _room(room: str | None, secret: SecretLike | None) -> str:
    """The room, by its name or by the invite's."""
    invited = secret.room if isinstance(secret, Invite) else None
    if room is None and invited is None:
        raise TypeError("give the room, or an invite, which names it")
    if room is not None and invited is not None and room != invited:
        raise UsageError("the invite is for another room: leave the room out, or give the same")
    found = invited if room is None else room
    if not isinstance(found, str) or not found:
        raise UsageError(f"a room has a name, not {found!r}")
    if any("\ud800" <= character <= "\udfff" for character in found):
        raise UsageError("the room's name holds something that UTF-8 cannot write")
    return found


def _wanted(secret: SecretLike | None, options: PunchOptions) -> SecretLike | None:
    """The secret, unless the caller knows what it does."""
    if options.plaintext:
        warnings.warn(
            "plaintext: the stream will be neither encrypted nor authenticated; the coordinator "
            "and whoever is on the path can read and change it, or take the peer's part",
            RuntimeWarning,
            stacklevel=3,
        )
    elif secret is None:
        raise TypeError("a rendezvous needs a secret (make an invite: simopen invite)")
    return secret
