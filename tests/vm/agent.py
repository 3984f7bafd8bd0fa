# SPDX-License-Identifier: BSD-3-Clause
"""Runs commands in a test machine: each line from the virtio port is JSON, [command, seconds]; the
answer is a line of JSON, [exit status, output]."""
import json
import os
import subprocess
import time

PORT = "/dev/virtio-ports/machine.agent"


def run(command, seconds):
    try:
        done = subprocess.run(["bash", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=seconds)
        return [done.returncode, done.stdout.decode(errors="replace")]
    except subprocess.TimeoutExpired as late:
        return [124, (late.stdout or b"").decode(errors="replace") + "timed out\n"]


def serve(port):
    line = b""
    while True:
        data = os.read(port, 65536)
        if not data:  # nobody is at the other end
            line = b""
            time.sleep(0.05)
            continue
        line += data
        while b"\n" in line:
            request, line = line.split(b"\n", 1)
            os.write(port, json.dumps(run(*json.loads(request))).encode() + b"\n")


serve(os.open(PORT, os.O_RDWR))
