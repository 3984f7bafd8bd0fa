#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""UDP at both ends.

serve PORT             answers every datagram with the address it was sent to
ask ADDRESS PORT N     N sockets ask once each (three tries of a second); prints how many of
                       which answer; exit 1 where one had none, or one from a stranger
"""

import collections
import select
import socket
import struct
import sys


def serve(port):
    v4 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    v4.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
    v4.bind(("0.0.0.0", port))
    v6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    v6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    v6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    v6.bind(("::", port))
    while True:
        for s in select.select([v4, v6], [], [])[0]:
            _, control, _, client = s.recvmsg(65535, 256)
            packet_info = control[0][2]
            if s is v4:
                mine = socket.inet_ntop(socket.AF_INET, struct.unpack("i4s4s", packet_info)[2])
            else:
                mine = socket.inet_ntop(socket.AF_INET6, packet_info[:16])
            s.sendto(mine.encode(), client)


def ask_once(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        s.connect((address, port))  # a datagram from elsewhere is not for this socket
        for _ in range(3):
            try:
                s.send(b"who are you?")
                return s.recv(100).decode()
            except (socket.timeout, ConnectionRefusedError) as error:
                answer = "refused" if isinstance(error, ConnectionRefusedError) else "nobody"
        return answer


def main():
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    answers = collections.Counter(
        ask_once(sys.argv[2], int(sys.argv[3])) for _ in range(int(sys.argv[4]))
    )
    for answer, count in sorted(answers.items()):
        print(count, answer)
    sys.exit(1 if answers["nobody"] or answers["refused"] else 0)


main()
