"""Whether there can be a lab."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from simopen import lab
from simopen.lab import _available
from simopen.lab._available import supervisor_command, supervisor_environment
from simopen.lab._planning import plan

ONE_HOST = plan(lab.Topology(sites=[lab.Site("site", hosts=["a"])]))
KERNEL_NAT = plan(lab.Topology(sites=[lab.Site("site", hosts=["a"], gateway=lab.KernelNat())]))


@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
def test_a_machine_that_can() -> None:
    """Where labs work there is no reason against them."""
    assert lab.why_unavailable() is None


def test_no_nsenter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing nsenter is named."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert "nsenter" in (lab.why_unavailable() or "")


def test_no_pyroute2(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing pyroute2 is named, and how to install it."""
    monkeypatch.setattr(shutil, "which", lambda _: "/bin/true")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert "pip install 'simopen[lab]'" in (lab.why_unavailable() or "")


def test_no_nft(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a lab with a kernel's gateway misses nft."""
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "nft" else "/bin/true")
    assert "nftables" in (_available.missing(KERNEL_NAT) or "")
    assert "nft" not in (_available.missing(ONE_HOST) or "")


def test_not_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another system is named."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "this is darwin" in (lab.why_unavailable() or "")


def test_a_supervisor_that_dies_is_told_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it wrote to its standard error is in the reason."""
    monkeypatch.setattr(_available, "missing", lambda _: None)
    command = [sys.executable, "-c", "import sys; sys.exit('last words')"]
    monkeypatch.setattr(_available, "supervisor_command", lambda: command)
    assert "last words" in (lab.why_unavailable() or "")


@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
def test_an_ordinary_user_gets_a_user_namespace() -> None:
    """Without root the supervisor makes itself one; hosts work just the same."""
    unshare = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("cannot become an ordinary user here")
    script = "from simopen import lab; import sys; sys.exit(lab.why_unavailable())"
    subprocess.run(
        [*unshare, sys.executable, "-c", script], env=supervisor_environment(), check=True
    )


@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
def test_closed_user_namespaces_are_named() -> None:
    """Neither root nor user namespaces: the reason says so."""
    if os.geteuid() != 0:
        pytest.skip("needs root to close them")
    # in a user namespace of its own the limit can be set to none without touching the machine's
    script = (
        "echo 0 > /proc/sys/user/max_user_namespaces; "
        'exec setpriv --inh-caps=-all --bounding-set=-all "$@"'
    )
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]
    done = subprocess.run(
        [*command, *supervisor_command()],
        input=ONE_HOST.to_json(),
        env=supervisor_environment(),
        capture_output=True,
        check=False,
    )
    assert b"user namespaces are closed" in done.stdout


@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
def test_a_supervisor_without_pyroute2_says_so(tmp_path: Path) -> None:
    """Also where only the supervisor finds out, the missing extra is named."""
    (tmp_path / "pyroute2.py").write_text("raise ModuleNotFoundError(name='pyroute2')")
    environment = supervisor_environment()
    environment["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{environment['PYTHONPATH']}"
    done = subprocess.run(
        supervisor_command(),
        input=ONE_HOST.to_json(),
        env=environment,
        capture_output=True,
        check=False,
    )
    assert b"pip install 'simopen[lab]'" in done.stdout
