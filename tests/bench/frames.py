#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes captures for net_pcap: frames.py DIRECTORY FILES FRAMES writes DIRECTORY/N.pcap for N from 0,
each of FRAMES frames, no two of all of the same flow: the smallest TCP packets to 10.96.43.114, port
8080."""

import random
import struct
import sys

MAC = bytes.fromhex("027063617000")  # net_pcap's own
SOURCE_MAC = bytes.fromhex("020000000002")
VIP = bytes([10, 96, 43, 114])


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def frame(flow):
    source = struct.pack("!I", 0x40000000 + (flow >> 6))
    tcp = struct.pack("!HHIIBBHHH", 1024 + (flow & 63), 8080, 1, 1, 5 << 4, 0x10, 65535, 0, 0)
    pseudo = source + VIP + struct.pack("!BBH", 0, 6, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0) + source + VIP
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return (MAC + SOURCE_MAC + b"\x08\x00" + ip + tcp).ljust(60, b"\0")


def main():
    directory, files, frames = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    flows = list(range(files * frames))
    random.Random(1).shuffle(flows)
    for n in range(files):
        with open(f"{directory}/{n}.pcap", "wb") as out:
            out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
            for flow in flows[n * frames : (n + 1) * frames]:
                data = frame(flow)
                out.write(struct.pack("<IIII", 0, 0, len(data), len(data)) + data)


main()
