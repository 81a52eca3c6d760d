from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from simopen.cli._app import run
from simopen.cli._completion import SHELLS, Shell

# What each shell offers for "simopen connect --rendez", with the script where its help says.
BASH = """\
. "$1/bash"
COMP_WORDS=(simopen connect --rendez) COMP_CWORD=2
_simopen
echo "${COMPREPLY[@]}"
"""
FISH = """\
source $argv[1]/fish
complete -C 'simopen connect --rendez'
"""
ZSH = r"""
mv $1/zsh $1/_cyclopts_simopen
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "fpath=($1 \$fpath); autoload -Uz compinit; compinit -D -u; echo loa''ded"
zpty -r shell said '*loaded*'
zpty -w -n shell $'simopen connect --rendez\t'
zpty -r shell said '*--rendezvous*'
print -r -- $said
"""
OFFERS = {"bash": BASH, "fish": FISH, "zsh": ZSH}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_completes(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shell takes the script without a word and offers the option that begins so."""
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    assert run(["completion", shell]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    (tmp_path / shell).write_text(out)
    parsed = subprocess.run([shell, "-n", tmp_path / shell], capture_output=True, check=True)
    assert parsed.stdout + parsed.stderr == b""
    (tmp_path / "offer").write_text(OFFERS[shell])
    done = subprocess.run(
        [shell, tmp_path / "offer", tmp_path], capture_output=True, check=True, timeout=20
    )
    assert b"--rendezvous" in done.stdout
    assert done.stderr == b""


def test_without_a_name_it_is_the_shell_of_the_login(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As $SHELL has it; where that says nothing, those there are."""
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert run(["completion"]) == 0
    assert "complete -c simopen" in capsys.readouterr().out
    for other in ("/bin/dash", ""):
        monkeypatch.setenv("SHELL", other)
        assert run(["completion"]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert "bash, fish, zsh" in err
