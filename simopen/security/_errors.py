"""Everything that the security room raises. The door translates it for users.

::

    SecurityError
    ├ SecretError(ValueError)     the secret or invite cannot be used; nothing was sent
    ├ OfferError                  the bytes are no offer
    │  ├ WrongKeyError            well-formed, but our secret does not open it
    │  └ ReflectedError           it is our own
    └ ProofError                  the peer did not prove the key in its offer
       ├ LateError                not in time; it may still be the peer
       └ UnableError              we cannot make our own proof

No text holds a secret, nor any part or length of one, nor bytes that came from the network.
"""

from __future__ import annotations


class SecurityError(Exception):
    """The root of the room's errors."""


class SecretError(SecurityError, ValueError):
    """A secret or an invite cannot be used; the text says what to do."""


class OfferError(SecurityError):
    """The bytes are no offer: too short, too long, or not what an offer holds."""


class WrongKeyError(OfferError):
    """The offer does not open with our secret, or not in this room and mode."""


class ReflectedError(OfferError):
    """The offer is our own: somebody sent us back to ourselves."""


class ProofError(SecurityError):
    """The connection does not lead to the key in the offer.

    A wrong certificate, a wrong hello, garbage, too many bytes before either, or silence.
    """


class LateError(ProofError):
    """No proof in time. A stranger who is silent and a peer whose packets are lost look alike."""


class UnableError(ProofError):
    """Our own proof cannot be made: the system has no descriptor left for the keys."""
