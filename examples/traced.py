"""Connect to a peer and show the handshake as it happened.

The two sides know both endpoints, and run mirror images of this:

    host one:  sudo python traced.py 203.0.113.2:40000 0.0.0.0:40000
    host two:  sudo python traced.py 203.0.113.1:40000 0.0.0.0:40000

(sudo, since only root sees packets; without it the states of the socket are shown.) Each prints
its own side of it, such as this one over 20 ms:

            ms  our state     here 203.0.113.1:40000          203.0.113.2:40000 peer
          0.00  SYN_SENT      ├─ SYN seq 0 ────────────╮                           │
         ~0.66                │                        │  ╭──────────── SYN seq 0 ─┤
        ~20.11                │                        ╰──╳──────────── SYN seq 0 ▶│
        ~20.11                │                           │ ╭ SYN-ACK seq 0 ack 1 ─┤
         20.77  SYN_RECEIVED  │◀ SYN seq 0 ───────────────╯ │                      │
         20.78  SYN_RECEIVED  ├─ SYN-ACK seq 0 ack 1 ──╮    │                      │
         40.22  ESTABLISHED   │◀ SYN-ACK seq 0 ack 1 ──┼────╯                      │
         40.27  ESTABLISHED   ├─ ACK seq 1 ack 1 ────╮ │                           │
        ~40.89                │                      │ ╰───── SYN-ACK seq 0 ack 1 ▶│
        ~60.37                │                      ╰─────────── ACK seq 1 ack 1 ▶│
                ╳ two SYNs cross: simultaneous open
                ~ not seen from here: half a round trip away

    True crossing: both SYNs were on their way at once, and each met a waiting
    SYN_SENT. Nobody listened; both sides went through SYN_RECEIVED (RFC 9293 §3.5).
    Connected 40.2 ms after the attempt's first SYN; the round trip took 40.2 ms.
    No SYN had to be sent again.
"""  # noqa: RUF002 - the mark of a crossing is no letter

import sys

import anyio

import simopen


async def main(remote: str, local: str) -> None:
    """Connect, close, and show how it went; a trace tells of a failure as well."""
    trace = simopen.HandshakeTrace()
    try:
        async with await simopen.connect_peer(remote, local=local, timeout=10, trace=trace):
            pass
    except simopen.PeerConnectError as error:
        print(error)
    print(trace.ladder())
    print(trace)


if len(sys.argv) != 3:
    sys.exit(__doc__)
anyio.run(main, sys.argv[1], sys.argv[2])
