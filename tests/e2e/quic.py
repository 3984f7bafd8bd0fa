#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""As much of QUIC as a load balancer sees: headers and connection ids.

serve ADDRESS PORT LENGTH           an endpoint: gives out connection ids with its server id of
                                    LENGTH bytes; says its address to who has one of them, and
                                    "stranger" to others
keep ADDRESS PORT COUNT SOURCE...   COUNT connections, each asking every 50 ms from a port that is
                                    new and from the SOURCE addresses in turn, until SIGTERM; says
                                    "all connected"; then for each who answered, in order of
                                    appearance
"""

import hashlib
import os
import select
import signal
import socket
import struct
import sys
import time

VERSION = 1
INITIAL, HANDSHAKE, SHORT = 0xC0, 0xE0, 0x40


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def long_packet(first, to, of, payload=b""):
    return (
        struct.pack(">BIB", first, VERSION, len(to)) + to + bytes([len(of)]) + of + payload
    )


def read_long(packet):
    """(destination id, source id, payload)"""
    end = 6 + packet[5]
    start = end + 1
    return packet[6:end], packet[start : start + packet[end]], packet[start + packet[end] :]


def serve(address, port, length):
    name = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    server_id = hashlib.sha256(name.encode()).digest()[:length]
    given = {}  # by the client's first id; and all the ids themselves
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as s:
        s.bind((address, port))
        while True:
            packet, client = s.recvfrom(2048)
            if packet[0] & 0xF0 == INITIAL:
                to, of, _ = read_long(packet)
                if to not in given:
                    mine = bytes([os.urandom(1)[0] & 0x1F]) + server_id + os.urandom(6)
                    given[to] = given[mine] = mine
                s.sendto(long_packet(HANDSHAKE, of, given[to]), client)
                continue
            # Every id that it gives out is as long.
            size = 1 + length + 6
            mine = read_long(packet)[0] if packet[0] & 0x80 else packet[1 : 1 + size]
            s.sendto((address if mine in given else "stranger").encode(), client)


def exchange(address, port, source, packet):
    """Sends from a port that is new; the answer, or None."""
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as s:
        s.bind((source, 0))
        s.connect((address, port))
        for _ in range(3):
            try:
                s.send(packet)
            except OSError:  # refused
                continue
            if select.select([s], [], [], 1)[0]:
                try:
                    return s.recv(2048)
                except OSError:
                    continue
    return None


class Connection:
    def __init__(self, address, port, source):
        # A first id that would name an endpoint, were it read: all zeros in front.
        self.to = None
        self.answers = []
        first = bytes(10) + os.urandom(8)
        answer = exchange(address, port, source, long_packet(INITIAL, first, b"client"))
        if answer:
            self.to = read_long(answer)[1]
            self.ask(address, port, source, long_packet(HANDSHAKE, self.to, b"client"))

    def ask(self, address, port, source, packet=None):
        packet = packet or bytes([SHORT]) + self.to + os.urandom(30)
        answer = (exchange(address, port, source, packet) or b"nobody").decode()
        if not self.answers or self.answers[-1] != answer:
            self.answers.append(answer)


def keep(address, port, count, sources):
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    connections = [Connection(address, port, sources[0]) for _ in range(count)]
    if not all(c.to for c in connections):
        return 1
    print("all connected", flush=True)
    turn = 0
    while not ended:
        turn += 1
        for i, c in enumerate(connections):
            c.ask(address, port, sources[(turn + i) % len(sources)])
        time.sleep(0.05)
    for c in connections:
        print("connection", *c.answers, flush=True)
    return 0


def main():
    if sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    sys.exit(keep(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:]))


main()
