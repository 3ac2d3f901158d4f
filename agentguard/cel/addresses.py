"""The functions on network addresses (cel-go's network extension)."""

from __future__ import annotations

from typing import Final

from .context import Context
from .errors import CelError
from .functions import Function, member, typed
from .kinds import overload
from .network import Cidr, Ip


def _ip(context: Context, value: str | Ip) -> Ip:
    return Ip.parse(value) if isinstance(value, str) else value


def _cidr(context: Context, value: str | Cidr) -> Cidr:
    return Cidr.parse(value) if isinstance(value, str) else value


def _is_ip(context: Context, text: str) -> bool:
    try:
        Ip.parse(text)
    except CelError:
        return False
    return True


def _is_cidr(context: Context, text: str) -> bool:
    try:
        Cidr.parse(text)
    except CelError:
        return False
    return True


def _contains_ip(context: Context, block: Cidr, value: str | Ip) -> bool:
    return block.contains_ip(_ip(context, value))


def _contains_cidr(context: Context, block: Cidr, value: str | Cidr) -> bool:
    return block.contains_cidr(_cidr(context, value))


def _ip_of(context: Context, value: object) -> Ip:
    if isinstance(value, Cidr):
        return Ip(value.address)
    raise overload("ip", value)


GLOBALS: Final[dict[str, Function]] = {
    "ip": typed("ip", _ip, (str, Ip)),
    "cidr": typed("cidr", _cidr, (str, Cidr)),
    "isIP": typed("isIP", _is_ip, str),
    "isCIDR": typed("isCIDR", _is_cidr, str),
    "ip.isCanonical": typed("ip.isCanonical", lambda _, text: str(Ip.parse(text)) == text, str),
}
MEMBERS: Final[dict[str, Function]] = {
    "family": member("family", lambda _, ip: ip.address.version, Ip),
    "isUnspecified": member("isUnspecified", lambda _, ip: ip.unmapped.is_unspecified, Ip),
    "isLoopback": member("isLoopback", lambda _, ip: ip.unmapped.is_loopback, Ip),
    "isGlobalUnicast": member("isGlobalUnicast", lambda _, ip: ip.is_global_unicast(), Ip),
    "isLinkLocalMulticast": member("isLinkLocalMulticast", lambda _, ip: ip.is_link_local_multicast(), Ip),
    "isLinkLocalUnicast": member("isLinkLocalUnicast", lambda _, ip: ip.unmapped.is_link_local, Ip),
    "containsIP": member("containsIP", _contains_ip, Cidr, (str, Ip)),
    "containsCIDR": member("containsCIDR", _contains_cidr, Cidr, (str, Cidr)),
    "ip": member("ip", _ip_of, None),
    "masked": member("masked", lambda _, block: block.masked(), Cidr),
    "prefixLength": member("prefixLength", lambda _, block: block.prefix, Cidr),
}
