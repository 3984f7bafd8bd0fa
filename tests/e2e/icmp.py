#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a client hears of one datagram that may not be fragmented.

icmp.py ADDRESS PORT [TTL [SIZE]]   sends it, of SIZE bytes with all headers, until there is an
                                    answer or an ICMP error about it (at most three seconds);
                                    prints "answer", "error TYPE/CODE from HOST" or "nothing",
                                    and for fragmentation needed and packet too big "mtu MTU"
"""
import select
import socket
import struct
import sys
import time

V4 = (socket.IPPROTO_IP, 10, 11, socket.IP_TTL)  # IP_MTU_DISCOVER, IP_RECVERR
V6 = (socket.IPPROTO_IPV6, 23, 25, socket.IPV6_UNICAST_HOPS)  # the same of IPv6
PMTUDISC_DO = 2
ORIGIN_ICMP, ORIGIN_ICMP6 = 2, 3


def heard(s):
    """An ICMP error out of the socket's queue, as text; None where the error is our own kernel's."""
    _, control, _, _ = s.recvmsg(65535, 512, socket.MSG_ERRQUEUE)
    data = control[0][2]
    _, origin, kind, code, _, info, _ = struct.unpack("=IBBBBII", data[:16])
    if origin not in (ORIGIN_ICMP, ORIGIN_ICMP6):
        return None
    if origin == ORIGIN_ICMP:
        host = socket.inet_ntop(socket.AF_INET, data[20:24])
    else:
        host = socket.inet_ntop(socket.AF_INET6, data[24:40])
    too_big = (origin, kind) == (ORIGIN_ICMP6, 2) or (origin, kind, code) == (ORIGIN_ICMP, 3, 4)
    return f"error {kind}/{code} from {host}" + (f" mtu {info}" if too_big else "")


def ask(address, port, ttl, size):
    v6 = ":" in address
    level, discover, errors, hops = V6 if v6 else V4
    with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(level, discover, PMTUDISC_DO)
        s.setsockopt(level, errors, 1)
        s.setsockopt(level, hops, ttl)
        s.connect((address, port))
        poll = select.poll()
        poll.register(s, select.POLLIN)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            try:
                s.send(b"?" * (size - (48 if v6 else 28)))
            except OSError:  # an error is there already
                pass
            for _, events in poll.poll(500):
                if events & select.POLLERR:
                    error = heard(s)
                    if error:
                        return error
                elif s.recv(100):
                    return "answer"
    return "nothing"


arguments = sys.argv[3:] + ["64", "100"][len(sys.argv) - 3:]
print(ask(sys.argv[1], int(sys.argv[2]), int(arguments[0]), int(arguments[1])))
