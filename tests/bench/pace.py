#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""pace.py ADDRESS PORT COUNT PAUSE_MS

Asks for / COUNT times over one HTTP connection, with a pause before each question. Prints the median
and the 99th percentile of the time to the answer, in microseconds.
"""

import socket
import sys
import time

address, port, count, pause = sys.argv[1:]
question = b"GET / HTTP/1.1\r\nHost: web\r\n\r\n"
took = []
with socket.create_connection((address, int(port)), 5) as connection:
    for _ in range(int(count)):
        time.sleep(int(pause) / 1000)
        begin = time.perf_counter_ns()
        connection.sendall(question)
        if not connection.recv(65536):
            sys.exit("the server hung up")
        took.append((time.perf_counter_ns() - begin) / 1000)
took.sort()
print(round(took[len(took) // 2], 1), round(took[len(took) * 99 // 100], 1))
