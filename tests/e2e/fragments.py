#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Datagrams that are too large for a packet, and TCP, at both ends.

serve PORT [backward]      echoes each datagram, and each TCP connection once it has all of it;
                           backward: sends the answer's fragments itself, the last one first
udp ADDRESS PORT N [SIZE [SOURCE]]
                           N sockets, one after the other, send SIZE (8000) random bytes and must
                           get them back: no second try. From SOURCE: backward
twins ADDRESS PORT N SOURCE SOURCE
                           N times two sockets whose datagrams have one number, fragments by turns
tcp ADDRESS PORT BYTES     the same over one connection
later SOURCE ADDRESS N     N last fragments of datagrams whose others never come; identified by 1
                           to N, so that SOURCE must have sent nothing else to ADDRESS
"""

import os
import select
import socket
import struct
import sys
import threading
import time

SIZE = 8000
PIECE = 1200  # bytes of a datagram in a fragment
FRAGMENT = 44
V6ONLY = (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
ASK_V4 = (socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
ASK_V6 = (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def packed(address):
    return socket.inet_pton(family_of(address), address)


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def datagram(source, destination, payload):
    """UDP header and payload, from (address, port) to (address, port)."""
    length = 8 + len(payload)
    addresses = packed(source[0]) + packed(destination[0])
    pseudo = addresses + struct.pack("!HH", socket.IPPROTO_UDP, length)
    header = struct.pack("!HHH", source[1], destination[1], length)
    value = checksum(pseudo + header + b"\0\0" + payload) or 0xFFFF
    return header + struct.pack("!H", value) + payload


def fragment(source, destination, number, offset, data, more):
    if family_of(source) == socket.AF_INET6:
        return (struct.pack("!IHBB", 6 << 28, 8 + len(data), FRAGMENT, 64) + packed(source)
                + packed(destination)
                + struct.pack("!BBHI", socket.IPPROTO_UDP, 0, offset | more, number) + data)
    return (struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), number,
                        offset // 8 | (0x2000 if more else 0), 64, socket.IPPROTO_UDP, 0)
            + packed(source) + packed(destination) + data)


def raw_socket(address):
    return socket.socket(family_of(address), socket.SOCK_RAW, socket.IPPROTO_RAW)


def next_number():
    """Not one of the last minute's, whichever process asks: no host uses one again that soon."""
    time.sleep(0.001)
    return int(time.monotonic() * 1000) & 0xFFFF


def fragments(source, destination, payload, number):
    whole = datagram(source, destination, payload)
    for offset in range(0, len(whole), PIECE):
        data = whole[offset:offset + PIECE]
        yield fragment(source[0], destination[0], number, offset, data, offset + PIECE < len(whole))


def send_backward(source, destination, payload):
    pieces = list(fragments(source, destination, payload, next_number()))
    with raw_socket(source[0]) as raw:
        for piece in reversed(pieces):
            raw.sendto(piece, (destination[0], 0))


def asked_address(control):
    _, kind, data = control[0]
    if kind == 8:
        return socket.inet_ntop(socket.AF_INET, data[8:12])
    return socket.inet_ntop(socket.AF_INET6, data[:16])


def echo_datagram(s, backward):
    """The answer comes from the address that was asked."""
    data, control, _, client = s.recvmsg(65535, 256)
    mine = asked_address(control)
    if backward:
        send_backward((mine, s.getsockname()[1]), client[:2], data)
        return
    if s.family == socket.AF_INET:
        info = (socket.IPPROTO_IP, 8, struct.pack("i4s4s", 0, packed(mine), bytes(4)))
    else:
        info = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, packed(mine) + struct.pack("i", 0))
    s.sendmsg([data], [info], 0, client)


def read_all(connection):
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def echo_connection(connection):
    with connection:
        connection.sendall(read_all(connection))


def serve(port, backward):
    sockets = []
    for family, wildcard, ask in ((socket.AF_INET, "0.0.0.0", ASK_V4), (socket.AF_INET6, "::", ASK_V6)):
        udp = socket.socket(family, socket.SOCK_DGRAM)
        tcp = socket.socket(family, socket.SOCK_STREAM)
        udp.setsockopt(*ask)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for s in (udp, tcp):
            if family == socket.AF_INET6:
                s.setsockopt(*V6ONLY)
            s.bind((wildcard, port))
            sockets.append(s)
        tcp.listen(16)
    while True:
        for s in select.select(sockets, [], [])[0]:
            if s.type == socket.SOCK_DGRAM:
                echo_datagram(s, backward)
            else:
                threading.Thread(target=echo_connection, args=(s.accept()[0],), daemon=True).start()


def ask_udp(address, port, size=SIZE, source=None):
    payload = os.urandom(int(size))
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as s:
        s.settimeout(15)
        if source:
            s.bind((source, 0))
        s.connect((address, port))
        if source:
            send_backward(s.getsockname()[:2], (address, port), payload)
        else:
            s.send(payload)
        return answers(s, payload)


def answers(s, payload):
    try:
        answer = s.recv(65535)
    except OSError as error:
        print(f"{s.getsockname()}: {error}", file=sys.stderr)
        return False
    return answer == payload


def ask_twins(address, port, sources):
    number = next_number()
    payloads = [os.urandom(SIZE) for _ in sources]
    sockets = [socket.socket(family_of(address), socket.SOCK_DGRAM) for _ in sources]
    for s, source in zip(sockets, sources):
        s.settimeout(15)
        s.bind((source, 0))
        s.connect((address, port))
    pieces = [fragments(s.getsockname()[:2], (address, port), payload, number)
              for s, payload in zip(sockets, payloads)]
    with raw_socket(address) as raw:
        for turn in zip(*pieces):
            for piece in turn:
                raw.sendto(piece, (address, 0))
    return all([answers(s, payload) for s, payload in zip(sockets, payloads)])


def ask_tcp(address, port, size):
    payload = os.urandom(size)
    with socket.create_connection((address, port), timeout=30) as s:
        sender = threading.Thread(target=lambda: (s.sendall(payload), s.shutdown(socket.SHUT_WR)))
        sender.start()
        answer = read_all(s)
        sender.join()
    return answer == payload


def send_later(source, address, count):
    with raw_socket(address) as raw:
        for number in range(1, count + 1):
            raw.sendto(fragment(source, address, number, PIECE, b"x" * 100, False), (address, 0))


def main():
    what, *rest = sys.argv[1:]
    if what == "serve":
        serve(int(rest[0]), rest[1:] == ["backward"])
    elif what == "udp":
        print(sum(ask_udp(rest[0], int(rest[1]), *rest[3:]) for _ in range(int(rest[2]))))
    elif what == "twins":
        print(sum(ask_twins(rest[0], int(rest[1]), rest[3:]) for _ in range(int(rest[2]))))
    elif what == "tcp":
        print("same" if ask_tcp(rest[0], int(rest[1]), int(rest[2])) else "different")
    elif what == "later":
        send_later(rest[0], rest[1], int(rest[2]))


main()
