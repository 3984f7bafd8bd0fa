# SPDX-License-Identifier: BSD-3-Clause
"""A daemon that answers over a UNIX socket with what a test tells it to, and remembers the calls."""

import datetime
import http.server
import json
import pathlib
import re
import socketserver
import threading

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def moment(text):
    """'@3h20m' as RFC 3339, that long ago; a second more, as the test takes its time."""
    seconds = sum(int(n) * UNITS[u] for n, u in re.findall(r"(\d+)([smhd])", text)) + 1
    then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds)
    return then.strftime("%Y-%m-%dT%H:%M:%SZ")


def fixture(name):
    text = (FIXTURES / f"{name}.json").read_text()
    return json.loads(re.sub(r'"(@[0-9smhd]+)"', lambda m: json.dumps(moment(m[1])), text))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        daemon = self.server
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length).decode()
        daemon.calls.append((self.command, self.path, self.headers.get("Content-Type"), body))
        if daemon.stall.is_set():
            daemon.done.wait(30)
            return
        if daemon.hang_up:
            self.close_connection = True
            return
        status, value = daemon.routes.get(
            f"{self.command} {self.path}",
            (404, {"error": {"code": "not_found", "message": f"no {self.path} here"}}),
        )
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if data:
            self.wfile.write(data)

    do_GET = do_PUT = do_PATCH = do_POST = do_DELETE = answer

    def address_string(self):
        return "client"  # a UNIX socket has no address to show

    def log_message(self, *args):
        pass


class FakeDaemon(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path):
        super().__init__(str(path), Handler)
        self.calls = []
        self.stall = threading.Event()
        self.done = threading.Event()
        self.hang_up = False
        services = fixture("services")
        self.routes = {
            "GET /v1/status": (200, fixture("status")),
            "GET /v1/services": (200, services),
            "POST /v1/apply": (200, fixture("applied")),
        }
        for service in services["services"]:
            path = f"/v1/services/{service['namespace']}/{service['name']}"
            self.routes[f"GET {path}"] = (200, service)
            self.routes[f"DELETE {path}"] = (200, fixture("changed"))
            self.routes[f"PUT {path}/endpoints"] = (200, fixture("changed"))
            self.routes[f"PATCH {path}/endpoints"] = (200, fixture("changed"))
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.done.set()
        self.shutdown()
        self.server_close()
