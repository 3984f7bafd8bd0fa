#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes golden_fullnat.h: what scapy makes of packets before and after the mode fullnat, from the
client (0) and from the endpoint (1), for test_fullnat.c. Port 20000 is the only one to send from.

    tests/packet/golden_fullnat.py > tests/packet/golden_fullnat.h      (Debian: python3-scapy)
"""
import logging

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP  # noqa: E402
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, PadN  # noqa: E402
from scapy.layers.l2 import Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402

CLIENT, VIP, SNAT, ENDPOINT = 0, 1, 2, 3
ADDRESSES = {4: ("198.51.100.9", "10.96.0.1", "172.17.0.1", "172.17.0.5"),
             6: ("2001:db8:100::9", "2001:db8:96::1", "fd00::1", "fd00::5")}
PORTS = {"tcp": (40000, 80, 20000, 8080), "udp": (40000, 53, 20000, 5353)}
# MACs: from the gateway to port 0 and on from port 1 to the endpoint, and back.
MACS = ((0xc1, 0x10), (0x11, 0xe1)), ((0xe1, 0x11), (0x10, 0xc1))


def ether(way, after):
    source, destination = MACS[way][after]
    return Ether(src=f"02:00:00:00:00:{source:02x}", dst=f"02:00:00:00:00:{destination:02x}")


def packet(family, protocol, kind, way, after):
    source, destination = [[(CLIENT, VIP), (SNAT, ENDPOINT)], [(ENDPOINT, SNAT), (VIP, CLIENT)]][
        way][after]
    ttl = 64 - after
    if family == 4:
        head = IP(src=ADDRESSES[4][source], dst=ADDRESSES[4][destination], ttl=ttl, tos=0xb9,
                  id=0x4321 + way, flags="DF", options=[IPOption_NOP()] * 8 if kind == "more" else [])
    else:
        head = IPv6(src=ADDRESSES[6][source], dst=ADDRESSES[6][destination], hlim=ttl, tc=0xb9,
                    fl=0x54321 + way)
        if kind == "more":
            head /= IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])
    ports = {"sport": PORTS[protocol][source], "dport": PORTS[protocol][destination]}
    if protocol == "tcp":
        head /= TCP(**ports, seq=7, ack=9, flags="SA" if way else "S", window=0x2000,
                    options=[("MSS", 1460), ("NOP", None), ("WScale", 7)] if kind == "more" else [])
    elif kind == "unsummed":
        head /= UDP(**ports, chksum=0)
    else:
        head /= UDP(**ports)
    return bytes(ether(way, after) / head / Raw(bytes((i * 7 + 3) & 0xff for i in range(13 + way))))


def rows():
    for family in (4, 6):
        for protocol in ("tcp", "udp"):
            for kind in ("plain", "more", "unsummed"):
                if kind != "unsummed" or (protocol == "udp" and family == 4):
                    yield family, protocol, kind


def bytes_of(data):
    lines = []
    for at in range(0, len(data), 16):
        lines.append("\t\t\t" + " ".join(f"0x{byte:02x}," for byte in data[at:at + 16]))
    return "{\n" + "\n".join(lines) + "\n\t\t}"


print("// SPDX-License-Identifier: BSD-3-Clause")
print("#pragma once\n")
print("// Made by golden_fullnat.py with scapy.\n")
print("#include <stdint.h>\n")
print("// Frames from the client (0) and from the endpoint (1).")
print("struct golden_fullnat {")
print("\tconst char *what;\n\tuint32_t length[2];\n\tunsigned char before[2][128], after[2][128];\n};\n")
print("// clang-format off")
print("static const struct golden_fullnat golden_fullnat[] = {")
for row in rows():
    frames = [[packet(*row, way, after) for way in (0, 1)] for after in (0, 1)]
    print(f"\t{{\"{row[1]} {row[0]} {row[2]}\", {{{len(frames[0][0])}, {len(frames[0][1])}}},")
    for pair in frames:
        print("\t\t{" + ", ".join(bytes_of(data) for data in pair) + "},")
    print("\t},")
print("};")
print("// clang-format on")
