# SPDX-License-Identifier: BSD-3-Clause
"""What tests of sluicectl begin with: a place of their own, the program, and a fake daemon."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from fake_daemon import FakeDaemon

HERE = pathlib.Path(__file__).parent
PROGRAM = os.environ.get("SLUICECTL", "sluicectl")


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="sluicectl-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.socket = self.directory / "sluice.sock"

    def ctl(self, *arguments, environment=(), **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        if "input" in options:
            del options["stdin"]
        environment = dict(os.environ, LC_ALL="C.UTF-8", http_proxy="http://192.0.2.1:1",
                           **dict(environment))
        return subprocess.run(
            [PROGRAM, "-s", str(self.socket), *arguments],
            stdout=options.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE, text=True,
            timeout=60, env=environment, **options,
        )

    def expect(self, result, code, out="", err=""):
        self.assertEqual((result.returncode, result.stdout, result.stderr), (code, out, err))

    def expect_error(self, result, code, *parts):
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertTrue(result.stderr.startswith("sluicectl: "), result.stderr)
        for part in parts:
            self.assertIn(part, result.stderr)


class WithDaemon(Case):
    def setUp(self):
        super().setUp()
        self.daemon = FakeDaemon(self.socket)
        self.addCleanup(self.daemon.close)

    def last_call(self):
        method, path, content_type, body = self.daemon.calls[-1]
        return method, path, content_type, json.loads(body) if body else None

    def change_call(self):
        """The one call that is no GET."""
        calls = [c for c in self.daemon.calls if c[0] != "GET"]
        self.assertEqual(len(calls), 1)
        method, path, content_type, body = calls[0]
        return method, path, content_type, json.loads(body) if body else None

    def golden(self, name, *arguments):
        result = self.ctl(*arguments)
        path = HERE / "golden" / f"{name}.txt"
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        if os.environ.get("SLUICE_GOLDEN_WRITE"):
            path.write_text(result.stdout)
        self.assertEqual(result.stdout, path.read_text())
        for line in result.stdout.splitlines():
            self.assertEqual(line, line.rstrip())
