"""What can go wrong with a lab itself.

RuntimeError
├ LabUnavailable   this machine cannot have a lab; the text names what is missing
└ LabBroken        a lab that was up has lost its supervisor
"""

from __future__ import annotations


class LabUnavailable(RuntimeError):  # noqa: N818  # reads as a state, like ConnectionRefused
    """This machine cannot have a lab; the text names what is missing."""


class LabBroken(RuntimeError):  # noqa: N818  # likewise
    """The supervisor of a running lab died, and the wire and all hosts with it."""
