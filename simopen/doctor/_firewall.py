"""The packet filter of this host, as far as we are allowed to look at it.

nftables shows its rules to the privileged alone, those that ``iptables`` has made included. Without
the privilege, what is left are the files of programs that keep a filter.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio

from ._facts import Chain, Firewall

NFT_TIMEOUT = 5.0  # seconds; tens of thousands of rules take one
HOOKS = ("input", "output")
_XT_MATCHES = ("conntrack", "state")  # how iptables asks for the state of a connection


async def read_firewall(root: Path = Path("/")) -> Firewall:
    """Look at the filter.

    Args:
        root: Where the files of this host are.
    """
    services = tuple(_services(root))
    nft = shutil.which("nft") or shutil.which("nft", path="/usr/sbin:/sbin")
    if nft is None:
        return Firewall(obstacle="the program nft is not installed", services=services)
    if _has_older_rules(root):
        obstacle = "it has rules of the older iptables, which nft does not show"
        return Firewall(obstacle=obstacle, services=services)
    try:
        with anyio.fail_after(NFT_TIMEOUT):
            done = await anyio.run_process([nft, "-j", "list", "ruleset"], check=False)
        if done.returncode:
            return Firewall(obstacle=_complaint(done.stderr), services=services)
        return Firewall(chains=parse_ruleset(done.stdout), services=services)
    except TimeoutError:
        obstacle = "nft takes too long"
    except OSError as error:
        obstacle = f"nft cannot be run: {error.strerror}"
    except ValueError:
        obstacle = "nft says what is not understood"
    return Firewall(obstacle=obstacle, services=services)


def parse_ruleset(data: bytes) -> tuple[Chain, ...]:
    """The base chains for packets to and from this host, from what ``nft -j list ruleset`` prints.

    Args:
        data: JSON (libnftables-json(5)).

    Raises:
        ValueError: It is not that.
    """
    document = json.loads(data)
    if not isinstance(document, dict) or not isinstance(document.get("nftables"), list):
        raise ValueError("no list of nftables")  # noqa: TRY004 - as what is no JSON
    items = [each for each in document["nftables"] if isinstance(each, dict)]
    chains = [each["chain"] for each in items if isinstance(each.get("chain"), dict)]
    rules = [each["rule"] for each in items if isinstance(each.get("rule"), dict)]
    return tuple(_chain(chain, rules) for chain in chains if chain.get("hook") in HOOKS)


def _chain(chain: Mapping[str, Any], rules: list[dict[str, Any]]) -> Chain:
    in_table = [each for each in rules if _table_of(each) == _table_of(chain)]
    return Chain(
        hook=chain["hook"],
        policy=str(chain.get("policy", "accept")),
        rules=sum(each.get("chain") == chain.get("name") for each in in_table),
        # In the whole table, since a rule may jump to where it is decided.
        tracks=any(_looks_at_state(each.get("expr")) for each in in_table),
    )


def _table_of(item: Mapping[str, Any]) -> tuple[object, object]:
    return item.get("family"), item.get("table")


def _looks_at_state(expression: object) -> bool:
    if isinstance(expression, list):
        return any(map(_looks_at_state, expression))
    if not isinstance(expression, dict):
        return False
    tracking, xt = expression.get("ct"), expression.get("xt")
    if isinstance(tracking, dict) and tracking.get("key") == "state":
        return True
    if isinstance(xt, dict) and xt.get("name") in _XT_MATCHES:
        return True
    return any(map(_looks_at_state, expression.values()))


def _complaint(stderr: bytes) -> str:
    if os.geteuid() != 0:
        return "that takes root"
    lines = stderr.decode(errors="replace").splitlines()
    return lines[0] if lines else "nft says nothing"


def _has_older_rules(root: Path) -> bool:
    """Whether ip_tables filters, not nf_tables; the file is there for root alone."""
    names = (root / "proc/net" / name for name in ("ip_tables_names", "ip6_tables_names"))
    try:
        return any("filter" in path.read_text().split() for path in names if path.exists())
    except OSError:
        return False


def _services(root: Path) -> Iterator[str]:
    ufw = root / "etc/ufw/ufw.conf"
    try:
        if "enabled=yes" in ufw.read_text().lower().replace(" ", ""):
            yield "ufw"
    except (OSError, UnicodeError):
        pass
    if (root / "run/firewalld").is_dir():
        yield "firewalld"
