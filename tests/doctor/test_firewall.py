from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen import lab
from simopen.doctor import Chain, Firewall
from simopen.doctor import _firewall as firewall_module
from simopen.doctor._firewall import parse_ruleset, read_firewall

BLOCKING = "table inet t { chain c { type filter hook input priority 0; policy drop; }; }"
TRACKING = """
table inet t {
    chain known { ct state established,related accept; }
    chain c { type filter hook input priority 0; policy drop; iif lo accept; jump known; }
    chain f { type filter hook forward priority 0; policy drop; }
    chain o { type filter hook output priority 0; policy accept; }
}
"""
VERDICT_MAP = """
table ip t {
    chain c { type filter hook input priority 0; policy drop; ct state vmap { established : accept }; }
}
"""  # noqa: E501


def chain(**values: Any) -> dict[str, Any]:
    """A base chain as nft lists it."""
    named = {"family": "ip", "table": "t", "name": "c", "hook": "input", "policy": "drop"}
    return {"chain": named | values}


def listing(*items: dict[str, Any]) -> bytes:
    """What nft prints."""
    return json.dumps({"nftables": [{"metainfo": {"version": "1"}}, *items]}).encode()


def rule(*expressions: Any, table: str = "t") -> dict[str, Any]:
    """A rule of the chain."""
    return {"rule": {"family": "ip", "table": table, "chain": "c", "expr": list(expressions)}}


KEYS = ["ct", "xt", "key", "name", "expr", "match", "left"]
STATE = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established"]}}


@pytest.mark.parametrize(
    ("items", "chains"),
    [
        ([], ()),
        ([{"table": {"family": "ip", "name": "t"}}, chain(hook="forward")], ()),
        ([chain()], (Chain(hook="input", policy="drop"),)),
        ([chain(hook="output", policy="accept")], (Chain(hook="output", policy="accept"),)),
        (
            [chain(), rule(STATE, {"accept": None}), rule({"drop": None})],
            (Chain(hook="input", policy="drop", rules=2, tracks=True),),
        ),
        (
            [chain(), rule({"xt": {"type": "match", "name": "conntrack"}})],  # iptables-nft
            (Chain(hook="input", policy="drop", rules=1, tracks=True),),
        ),
        (
            [chain(), rule({"match": {"left": {"ct": {"key": "mark"}}}}), rule(STATE, table="x")],
            (Chain(hook="input", policy="drop", rules=1, tracks=False),),
        ),
    ],
)
def test_what_nft_lists(items: list[dict[str, Any]], chains: tuple[Chain, ...]) -> None:
    """The base chains of input and output, and whether their table looks at states."""
    assert parse_ruleset(listing(*items)) == chains


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"nftables": 1}', b"Error: nonsense"])
def test_what_is_no_list(data: bytes) -> None:
    """Is one kind of error."""
    with pytest.raises(ValueError):  # noqa: PT011 - json's own among them
        parse_ruleset(data)


@given(
    st.recursive(
        st.none() | st.text(max_size=5),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS), inner),
        max_leaves=12,
    )
)
def test_any_rule_can_be_looked_at(expression: object) -> None:
    """However it is built."""
    (found,) = parse_ruleset(listing(chain(), rule(expression)))
    assert found.rules == 1


async def look() -> Firewall:
    """A host: read its filter."""
    return await read_firewall()


@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
def test_real_filters() -> None:
    """What the kernel's own tool says of three hosts: one blocks, two know connections."""
    rules = {"blocks": BLOCKING, "jumps": TRACKING, "maps": VERDICT_MAP, "open": ""}
    found: dict[str, Firewall] = {}

    async def observe() -> None:
        async def one(name: str) -> None:
            await net[name].run(["nft", "-f", "-"], input=rules[name].encode())
            found[name] = await net[name].call(look)

        network = lab.network([lab.Site("all", hosts=list(rules))])
        async with network as net, anyio.create_task_group() as group:
            for name in rules:
                group.start_soon(one, name)

    anyio.run(observe)
    assert found["blocks"].chains == (Chain(hook="input", policy="drop"),)
    assert found["jumps"].chains == (
        Chain(hook="input", policy="drop", rules=2, tracks=True),
        Chain(hook="output", policy="accept", tracks=True),
    )
    assert found["maps"].chains == (Chain(hook="input", policy="drop", rules=1, tracks=True),)
    assert found["open"].chains == ()


def program(folder: Path, script: str) -> Path:
    """A program called nft."""
    path = folder / "nft"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("script", "root", "obstacle"),
    [
        ("echo 'Operation not permitted (you must be root)' >&2; exit 1", False, "takes root"),
        ("echo 'no such thing' >&2; exit 1", True, "no such thing"),
        ("echo nonsense", True, "not understood"),
        ("exec sleep 9", True, "too long"),
    ],
)
def test_a_filter_that_cannot_be_seen(
    script: str, root: object, obstacle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said why, and which programs keep one by their own files."""
    path = program(tmp_path, script)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: str(path))
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    monkeypatch.setattr(firewall_module, "NFT_TIMEOUT", 1.0)
    (tmp_path / "etc/ufw").mkdir(parents=True)
    (tmp_path / "etc/ufw/ufw.conf").write_text("# ufw\nENABLED=yes\n")
    (tmp_path / "run/firewalld").mkdir(parents=True)
    found = anyio.run(read_firewall, tmp_path)
    assert found.chains is None
    assert obstacle in found.obstacle
    assert found.services == ("ufw", "firewalld")


def test_without_nft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be asked."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    found = anyio.run(read_firewall, tmp_path)
    assert (found.chains, found.services) == (None, ())
    assert "not installed" in found.obstacle


@pytest.mark.parametrize(("names", "seen"), [("nat\nfilter\n", False), ("nat\n", True)])
def test_rules_that_nft_does_not_show(
    names: str, *, seen: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the older iptables: then nothing is known, and nothing is claimed."""
    path = program(tmp_path, """echo '{"nftables": []}'""")
    monkeypatch.setattr(shutil, "which", lambda *_, **__: str(path))
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/net/ip_tables_names").write_text(names)
    assert (anyio.run(read_firewall, tmp_path).chains is not None) is seen
