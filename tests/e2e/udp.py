#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""UDP at both ends.

serve PORT [NAME]      answers every datagram, from the address it was sent to, with that address
                       or the name
ask ADDRESS PORT N     N sockets ask once each (three tries of a second); prints how many of
                       which answer; exit 1 where one had none
keep ADDRESS PORT N    N sockets ask every 50 ms until SIGTERM; says "all answered" once each has
                       an answer; then prints for each who answered it, in order of appearance
"""

import collections
import select
import signal
import socket
import struct
import sys
import time


def serve(port, name=None):
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
            s.sendmsg([(name or mine).encode()], control[:1], 0, client)


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


def keep(address, port, count):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flows = {socket.socket(family, socket.SOCK_DGRAM): [] for _ in range(count)}
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    for s in flows:
        s.connect((address, port))
    said = False
    while not ended:
        for s in flows:
            try:
                s.send(b"who are you?")
            except OSError:  # refused: the next answer counts
                pass
        until = time.monotonic() + 0.05
        while (left := until - time.monotonic()) > 0:
            for s in select.select(list(flows), [], [], left)[0]:
                try:
                    answer = s.recv(100).decode()
                except OSError:
                    answer = "refused"
                if not flows[s] or flows[s][-1] != answer:
                    flows[s].append(answer)
        if not said and all(flows.values()):
            said = True
            print("all answered", flush=True)
    for answers in flows.values():
        print("flow", *answers, flush=True)


def main():
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]), *sys.argv[3:])
    if sys.argv[1] == "keep":
        sys.exit(keep(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
    answers = collections.Counter()
    for _ in range(int(sys.argv[4])):
        answers[ask_once(sys.argv[2], int(sys.argv[3]))] += 1
        if answers["nobody"] == 3:  # enough is known
            break
    for answer, count in sorted(answers.items()):
        print(count, answer)
    sys.exit(1 if answers["nobody"] or answers["refused"] else 0)


main()
