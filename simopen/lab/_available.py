"""Whether this machine can have a lab, and how a supervisor is started."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from simopen.lab._plan import Plan
from simopen.lab._planning import plan
from simopen.lab._protocol import read_ready
from simopen.lab.topology import Site, Topology

if TYPE_CHECKING:
    from collections.abc import Callable

_TRIAL = plan(Topology(sites=[Site("site", hosts=["trial"])]))
_TRIAL_LIMIT_S = 10.0  # a hundred times what it takes


def supervisor_command() -> list[str]:
    """Return the command line of a supervisor; `-P` keeps the working directory out of its path."""
    return [sys.executable, "-P", "-m", "simopen.lab.supervisor"]


def supervisor_environment() -> dict[str, str]:
    """Return the environment in which a supervisor imports just what this process would."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def missing(planned: Plan) -> str | None:
    """Return what this machine lacks for a plan, as far as it shows without starting a process."""
    checks: tuple[tuple[Callable[[], bool], str], ...] = (
        (lambda: sys.platform == "linux", f"a lab needs Linux, this is {sys.platform}"),
        (lambda: shutil.which("nsenter") is not None, "nsenter (of util-linux) is missing"),
        (
            lambda: importlib.util.find_spec("pyroute2") is not None,
            "pyroute2 is not installed: pip install 'simopen[lab]'",
        ),
        (Path("/dev/net/tun").exists, "/dev/net/tun is missing: modprobe tun"),
        (
            lambda: not any(planned.routers()) or shutil.which("nft") is not None,
            "nft (of nftables) is missing, which a kernel's gateway needs",
        ),
    )
    return next((text for holds, text in checks if not holds()), None)


def why_unavailable() -> str | None:
    """Return why this machine cannot have a lab, or None when it can.

    It builds one host in a child process and drops it again, which takes about a third of a second
    and blocks; call it before the event loop runs, and keep the answer.
    """
    lack = missing(_TRIAL)
    if lack is not None:
        return lack
    try:
        trial = subprocess.run(  # noqa: S603  # our own module
            supervisor_command(),
            input=_TRIAL.to_json(),
            env=supervisor_environment(),
            capture_output=True,
            timeout=_TRIAL_LIMIT_S,
            check=False,
        )
        read_ready(trial.stdout.partition(b"\n")[0], trial.stderr)
    except (OSError, subprocess.SubprocessError, RuntimeError) as error:
        return str(error)
    return None
