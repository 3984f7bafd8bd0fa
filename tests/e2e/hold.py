#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""hold.py SECONDS COUNT URL SHA256: COUNT downloads at once, opened over SECONDS.

Says "all connected" when every one has received its first bytes, checks every digest, and exits 1
when a connection broke, stalled for 20 s or brought other bytes.
"""

import asyncio
import collections
import hashlib
import sys
import urllib.parse

STALL = 20


async def download(url, wanted, started):
    reader, writer = await asyncio.wait_for(
        asyncio.open_connection(url.hostname, url.port), STALL
    )
    try:
        writer.write(f"GET {url.path}?{url.query} HTTP/1.0\r\nHost: held\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), STALL)
        if b" 200 " not in head.split(b"\r\n")[0]:
            return "not 200: " + head.split(b"\r\n")[0].decode()
        started()
        digest = hashlib.sha256()
        while data := await asyncio.wait_for(reader.read(1 << 16), STALL):
            digest.update(data)
        return "whole" if digest.hexdigest() == wanted else "other bytes"
    finally:
        writer.close()


async def main():
    seconds, count, url, wanted = sys.argv[1:]
    count = int(count)
    connected = 0

    def started():
        nonlocal connected
        connected += 1
        if connected == count:
            print("all connected", flush=True)

    async def one(i):
        await asyncio.sleep(float(seconds) * i / count)
        try:
            return await download(urllib.parse.urlsplit(url), wanted, started)
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
            return repr(error)

    results = collections.Counter(await asyncio.gather(*(one(i) for i in range(count))))
    for what, number in results.most_common():
        print(number, what, flush=True)
    return 0 if results["whole"] == count else 1


sys.exit(asyncio.run(main()))
