# SPDX-License-Identifier: BSD-3-Clause
"""ask.py SOCKET SECONDS COMMAND: has a test machine's agent run a shell command; its output and exit
status are the command's. 125: the machine did not answer."""
import json
import socket
import sys

path, seconds, command = sys.argv[1], float(sys.argv[2]), sys.argv[3]
try:
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(seconds + 10)
    s.connect(path)
    s.sendall(json.dumps([command, seconds]).encode() + b"\n")
    answer = b""
    while not answer.endswith(b"\n"):
        data = s.recv(65536)
        if not data:
            raise OSError("closed")
        answer += data
    status, output = json.loads(answer)
except OSError as problem:
    print(f"the machine does not answer: {problem}", file=sys.stderr)
    sys.exit(125)
sys.stdout.write(output)
sys.exit(status)
