"""The security room: who may open a stream with us, and how each side proves it.

Theory of operation
===================

Two hosts share a secret and nothing else. From it come a room's tag, by which a coordinator pairs
them without learning the room's name, and the key of their offers. Each call makes a key pair of
its own and seals the certificate into its offer. On the punched connection TLS 1.3 accepts that
one certificate on each side, and a hello inside it shows that both mean the same two offers. So
nobody without the secret takes part, a coordinator included, and a secret that leaks later opens
recorded offers (addresses) but no traffic.

The secret authenticates a group, not one person: all who hold it can stand for one another.

- :mod:`~simopen.security._errors`: everything the room raises.
- :mod:`~simopen.security._secret`: invites, bytes and texts; which are good enough.
- :mod:`~simopen.security._keys`: tags and keys from a secret.
- :mod:`~simopen.security._offer`: sealing and opening an offer.
- :mod:`~simopen.security._certificate`: a call's key pair, and TLS that trusts one certificate.
- :mod:`~simopen.security._hello`: HELLO and ACCEPT, the proof inside TLS.
- :mod:`~simopen.security._tls`: TLS over any byte stream.
- :mod:`~simopen.security._handshake`: TLS and hello on all candidates of one round.

``tests/security/vectors.json`` has known answers for another implementation to check itself by.

Invariants
==========

- Bytes from the network become a value or one :class:`~simopen.security._errors.SecurityError`.
- No secret is in a ``repr``, in an error's text or in an error that hangs on it as its context.
- Keys, offers and hellos are pure: randomness is an argument there.
"""
