#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""sluicectl against a fake daemon: what it sends, what it shows, how it fails.

SLUICECTL is the program. SLUICE_GOLDEN_WRITE=1 writes the golden files anew: read the diff.
"""

import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import unittest

from case import HERE, PROGRAM, Case, WithDaemon
from fake_daemon import FakeDaemon, fixture, moment

ROOT = HERE.parent.parent
WEB = "/v1/services/default/tomcat-load-balancer"
SUMMARY = "(generation 8, live on all workers in 412us, 16384 rows moved)\n"


class Shows(WithDaemon):
    def test_status(self):
        self.golden("status", "status")
        self.assertEqual(self.last_call(), ("GET", "/v1/status", None, None))

    def test_lists(self):
        for what in "services", "endpoints", "workers", "ports":
            with self.subTest(what):
                self.golden(what, "get", what)

    def test_described_service(self):
        self.golden("describe", "describe", "service", "tomcat-load-balancer")
        self.assertEqual(self.last_call(), ("GET", WEB, None, None))

    def test_described_service_without_endpoints(self):
        self.golden("describe_empty", "describe", "svc", "infra/dns")

    def test_described_affinity_and_server_ids(self):
        path = "GET /v1/services/infra/dns"
        dns = self.daemon.routes[path][1]
        self.daemon.routes[path] = (200, dns | {
            "sessionAffinity": "ClientIP", "sessionAffinityTimeout": "3h",
            "quic": {"serverIdLength": 4},
            "endpoints": [{"ip": "2001:db8::1", "port": 5353, "serverId": "00bd52f6"},
                          {"ip": "2001:db8::2", "port": 443, "serverId": "1004cb45"}]})
        lines = self.ctl("describe", "service", "infra/dns").stdout.splitlines()
        for line in ("Session Affinity:         ClientIP",
                     "Session Affinity Timeout: 3h",
                     "QUIC Server IDs:",
                     "  ENDPOINT            SERVER-ID",
                     "  [2001:db8::1]:5353  00bd52f6",
                     "  [2001:db8::2]:443   1004cb45"):
            self.assertIn(line, lines)

    def test_one_service_by_name_and_namespace(self):
        for arguments in ["infra/dns"], ["-n", "infra", "dns"], ["dns", "--namespace=infra"]:
            with self.subTest(arguments):
                result = self.ctl("get", "services", *arguments)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(self.last_call()[1], "/v1/services/infra/dns")
                self.assertEqual(len(result.stdout.splitlines()), 2)

    def test_namespace_filters_lists(self):
        out = self.ctl("get", "services", "-n", "infra").stdout
        self.assertIn("dns", out)
        self.assertNotIn("tomcat", out)
        self.expect(self.ctl("get", "endpoints", "-n", "nowhere"), 0,
                    err="No endpoints in namespace nowhere.\n")

    def test_aliases(self):
        expected = self.ctl("get", "services").stdout
        for word in "svc", "service":
            self.assertEqual(self.ctl("get", word).stdout, expected)
        self.assertEqual(self.ctl("get", "ep").stdout, self.ctl("get", "endpoints").stdout)

    def test_absent_fields_show_as_dashes(self):
        self.daemon.routes["GET /v1/status"] = (200, {})
        self.daemon.routes["GET /v1/services"] = (200, {"services": [{"name": "web"}]})
        self.daemon.routes["GET /v1/services/default/web"] = (
            200, {"name": "web", "since": "yesterday", "endpoints": [{}]})
        for arguments in (["status"], ["get", "services"], ["get", "endpoints"], ["get", "ports"],
                          ["describe", "service", "web"], ["get", "endpoints", "web"]):
            with self.subTest(arguments):
                self.assertEqual(self.ctl(*arguments).returncode, 0)
        self.assertIn("-  ", self.ctl("get", "services").stdout)

    def test_fields_of_other_types_do_no_harm(self):
        for wrong in None, True, -1, 1.5, "x" * 300, [], [1, "a", [{}]], {}, {"a": {"in": "x"}}:
            self.daemon.routes["GET /v1/status"] = (200, {k: wrong for k in fixture("status")})
            service = {k: wrong for k in fixture("services")["services"][0]}
            endpoint = {k: wrong for k in fixture("services")["services"][0]["endpoints"][0]}
            for one in service, dict(service, endpoints=[endpoint, wrong]), wrong:
                self.daemon.routes["GET /v1/services"] = (200, {"services": [one]})
                self.daemon.routes[f"GET {WEB}"] = (200, one if isinstance(one, dict) else {})
                for arguments in (["status"], ["get", "ports"], ["get", "workers"],
                                  ["get", "services"], ["get", "endpoints"],
                                  ["describe", "service", "tomcat-load-balancer"],
                                  ["get", "endpoints", "tomcat-load-balancer"]):
                    with self.subTest(arguments, wrong=wrong):
                        self.assertEqual(self.ctl(*arguments).returncode, 0)

    def column(self, services, header, what="services"):
        """What a list shows under a header, of services that the daemon answers with."""
        self.daemon.routes["GET /v1/services"] = (200, {"services": services})
        lines = [line.split() for line in self.ctl("get", what).stdout.splitlines()]
        return [line[lines[0].index(header)] for line in lines[1:]]

    def test_ages_are_kubectls(self):
        rows = (("@5s", "6s"), ("@118s", "119s"), ("@2m", "2m1s"), ("@5m2s", "5m3s"), ("@10m", "10m"),
                ("@179m", "179m"), ("@3h", "3h"), ("@7h59m", "7h59m"), ("@8h", "8h"), ("@47h", "47h"),
                ("@48h", "2d"), ("@7d23h", "7d23h"), ("@8d", "8d"), ("@400d", "400d"))
        now = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=-5)))
        then = now - datetime.timedelta(minutes=30, seconds=30)
        later = now + datetime.timedelta(minutes=30)
        rows += ((then.isoformat(), "30m"), (then.isoformat(timespec="seconds"), "30m"),
                 (later.isoformat(), "0s"), ("2026-11-24", "-"), ("2026-11-24T00:00:00", "-"))
        services = [{"name": "x", "since": moment(t) if t[0] == "@" else t} for t, _ in rows]
        shown = self.column(services, "AGE")
        for (text, expected), age in zip(rows, shown, strict=True):
            with self.subTest(text):
                # A second may pass on the way, where seconds show.
                follow = re.sub(r"(\d+)s$", lambda m: f"{int(m[1]) + 1}s", expected)
                self.assertIn(age, {expected, follow})

    def test_sizes(self):
        rows = ((0, "0B"), (1023, "1023B"), (1024, "1.0KiB"), (1048524, "1023.9KiB"),
                (1048575, "1.0MiB"), (5 << 30, "5.0GiB"), (3 << 40, "3.0TiB"), (1 << 62, "4.0EiB"))
        endpoints = [{"ip": "10.0.0.1", "port": 1, "state": "active", "bytes": {"in": n, "out": 0}}
                     for n, _ in rows]
        self.assertEqual(self.column([{"name": "x", "endpoints": endpoints}], "BYTES-IN",
                                     "endpoints"), [text for _, text in rows])

    def test_letters_beyond_ascii_stay_aligned(self):
        self.daemon.routes["GET /v1/services"] = (200, {"services": [
            {"namespace": "default", "name": "größe", "ip": "X1"},
            {"namespace": "default", "name": "abcde", "ip": "X2"},
            {"namespace": "default", "name": "日本", "ip": "X3"}]})
        lines = self.ctl("get", "services").stdout.splitlines()
        self.assertEqual(lines[1].index("X1"), lines[2].index("X2"))
        self.assertEqual(lines[3].index("X3") + 2, lines[2].index("X2"))

    def test_control_characters_do_not_reach_the_terminal(self):
        self.daemon.routes["GET /v1/services"] = (200, {"services": [{"name": "a\x1b[31mb\nc"}]})
        self.assertIn("a?[31mb?c", self.ctl("get", "services").stdout)

    def test_json_is_the_daemons(self):
        for arguments, value in (
                (["status"], fixture("status")),
                (["get", "ports"], {"ports": fixture("status")["ports"]}),
                (["get", "workers"], {"workers": fixture("status")["workers"]})):
            with self.subTest(arguments):
                out = self.ctl("-o", "json", *arguments).stdout
                self.assertEqual(json.loads(out), value)
                self.assertTrue(out.startswith("{\n  "))
        listed = json.loads(self.ctl("get", "services", "-o", "json").stdout)
        self.assertEqual([s["name"] for s in listed["services"]], ["tomcat-load-balancer", "dns"])
        one = json.loads(self.ctl("get", "services", "infra/dns", "-o", "json").stdout)
        self.assertEqual(one["ip"], "2001:db8::53")
        rows = json.loads(self.ctl("get", "endpoints", "-o", "json").stdout)["endpoints"]
        self.assertEqual((len(rows), rows[0]["service"], rows[0]["ip"]),
                         (4, "tomcat-load-balancer", "172.17.0.5"))
        described = json.loads(self.ctl("describe", "service", "infra/dns", "-o", "json").stdout)
        self.assertEqual(described["protocol"], "UDP")


class Yaml(WithDaemon):
    STRINGS = ["", "~", "null", "true", "No", "on", "y", "12", "-1", "+1", "1.5", "1e5", "0x1f",
               "0o17", "0b1", "1_000", ".inf", "-.INF", ".nan", "12:30", "02:00:00:00:00:01",
               "2026-11-24", "2026-11-24T03:51:42Z", "<<", "=", "- a", "a: b", "a #b", "#", "[x",
               "{x", "*x", "&x", "!x", "%x", "@x", "`x", "'", '"', "\\", " x", "x ", "a\nb",
               "tab\there", "größe", "日本", "\u0001", "?", ":", "-", "...", "---", "a" * 300,
               "172.17.0.5", "2001:db8::1", "412us", "[2001:db8::1]:53", "word " * 60]

    def test_golden(self):
        value = {"text": ["plain", "12", "true", "02:00:00:00:00:01", "172.17.0.5", "", "a\nb"],
                 "other": {"n": 12, "f": 0.25, "t": True, "nothing": None}, "none": [], "empty": {}}
        self.daemon.routes["GET /v1/status"] = (200, value)
        self.golden("yaml", "status", "-o", "yaml")

    def test_strings_stay_strings(self):
        try:
            import yaml
        except ImportError:
            self.skipTest("python3-yaml is not installed: no second reader to compare with")
        value = {"list": self.STRINGS, "keys": {s: i for i, s in enumerate(self.STRINGS)},
                 "numbers": [0, -1, 2**53, 0.3124, 1.5e300], "other": [True, False, None, [], {}],
                 "deep": [[1, [2, {"a": [{}]}]]]}
        self.daemon.routes["GET /v1/status"] = (200, value)
        result = self.ctl("status", "-o", "yaml")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(yaml.safe_load(result.stdout)["list"], self.STRINGS)
        read = yaml.safe_load(result.stdout)
        read["numbers"] = [float(n) for n in read["numbers"]]  # 1.5e300 is YAML 1.2's, not 1.1's
        self.assertEqual(read, value)


class Changes(WithDaemon):
    def test_set_endpoints(self):
        result = self.ctl("set", "endpoints", "tomcat-load-balancer", "172.17.0.5:8080",
                          "172.17.0.7:8080=3", "[2001:db8::7]:80=0")
        self.assertEqual(self.change_call(), (
            "PUT", f"{WEB}/endpoints", "application/json",
            {"endpoints": [{"ip": "172.17.0.5", "port": 8080},
                           {"ip": "172.17.0.7", "port": 8080, "weight": 3},
                           {"ip": "2001:db8::7", "port": 80, "weight": 0}]}))
        self.expect(result, 0, "service default/tomcat-load-balancer: 4 endpoints, 1 draining "
                    + SUMMARY)

    def test_patches(self):
        endpoint = {"ip": "172.17.0.9", "port": 8080}
        for verb in "add", "remove", "drain":
            for noun in "endpoint", "endpoints":
                with self.subTest(f"{verb} {noun}"):
                    self.daemon.calls.clear()
                    result = self.ctl(verb, noun, "tomcat-load-balancer", "172.17.0.9:8080",
                                      "172.17.0.9:8080")
                    self.assertEqual(self.change_call(), (
                        "PATCH", f"{WEB}/endpoints", "application/json",
                        {verb: [endpoint, endpoint]}))
                    self.assertEqual(result.returncode, 0, result.stderr)
        self.daemon.calls.clear()
        self.ctl("add", "endpoint", "tomcat-load-balancer", "172.17.0.9:8080=65535")
        self.assertEqual(self.change_call()[3], {"add": [dict(endpoint, weight=65535)]})

    def test_delete(self):
        result = self.ctl("delete", "service", "infra/dns")
        self.assertEqual(self.change_call(), ("DELETE", "/v1/services/infra/dns", None, None))
        self.expect(result, 0, "service infra/dns: deleted " + SUMMARY)

    def test_counts_in_words(self):
        path = "/v1/services/infra/dns"
        self.daemon.routes[f"PUT {path}/endpoints"] = (
            200, {"generation": 9, "applied": "1.2ms", "rowsMoved": 1})
        self.daemon.routes[f"GET {path}"] = (200, {"endpoints": [{}]})
        self.expect(self.ctl("set", "endpoints", "infra/dns", "1.2.3.4:5"), 0,
                    "service infra/dns: 1 endpoint "
                    "(generation 9, live on all workers in 1.2ms, 1 row moved)\n")

    def test_change_is_done_though_the_service_can_not_be_shown(self):
        del self.daemon.routes[f"GET {WEB}"]
        self.expect(self.ctl("drain", "endpoint", "tomcat-load-balancer", "172.17.0.9:8080"), 0,
                    "service default/tomcat-load-balancer: done " + SUMMARY)

    def test_nothing_changed(self):
        self.daemon.routes[f"PATCH {WEB}/endpoints"] = (
            200, {"generation": 7, "applied": "0us", "rowsMoved": 0, "changed": False})
        self.expect(self.ctl("drain", "endpoint", "tomcat-load-balancer", "172.17.0.9:8080"), 0,
                    "service default/tomcat-load-balancer: 4 endpoints, 1 draining, "
                    "unchanged (generation 7)\n")

    def test_change_that_is_not_saved_warns(self):
        self.daemon.routes["DELETE /v1/services/infra/dns"] = (
            200, dict(fixture("changed"), stateSaved=False))
        result = self.ctl("delete", "service", "infra/dns")
        self.assertEqual((result.returncode, result.stdout),
                         (0, "service infra/dns: deleted " + SUMMARY))
        self.assertIn("could not save", result.stderr)

    def test_json_of_a_change(self):
        out = self.ctl("delete", "service", "infra/dns", "-o", "json").stdout
        self.assertEqual(json.loads(out), fixture("changed"))

    def test_names_are_escaped(self):
        self.ctl("get", "services", "-n", "a b", "x?y#%\u00e4")
        self.assertEqual(self.last_call()[1], "/v1/services/a%20b/x%3Fy%23%25%C3%A4")


class Apply(WithDaemon):
    APPLIED = ("service default/tomcat-load-balancer: 4 endpoints " + SUMMARY
               + "service infra/dns: unchanged, 0 endpoints\n")

    def file(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return str(path)

    def sent(self):
        return self.daemon.calls[-1]

    def test_file_goes_out_as_it_is(self):
        text = "services:\n- name: größe\n  ip: 10.0.0.1 # no newline"
        self.expect(self.ctl("apply", "-f", self.file("a.yaml", text)), 0, self.APPLIED)
        self.assertEqual(self.sent(), ("POST", "/v1/apply", "application/yaml", text))

    def test_json(self):
        text = '\n {"services": []}\n'
        self.ctl("apply", "--filename", self.file("a.json", text))
        self.assertEqual(self.sent(), ("POST", "/v1/apply", "application/json", text))

    def test_standard_input(self):
        self.expect(self.ctl("apply", "-f", "-", input="a: 1\n"), 0, self.APPLIED)
        self.assertEqual(self.sent()[3], "a: 1\n")

    def test_empty_file(self):
        self.daemon.routes["POST /v1/apply"] = (200, {"generation": 8, "applied": "0us",
                                                      "rowsMoved": 0, "services": []})
        result = self.ctl("apply", "-f", self.file("a.yaml", ""))
        self.assertEqual(self.sent()[3], "")
        self.assertIn("no service changed", result.stdout)

    def test_files_are_one_change(self):
        self.ctl("apply", "-f", self.file("a.yaml", "a: 1"), "-f", "-",
                 "-f", self.file("c.yaml", "%YAML 1.2\n---\nc: 3\n"),
                 "-f", self.file("d.yaml", "\ufeffd: 4\n"), input="b: 2\n")
        self.assertEqual(len(self.daemon.calls), 1)
        text = "a: 1\n---\nb: 2\n...\n%YAML 1.2\n---\nc: 3\n---\nd: 4\n"
        self.assertEqual(self.sent(), ("POST", "/v1/apply", "application/yaml", text))

    def test_refusal_names_file_and_line(self):
        a, b = self.file("a.yaml", "1\n2\n3"), self.file("b.yaml", "1\n2\n")
        # The stream is 1 2 3 --- 1 2.
        for line, place in (1, f"{a}:1"), (3, f"{a}:3"), (5, f"{b}:1"), (6, f"{b}:2"):
            with self.subTest(line):
                error = dict(fixture("error")["error"], line=line)
                self.daemon.routes["POST /v1/apply"] = (400, {"error": error})
                self.expect(self.ctl("apply", "-f", a, "-f", b), 1, "",
                            f"sluicectl: {place}: services[0].port: "
                            "99999 is not a port (1-65535)\n")

    def test_refusal_without_a_line(self):
        error = {"error": {"code": "conflict", "message": "taken", "path": ""}}
        self.daemon.routes["POST /v1/apply"] = (422, error)
        a = self.file("a.yaml", "a")
        self.expect(self.ctl("apply", "-f", a), 1, "", f"sluicectl: {a}: taken\n")
        self.expect(self.ctl("apply", "-f", "-"), 1, "", "sluicectl: standard input: taken\n")
        self.expect(self.ctl("apply", "-f", a, "-f", a), 1, "", "sluicectl: taken\n")

    def test_what_can_not_be_read(self):
        for path in self.directory / "missing.yaml", self.directory:
            with self.subTest(path):
                self.expect_error(self.ctl("apply", "-f", str(path)), 2, str(path))
        self.expect_error(self.ctl("apply", "-f", "-", "-f", "-"), 2, "once")
        self.expect_error(self.ctl("apply"), 2, "-f FILE")
        self.assertEqual(self.daemon.calls, [])

    def test_too_big(self):
        big = self.directory / "big.yaml"
        with open(big, "wb") as file:
            file.truncate((16 << 20) + 1)
        self.expect_error(self.ctl("apply", "-f", str(big)), 1, "16 MiB")

    def test_big(self):
        text = "# " + "x" * 4_000_000 + "\n"
        self.assertEqual(self.ctl("apply", "-f", "-", input=text).returncode, 0)
        self.assertEqual(self.sent()[3], text)


class Refusals(WithDaemon):
    def test_message_and_path(self):
        self.daemon.routes[f"PUT {WEB}/endpoints"] = (400, fixture("error"))
        self.expect(self.ctl("set", "endpoints", "tomcat-load-balancer", "1.2.3.4:5"), 1, "",
                    "sluicectl: services[0].port: 99999 is not a port (1-65535)\n")

    def test_unknown_service(self):
        for command in (["describe", "service"], ["delete", "service"], ["get", "services"],
                        ["get", "endpoints"]):
            with self.subTest(command):
                self.expect(self.ctl(*command, "nope"), 1, "",
                            "sluicectl: no /v1/services/default/nope here\n")

    def test_refusal_without_words(self):
        for body in b"", b"<html>", b"{}", b'{"error": "x"}':
            with self.subTest(body):
                self.daemon.routes["GET /v1/status"] = (503, body)
                self.expect(self.ctl("status"), 1, "", "sluicectl: the daemon answered HTTP 503\n")


class Usage(Case):
    """Nobody is asked: there is no daemon."""

    def test_hints(self):
        for words, hint in (
                ("gte services", "unknown command 'gte' - did you mean 'get'?"),
                ("aply -f x", "did you mean 'apply'?"),
                ("desc service x", "did you mean 'describe'?"),
                ("get servcies", "cannot get 'servcies' - did you mean 'services'?"),
                ("get nodes", "cannot get 'nodes', only services, endpoints, workers or ports"),
                ("get", "get what? services, endpoints, workers or ports"),
                ("delete", "delete what? service"),
                ("frobnicate", "unknown command 'frobnicate' (see 'sluicectl --help')"),
                ("status --outptu json", "did you mean '--output'?"),
                ("status -x", "unknown option '-x'"),
                ("status -o xml", "table, json, yaml"),
                ("status -o", "wants its FORMAT"),
                ("status --version=1", "takes no argument"),
                ("status --timeout soon", "30s"),
                ("status --timeout 0", "1ms"),
                ("status --timeout nan", "1ms"),
                ("status extra", "too many arguments"),
                ("status -n x", "--namespace has no place here"),
                ("get services -f x", "--filename has no place here"),
                ("describe service", "an argument is missing"),
                ("set endpoints web", "an argument is missing"),
                ("describe service a/b/c", "not the name of a service"),
                ("describe service a/", "not the name of a service"),
                ("describe service ..", "not the name of a service"),
                ("describe service -n x/y z", "not a name of a namespace"),
                ("describe service -n x y/z", "give one of the two"),
                ("help gte", "did you mean 'get'?"),
                ("gte --help", "did you mean 'get'?")):
            with self.subTest(words):
                self.expect_error(self.ctl(*words.split()), 2, hint)

    def test_endpoints(self):
        for text, why in (
                ("", "port is missing"),
                ("172.17.0.5", "port is missing"),
                ("172.17.0.5:", "1 to 65535"),
                ("172.17.0.5:0", "1 to 65535"),
                ("172.17.0.5:65536", "1 to 65535"),
                ("172.17.0.5:http", "1 to 65535"),
                ("172.17.0.5:+80", "1 to 65535"),
                ("172.17.0.5:80=", "0 to 65535"),
                ("172.17.0.5:80=65536", "0 to 65535"),
                ("172.17.0.5:80=-1", "0 to 65535"),
                ("172.17.0.5:80=1.5", "0 to 65535"),
                ("172.17.0.256:80", "not an IPv4 or IPv6 address"),
                ("web:80", "not an IPv4 or IPv6 address"),
                (":80", "not an IPv4 or IPv6 address"),
                ("2001:db8::1:80", "[ADDR]:PORT"),
                ("[2001:db8::1]", "[ADDR]:PORT"),
                ("[2001:db8::1:80", "[ADDR]:PORT"),
                ("[172.17.0.5]:80", "not an IPv4 or IPv6 address")):
            for verb, noun in ("set", "endpoints"), ("add", "endpoint"):
                with self.subTest(f"{verb} {text}"):
                    self.expect_error(self.ctl(verb, noun, "web", "10.0.0.1:1", text), 2,
                                      f"endpoint '{text}': ", why)
        for verb in "remove", "drain":
            self.expect_error(self.ctl(verb, "endpoint", "web", "172.17.0.5:80=1"), 2,
                              "a weight has no place here")

    def test_no_command(self):
        result = self.ctl()
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn("Usage: sluicectl", result.stderr)

    def test_help(self):
        everything = self.ctl("--help")
        self.assertEqual((everything.returncode, everything.stderr), (0, ""))
        self.assertEqual(self.ctl("help").stdout, everything.stdout)
        for words in self.commands():
            with self.subTest(words):
                result = self.ctl(*words, "--help")
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                self.assertTrue(result.stdout.startswith("Usage: sluicectl [OPTION]... "
                                                         + " ".join(words)), result.stdout)
                if words != ["help"]:
                    self.assertEqual(self.ctl("help", *words).stdout, result.stdout)
        for line in everything.stdout.splitlines():
            self.assertLessEqual(len(line), 100)

    def test_version(self):
        self.assertRegex(self.ctl("--version").stdout, r"^sluicectl \d+\.\d+\.\d+\n$")

    def commands(self):
        """The commands as --help lists them: [["status"], ["get", "services"], ...]"""
        text = self.ctl("--help").stdout.split("Commands:\n")[1].split("\n\n")[0]
        found = [re.match(r"  ([a-z]+(?: [a-z]+)?)", line) for line in text.splitlines()]
        return [m[1].split() for m in found if m]

    def test_manual_and_completion_know_every_command_and_option(self):
        manual = (ROOT / "man" / "sluicectl.1").read_text().replace("\\-", "-")
        completion = (ROOT / "scripts" / "completion" / "sluicectl.bash").read_text()
        for words in self.commands():
            self.assertIn(" ".join(words), manual)
            for word in words:
                self.assertRegex(completion, rf"\b{word}\b")
        for option in re.findall(r"--[a-z]+", self.ctl("--help").stdout.split("Options:")[1]):
            self.assertIn(option, manual)
            self.assertIn(option, completion)


class Unreachable(Case):
    def test_no_socket(self):
        self.expect_error(self.ctl("status"), 3, str(self.socket), "no such socket")

    def test_nobody_listens(self):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(self.socket))
        self.expect_error(self.ctl("status"), 3, str(self.socket), "nobody listens")

    def test_not_a_socket(self):
        self.socket.write_text("")
        self.expect_error(self.ctl("status"), 3, str(self.socket), "not a socket")

    def test_path_too_long(self):
        self.socket = self.directory / ("x" * 120)
        self.expect_error(self.ctl("status"), 3, "too long")

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to become somebody who is not")
    def test_permission(self):
        daemon = FakeDaemon(self.socket)
        self.addCleanup(daemon.close)
        os.chmod(self.socket, 0o660)
        os.chmod(self.directory, 0o755)
        program = self.directory / "sluicectl"  # nobody may not read every build directory
        shutil.copy(PROGRAM, program)
        result = subprocess.run([program, "-s", self.socket, "status"], user=65534, group=65534,
                                extra_groups=[], capture_output=True, text=True, timeout=60)
        self.expect_error(result, 3, str(self.socket), "permission denied", "group")

    def test_not_our_daemon(self):
        daemon = FakeDaemon(self.socket)
        self.addCleanup(daemon.close)
        for answer in (200, b"hello"), (200, b"[]"), (200, b""), (302, b"{}"):
            with self.subTest(answer):
                daemon.routes["GET /v1/status"] = answer
                self.expect_error(self.ctl("status"), 3, "does not answer as sluiced does")

    def test_closed_without_an_answer(self):
        daemon = FakeDaemon(self.socket)
        self.addCleanup(daemon.close)
        daemon.hang_up = True
        self.expect_error(self.ctl("status"), 3, "closed the connection")

    def test_stalled_daemon(self):
        daemon = FakeDaemon(self.socket)
        self.addCleanup(daemon.close)
        daemon.stall.set()
        result = self.ctl("--timeout", "200ms", "status")
        self.expect_error(result, 3, str(self.socket), "did not answer within 0.2 s")
        self.assertNotIn("may have been made", result.stderr)
        result = self.ctl("--timeout", "0.2", "delete", "service", "web")
        self.expect_error(result, 3, "may have been made")


class Completion(WithDaemon):
    def complete(self, line):
        """What bash offers for the last word of the line."""
        words = line.split(" ")
        script = (f"source {ROOT}/scripts/completion/sluicectl.bash; COMP_WORDS=({line}"
                  + ("''" if words[-1] == "" else "") + f"); COMP_CWORD={len(words) - 1}; "
                  "_sluicectl; printf '%s\\n' \"${COMPREPLY[@]}\"")
        path = f"{pathlib.Path(PROGRAM).parent}:{os.environ['PATH']}"
        return subprocess.run(["bash", "-c", script], env=dict(os.environ, PATH=path), text=True,
                              capture_output=True, timeout=60).stdout.split()

    def test_words(self):
        for line, expected in (
                ("sluicectl d", ["describe", "delete", "drain", "doctor"]),
                ("sluicectl get ", ["services", "endpoints", "workers", "ports"]),
                ("sluicectl -o json get s", ["services"]),
                ("sluicectl -o ", ["table", "json", "yaml"]),
                ("sluicectl get --na", ["--namespace"]),
                ("sluicectl status ", []),
                (f"sluicectl -s {self.socket} describe service ",
                 ["default/tomcat-load-balancer", "infra/dns"]),
                (f"sluicectl -s {self.socket} drain endpoint inf", ["infra/dns"])):
            with self.subTest(line):
                self.assertEqual(self.complete(line), expected)


class Output(WithDaemon):
    def test_broken_pipe_ends_quietly(self):
        for action in signal.SIG_DFL, signal.SIG_IGN:
            with self.subTest(action):
                read, write = os.pipe()
                os.close(read)
                result = self.ctl("status", stdout=write, restore_signals=False,
                                  preexec_fn=lambda: signal.signal(signal.SIGPIPE, action))
                os.close(write)
                self.assertIn(result.returncode, (-signal.SIGPIPE, 1))
                self.assertEqual(result.stderr, "")

    def test_full_disk_is_told(self):
        for arguments in (["status"], ["status", "-o", "json"], ["status", "-o", "yaml"],
                          ["--help"]):
            with self.subTest(arguments), open("/dev/full", "w") as full:
                result = self.ctl(*arguments, stdout=full)
                self.assertEqual(result.returncode, 1)
                self.assertIn("No space left on device", result.stderr)


if __name__ == "__main__":
    unittest.main()
