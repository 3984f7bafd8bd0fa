#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes golden_tunnels.h: what scapy makes of packets before and after the modes l2dsr, ipip and
gue, for test_tunnels.c. The source port of gue is 49152 here and the outer flow label 0: the test
looks at those itself.

    tests/packet/golden_tunnels.py > tests/packet/golden_tunnels.h      (Debian: python3-scapy)
"""
import logging

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP  # noqa: E402
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, PadN  # noqa: E402
from scapy.layers.l2 import Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402

MODES = {"l2dsr": 2, "ipip": 3, "gue": 4}  # enum sluice_forwarding
OUTER_ID = 0x1234  # what the test sets the counter to


def pattern(n):
    return Raw(bytes((i * 7 + 3) & 0xff for i in range(n)))


def transport(protocol):
    if protocol == "tcp":
        return TCP(sport=40000, dport=80, seq=7, ack=9, flags="PA", window=0x2000) / pattern(13)
    return UDP(sport=40000, dport=53) / pattern(4)


def inner(family, protocol, last, kind):
    if family == 4:
        more = {"df": {"flags": "DF", "tos": 0xb9}, "plain": {"id": 0x4321, "ttl": 1},
                "options": {"flags": "DF", "options": [IPOption_NOP()] * 8}}[kind]
        return IP(**{"src": "198.51.100.9", "dst": f"10.96.1.{last}", **more}) / transport(protocol)
    head = IPv6(src="2001:db8:100::9", dst=f"2001:db8:96:1::{last}", fl=0x54321,
                tc=0xb9 if kind == "df" else 0, hlim=1 if kind == "plain" else 64)
    if kind == "options":
        head /= IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])
    return head / transport(protocol)


def outer(mode, family, last, packet):
    v4 = isinstance(packet, IP)
    number = 17 if mode == "gue" else 4 if v4 else 41
    df = not v4 or bool(packet.flags.DF)
    klass = packet.tos if v4 else packet.tc
    if family == 4:
        head = IP(src="172.17.0.1", dst=f"172.17.0.{last}", tos=klass, ttl=64, proto=number,
                  flags="DF" if df else 0, id=0 if df else OUTER_ID)
    else:
        head = IPv6(src="fd00:17::1", dst=f"fd00:17::{last}", tc=klass, hlim=64, nh=number)
    if mode == "gue":
        head /= UDP(sport=49152, dport=6080, chksum=0)
    return head / Raw(bytes(packet))


def rows():
    for mode, number in MODES.items():
        for family in (4, 6):
            for outside in (4, 6):
                if mode == "l2dsr" and family != outside:
                    continue
                for protocol, kind in (("tcp", "df"), ("tcp", "options"), ("udp", "plain")):
                    last = number * 10 + outside
                    packet = inner(family, protocol, last, kind)
                    sent = packet if mode == "l2dsr" else outer(mode, outside, last, packet)
                    name = f"{mode}_{family}in{outside}_{protocol}_{kind}"
                    yield (name, Ether(dst="02:00:00:00:00:10", src="02:00:00:00:00:c1") / packet,
                           Ether(dst="02:00:00:00:00:e1", src="02:00:00:00:00:11") / sent)


def array(name, data):
    print(f"static const unsigned char {name}[{len(data)}] = {{")
    for at in range(0, len(data), 16):
        print("\t" + " ".join(f"0x{byte:02x}," for byte in data[at:at + 16]))
    print("};")


ALL = [(name, bytes(before), bytes(after)) for name, before, after in rows()]

print("// SPDX-License-Identifier: BSD-3-Clause")
print("#pragma once\n")
print("// Made by golden_tunnels.py with scapy.\n")
print("#include <stddef.h>\n")
print("// clang-format off")
for name, before, after in ALL:
    array(f"{name}_in", before)
    array(f"{name}_out", after)
print("static const struct golden_tunnel {")
print("\tconst char *name;\n\tconst unsigned char *in, *out;\n\tsize_t in_length, out_length;")
print("} golden_tunnels[] = {")
for name, before, after in ALL:
    print(f'\t{{"{name}", {name}_in, {name}_out, {len(before)}, {len(after)}}},')
print("};")
print("// clang-format on")
