"""What can go wrong with a lab itself.

ValueError
└ TopologyError    a topology's file, or its name, is wrong; the text says where

RuntimeError
├ LabUnavailable   this machine cannot have a lab; the text names what is missing
├ LabBroken        a lab that was up has lost its supervisor
└ CallFailed       an interpreter in a host ended without saying what became of its call
"""

from __future__ import annotations


class TopologyError(ValueError):
    """A topology's file or name is wrong; the text says where."""


class LabUnavailable(RuntimeError):  # noqa: N818  # reads as a state, like ConnectionRefused
    """This machine cannot have a lab; the text names what is missing."""


class LabBroken(RuntimeError):  # noqa: N818  # likewise
    """The supervisor of a running lab died, and the wire and all hosts with it."""


class CallFailed(RuntimeError):  # noqa: N818  # likewise
    """The interpreter that was to call a function in a host ended without an answer."""
