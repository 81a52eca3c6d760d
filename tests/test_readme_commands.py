"""Every command of the README, typed by a new user on empty machines, in the README's order."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from simopen import lab
from simopen.lab.pytest_plugin import MakeNetwork
from tests import machines

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()

NOT_RUN = {
    "make test": "this test is one of those it runs",
}
"""Commands of the README that are not run here, and why."""

FAILING = {
    "one$ simopen connect 203.0.113.3:40009 --local 0.0.0.0:40009 --timeout 2": 1,
}
"""Commands that the README says fail, with their exit codes; all others end with 0."""

# The hosts by the names of their prompts; the README has the addresses that these are given.
SITES = [
    lab.Site("public", hosts=["coordinator"], link=lab.Link(latency=0.005)),
    *(
        lab.Site(f"home-{name}", hosts=[name], gateway="home-router", link=lab.Link(latency=0.01))
        for name in ("one", "two")
    ),
]


def typed(done: machines.Done) -> str:
    """A command as it stands on the page."""
    return f"{done.command.where}$ {done.command.typed}"


@pytest.mark.lab
@pytest.mark.timeout(600)
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="there is no repository to clone")
def test_every_command_does_what_the_readme_says(lab_network: MakeNetwork) -> None:
    """All have run, ended as they should, and said all that is shown."""
    net = lab_network(SITES)
    with TemporaryDirectory() as folder, ExitStack() as stack:
        walk = machines.Walk(net, Path(folder), ROOT, stack)
        walk.follow(README, NOT_RUN)
        invite = Path(folder) / "two" / "simopen" / "tea.invite"
        assert invite.stat().st_mode & 0o077 == 0
    parts = [part for part in machines.parse(README) if not isinstance(part, machines.Errand)]
    expected = [command for block in parts for command in block if command.typed not in NOT_RUN]
    assert sorted(map(typed, walk.done)) == sorted(
        f"{each.where}$ {each.typed}" for each in expected
    )
    complaints = [
        f"{typed(done)}\nended with {done.code}, and has not said {lines}, but:\n{done.said}"
        for done in walk.done
        if (lines := machines.missing(done.said, done.command.shown))
        or done.code not in (None, FAILING.get(typed(done), 0))
    ]
    assert not complaints, "\n".join(complaints)


def test_what_is_told_of_commands_is_of_the_readme_s() -> None:
    """A command that is not run, or fails, is one of the README's."""
    parts = [part for part in machines.parse(README) if not isinstance(part, machines.Errand)]
    shown = [command for block in parts for command in block]
    assert set(NOT_RUN) <= {each.typed for each in shown}
    assert set(FAILING) <= {f"{each.where}$ {each.typed}" for each in shown}


def test_a_new_user_has_nothing_of_ours(tmp_path: Path) -> None:
    """No `simopen` is found before the README has installed it."""
    env = machines.environment(tmp_path)
    assert shutil.which("simopen", path=env["PATH"]) is None
    assert "PYTHONPATH" not in env


PAGE = """
```console
$ pip install \\
    thing
two$ thing
3 SYNs to 192.0.2.1:40000
…
done
```

<!-- by hand: a.txt from one to two -->
"""


def test_a_page_is_read() -> None:
    """Continued lines, prompts, what is shown, and errands."""
    block, errand = machines.parse(PAGE)
    assert block == [
        machines.Command("", "pip install \\\n    thing", ()),
        machines.Command("two", "thing", ("3 SYNs to 192.0.2.1:40000", "…", "done")),
    ]
    assert errand == machines.Errand("a.txt", "one", "two")


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        ("1 SYN to [2001:db8::1]:23\nmore\ndone\n", []),
        ("1 SYN to 203.0.113.1:1\nfailed\n", ["done"]),
        ("done\n1 SYN to 203.0.113.1:1\n", ["done"]),
        ("", ["3 SYNs to 192.0.2.1:40000", "done"]),
    ],
)
def test_what_has_not_been_said_is_missed(said: str, lines: list[str]) -> None:
    """Numbers may differ; words, and the order of lines, may not."""
    assert machines.missing(said, ["3 SYNs to 192.0.2.1:40000", "…", "done"]) == lines
