#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""clients.py ADDRESS PORT TIMES SOURCE...

From each SOURCE address TIMES requests for /, each over a connection of its own. Prints a line a
SOURCE: who answered it, each once.
"""

import http.client
import sys


def ask(address, port, source):
    connection = http.client.HTTPConnection(address, port, 5, source_address=(source, 0))
    connection.request("GET", "/", headers={"Connection": "close"})
    return connection.getresponse().read().decode().strip()


address, port, times, *sources = sys.argv[1:]
for source in sources:
    print(*sorted({ask(address, int(port), source) for _ in range(int(times))}))
