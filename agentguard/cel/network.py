"""IP addresses and address blocks (cel-go's network extension; predicates as in Go's ``netip``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, TypeAlias

from .errors import CelError

Address: TypeAlias = IPv4Address | IPv6Address
_PREFIX: Final = re.compile("0|[1-9][0-9]{0,2}")


def _address(text: str) -> Address:
    if len(text) > 64 or "%" in text or (":" in text and "." in text) or not text.isascii():
        raise CelError("invalid address: write it as `10.0.0.1` or `2001:db8::1`, without a zone")
    try:
        return IPv6Address(text) if ":" in text else IPv4Address(text)
    except AddressValueError:
        raise CelError("invalid address: write it as `10.0.0.1` or `2001:db8::1`") from None


@dataclass(frozen=True, slots=True)
class Ip:
    """One address, IPv4 or IPv6."""

    address: Address

    @classmethod
    def parse(cls, text: str) -> Ip:
        """Read an address; zones and dotted IPv4 inside IPv6 are refused."""
        return cls(_address(text))

    @property
    def unmapped(self) -> Address:
        """The address, with an IPv4 address inside IPv6 taken out."""
        mapped = self.address.ipv4_mapped if isinstance(self.address, IPv6Address) else None
        return mapped or self.address

    def same(self, other: Ip) -> bool:
        """Whether both name the same host; ``::ffff:a00:1`` is ``10.0.0.1``."""
        return self.unmapped == other.unmapped

    def is_global_unicast(self) -> bool:
        """Whether it can name one host beyond the link; private ranges are included."""
        address = self.unmapped
        return not (
            address.is_unspecified
            or address.is_loopback
            or address.is_multicast
            or address.is_link_local
            or address == IPv4Address("255.255.255.255")
        )

    def is_link_local_multicast(self) -> bool:
        """Whether it is in 224.0.0.0/24 or ff02::/16."""
        address = self.unmapped
        if isinstance(address, IPv4Address):
            return int(address) >> 8 == 0xE00000
        return int(address) >> 112 & 0xFF0F == 0xFF02

    def __str__(self) -> str:
        return str(self.address)


@dataclass(frozen=True, slots=True)
class Cidr:
    """A block of addresses; the host bits are kept until ``masked()``."""

    address: Address
    prefix: int

    @classmethod
    def parse(cls, text: str) -> Cidr:
        """Read ``address/length``."""
        head, slash, tail = text.partition("/")
        if not slash or _PREFIX.fullmatch(tail) is None:
            raise CelError("invalid block: write it as `10.0.0.0/8`")
        address = _address(head)
        if int(tail) > address.max_prefixlen:
            raise CelError("invalid block: the length exceeds the address")
        return cls(address, int(tail))

    def network(self) -> IPv4Network | IPv6Network:
        """The block in Python's form, host bits cleared."""
        if isinstance(self.address, IPv4Address):
            return IPv4Network((self.address, self.prefix), strict=False)
        return IPv6Network((self.address, self.prefix), strict=False)

    def masked(self) -> Cidr:
        """The same block with the host bits cleared."""
        return Cidr(self.network().network_address, self.prefix)

    def contains_ip(self, ip: Ip) -> bool:
        """Whether the address lies in the block; ``::ffff:a00:1`` counts as ``10.0.0.1``."""
        network = self.network()
        return ip.address in network or ip.unmapped in network

    def contains_cidr(self, other: Cidr) -> bool:
        """Whether all of the other block lies in this one."""
        return self.prefix <= other.prefix and other.address in self.network()

    def __str__(self) -> str:
        return f"{self.address}/{self.prefix}"
