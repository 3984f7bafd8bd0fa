#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes golden.h: what scapy makes of the packets in test_frames.c, to check our builder by.

    tests/packet/golden.py > tests/packet/golden.h      (Debian: python3-scapy)
"""
import logging

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP  # noqa: E402
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6PacketTooBig,
                                ICMPv6ParamProblem, ICMPv6TimeExceeded, IPv6, IPv6ExtHdrDestOpt,
                                IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, PadN)  # noqa: E402
from scapy.layers.l2 import Dot1Q, Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402


def pattern(n):
    return Raw(bytes((i * 7 + 3) & 0xff for i in range(n)))


def ether():
    return Ether(dst="02:00:00:00:00:10", src="02:00:00:00:00:c1")


def v4(**more):
    return IP(**{"src": "198.51.100.9", "dst": "10.96.0.1", "id": 0, "flags": 0, **more})


def v6(**more):
    return IPv6(src="2001:db8:100::9", dst="2001:db8:96::1", **more)


def tcp(**more):
    return TCP(**{"sport": 40000, "dport": 80, "seq": 0, "ack": 0, "window": 0x2000, **more})


def udp(**more):
    return UDP(sport=40000, dport=53, **more)


def padding():
    return PadN(optdata=b"\0" * 4)


QUOTED = v4() / udp() / pattern(5)
QUOTED_6 = v6() / udp() / pattern(5)

FRAMES = {
    "tcp_4": ether() / v4(ttl=63) / tcp(flags="S", seq=77),
    "tcp_4_data": ether() / v4(tos=0xb9, id=7, flags="DF") / tcp(flags="PA", ack=9) / pattern(101),
    "tcp_4_options": ether() / v4(options=[IPOption_NOP()] * 8)
    / tcp(flags="A", options=[("NOP", None)] * 12) / pattern(2),
    "udp_4": ether() / v4() / udp() / pattern(33),
    "udp_4_no_checksum": ether() / v4() / udp(chksum=0) / pattern(4),
    "echo_4": ether() / v4() / ICMP(id=0x1234, seq=1) / pattern(56),
    "tcp_6": ether() / v6(tc=0xb9, fl=0x4321, hlim=64) / tcp(flags="A") / pattern(7),
    "udp_6_extensions": ether() / v6(hlim=1) / IPv6ExtHdrHopByHop(options=[padding()])
    / IPv6ExtHdrDestOpt(options=[padding()]) / IPv6ExtHdrFragment(id=0xfeedbeef) / udp()
    / pattern(9),
    "echo_6": ether() / v6(hlim=64) / ICMPv6EchoRequest(id=0x1234, seq=1) / pattern(56),
    "vlan": Ether(dst="02:00:00:00:00:10", src="02:00:00:00:00:c1", type=0x88a8)
    / Dot1Q(vlan=20) / Dot1Q(vlan=20) / v4() / tcp(flags="S"),
    "unreachable_4": ether() / v4(flags="DF") / ICMP(type=3, code=3) / Raw(bytes(QUOTED)),
    "unreachable_6": ether() / v6(hlim=64) / ICMPv6DestUnreach(code=4) / Raw(bytes(QUOTED_6)),
    "too_big_4": ether() / v4() / ICMP(type=3, code=4, nexthopmtu=1300) / Raw(bytes(QUOTED)),
    "exceeded_4": ether() / v4() / ICMP(type=11, code=0) / Raw(bytes(QUOTED)[:28]),
    "problem_4": ether() / v4() / ICMP(type=12, code=0, ptr=20) / Raw(bytes(QUOTED)),
    "too_big_6": ether() / v6(hlim=64) / ICMPv6PacketTooBig(mtu=1300) / Raw(bytes(QUOTED_6)),
    "exceeded_6": ether() / v6(hlim=64) / ICMPv6TimeExceeded(code=0) / Raw(bytes(QUOTED_6)[:48]),
    "problem_6": ether() / v6(hlim=64) / ICMPv6ParamProblem(code=1, ptr=6) / Raw(bytes(QUOTED_6)),
}

print("// SPDX-License-Identifier: BSD-3-Clause")
print("#pragma once\n")
print("// Made by golden.py with scapy.\n")
print("// clang-format off")
for name, frame in FRAMES.items():
    data = bytes(frame)
    print(f"static const unsigned char golden_{name}[{len(data)}] = {{")
    for at in range(0, len(data), 16):
        print("\t" + " ".join(f"0x{byte:02x}," for byte in data[at:at + 16]))
    print("};")
print("// clang-format on")
