#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""sluicectl doctor on hosts that are not there: every finding is provoked by the one change of a
healthy host or daemon that should provoke it, and nothing else is found.

SLUICECTL is the program.
"""

import copy
import json
import os
import unittest

from case import Case, WithDaemon
from fake_daemon import fixture

CARD = "0000:03:00.0"
PCI = "sys/bus/pci/devices/" + CARD
PAGES = "hugepages/hugepages-2048kB"
MIB = 1 << 20


class Host:
    """/sys, /proc and /etc of a host with two memory nodes and a card that DPDK drives."""

    def __init__(self, root):
        self.root = root
        for path, text in {
                f"sys/kernel/mm/{PAGES}/nr_hugepages": 128,
                f"sys/kernel/mm/{PAGES}/free_hugepages": 64,
                f"sys/devices/system/node/node0/{PAGES}/nr_hugepages": 128,
                f"sys/devices/system/node/node0/{PAGES}/free_hugepages": 64,
                f"sys/devices/system/node/node1/{PAGES}/nr_hugepages": 0,
                "sys/devices/system/node/node0/cpulist": "0-3",
                "sys/devices/system/node/node1/cpulist": "4-7",
                "sys/devices/system/cpu/isolated": "2-3,6",
                "sys/class/net/sluice-up0/address": "02:00:00:00:00:01",
                "sys/class/net/sluice-eth0/address": "02:00:00:00:00:02",
                "proc/sys/net/ipv4/conf/all/rp_filter": 0,
                "proc/sys/net/ipv4/conf/sluice-up0/rp_filter": 0,
                "proc/sys/net/ipv4/conf/sluice-eth0/rp_filter": 0,
                f"{PCI}/numa_node": 0,
                "sys/kernel/iommu_groups/7/type": "DMA"}.items():
            self.write(path, text)
        for core in range(8):
            self.write(f"sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list", core)
        self.link(f"{PCI}/driver", "../../../bus/pci/drivers/vfio-pci")
        self.link(f"{PCI}/iommu_group", "../../../../kernel/iommu_groups/7")

    def write(self, path, text):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")

    def link(self, path, target):
        self.remove(path)
        os.symlink(target, self.root / path)

    def remove(self, path):
        (self.root / path).unlink(missing_ok=True)

    def pages(self, total, free):
        self.write(f"sys/kernel/mm/{PAGES}/nr_hugepages", total)
        self.write(f"sys/kernel/mm/{PAGES}/free_hugepages", free)
        self.write(f"sys/devices/system/node/node0/{PAGES}/nr_hugepages", total)
        self.write(f"sys/devices/system/node/node0/{PAGES}/free_hugepages", free)


class Examined(Case):
    def setUp(self):
        super().setUp()
        self.host = Host(self.directory / "root")

    def doctor(self, *arguments):
        return self.ctl(*arguments, "doctor",
                        environment={"SLUICE_ROOT": str(self.host.root)})

    def findings(self):
        result = self.doctor("-o", "json")
        return result.returncode, json.loads(result.stdout)

    def finds(self, *expected, code=None):
        """Exactly these, each (check, severity, subject, part of seen, part of fix)."""
        got_code, found = self.findings()
        self.assertEqual([(f["check"], f["severity"], f["subject"]) for f in found],
                         [e[:3] for e in expected], found)
        for finding, (*_, seen, fix) in zip(found, expected):
            self.assertIn(seen, finding["seen"])
            self.assertIn(fix, finding["fix"])
        bad = any(e[1] in ("problem", "warning") for e in expected)
        self.assertEqual(got_code, int(bad) if code is None else code)


class Doctor(WithDaemon, Examined):
    """The daemon runs: with a card (setUp), or on AF_XDP (on_af_xdp)."""

    def setUp(self):
        super().setUp()
        self.status = fixture("status") | {
            "ready": True, "reasons": [], "announce": "lo",
            "ports": [{"name": CARD, "device": "pci:" + CARD, "interface": "sluice-up0",
                       "mac": "02:00:00:00:00:01", "queues": 2}],
            "workers": [{"id": 0, "core": 2}, {"id": 1, "core": 3}],
            "cores": {"control": 0, "configured": 2},
            "memory": {"hugepages": True, "bytes": 66 * MIB, "flowsOnHugepages": True}}
        self.services = fixture("services")
        for service in self.services["services"]:
            service["packets"] = {"in": 0, "out": 0}
            for endpoint in service["endpoints"]:
                endpoint.update(ready=True, packets={"in": 0, "out": 0})
                endpoint.pop("reason", None)
        self.web = self.services["services"][0]
        self.daemon.routes["GET /v1/status"] = (200, self.status)
        self.daemon.routes["GET /v1/services"] = (200, self.services)
        self.port = self.status["ports"][0]

    def on_af_xdp(self):
        self.port.update(name="sluice-eth0", device="af_xdp:sluice-eth0", interface="sluice-eth0",
                         mac="02:00:00:00:00:02", afXdp="zero-copy")

    def test_a_healthy_host(self):
        self.expect(self.doctor(), 0, "16 checks, nothing found\n")
        self.finds()
        self.on_af_xdp()
        self.finds()

    def test_what_it_prints(self):
        self.status["memory"]["flowsOnHugepages"] = False
        self.host.link(f"{PCI}/driver", "../../../bus/pci/drivers/e1000e")
        self.expect(
            self.doctor(), 1,
            f"problem: port {CARD}: the kernel's driver e1000e has the card, not vfio-pci [driver]\n"
            f"    fix: sluice-nic bind {CARD}\n"
            "note: flow table: too few hugepages, or no mount for them: the flow table is in "
            "ordinary memory [hugepages]\n"
            "    fix: mount -t hugetlbfs none /dev/hugepages where nothing is mounted, reserve 18 "
            "MiB more, and start sluiced without its file 'flows', which is beside its socket and "
            "holds the connections (hugepages.md)\n"
            "16 checks: 1 problem, 1 note\n")
        self.assertIn("- check: hugepages\n", self.doctor("-o", "yaml").stdout)

    def test_not_ready(self):
        self.status.update(ready=False, reasons=["port sluice-up0 is down"])
        self.finds(("ready", "problem", "sluiced", "port sluice-up0 is down", "ip link"))

    def test_no_hugepages(self):
        self.status["memory"].update(hugepages=False, flowsOnHugepages=False)
        self.host.pages(0, 0)
        # 66 MiB, and 16 MiB of flow table
        self.finds(("hugepages", "warning", "memory", "no hugepages",
                    f"echo 43 >/sys/kernel/mm/{PAGES}/"))
        self.on_af_xdp()  # where they are only faster
        self.finds(("hugepages", "note", "memory", "no hugepages",
                    f"echo 43 >/sys/kernel/mm/{PAGES}/"))

    def test_too_few_hugepages(self):
        self.status["memory"].update(hugepages=False, flowsOnHugepages=False)
        self.host.pages(40, 20)
        self.finds(("hugepages", "warning", "memory", "40 MiB are free of 80 MiB",
                    f"echo 63 >/sys/kernel/mm/{PAGES}/"))

    def test_too_few_hugepages_for_the_flow_table(self):
        self.status["memory"]["flowsOnHugepages"] = False
        self.finds(("hugepages", "note", "flow table", "too few", "18 MiB more"))

    def test_hugepages_that_nobody_uses(self):
        self.status["memory"].update(hugepages=False, flowsOnHugepages=False)
        self.finds(("hugepages", "warning", "memory", "128 MiB of hugepages are free",
                    "memory.hugepages: auto"))

    def test_hugepages_of_the_size_of_which_most_is_free(self):
        large = "sys/kernel/mm/hugepages/hugepages-1048576kB"
        self.status["memory"].update(hugepages=False, flowsOnHugepages=False, bytes=1500 * MIB)
        self.host.pages(300, 290)
        self.host.write(f"{large}/nr_hugepages", 2)
        self.host.write(f"{large}/free_hugepages", 2)
        self.host.write(f"{large}/resv_hugepages", 1)  # promised to others
        self.finds(("hugepages", "warning", "memory", "1024 MiB are free of 2048 MiB",
                    "echo 4 >/sys/kernel/mm/hugepages/hugepages-1048576kB/"))

    def test_hugepages_of_others_on_the_wrong_node(self):
        self.on_af_xdp()
        self.host.write("sys/class/net/sluice-eth0/device/numa_node", 1)
        self.status["workers"] = [{"id": 0, "core": 6}]
        self.status["cores"]["configured"] = 1
        self.status["memory"].update(hugepages=False, flowsOnHugepages=False)
        self.finds(("hugepages", "note", "memory", "sluiced uses none", "auto"))

    def test_no_hugepages_at_the_control_thread(self):
        self.status["memory"].update(hugepages=False, flowsOnHugepages=False)
        self.host.write(f"sys/devices/system/node/node0/{PAGES}/free_hugepages", 0)
        self.finds(("hugepages", "warning", "memory", "free on memory node 0, the control thread's",
                    f"echo 16 >/sys/devices/system/node/node0/{PAGES}/nr_hugepages"))

    def test_hugepages_on_the_wrong_node(self):
        self.host.write(f"{PCI}/numa_node", 1)
        self.status["workers"] = [{"id": 0, "core": 6}]
        self.status["cores"]["configured"] = 1
        self.finds(("node", "warning", f"port {CARD}", "memory node 1, where no hugepages",
                    f"echo 43 >/sys/devices/system/node/node1/{PAGES}/nr_hugepages"))

    def test_workers_on_the_wrong_node(self):
        self.status["workers"][1]["core"] = 6
        self.finds(("node", "warning", "worker 1", "core 6 is far", "0-3"))

    def test_wrong_node_of_an_interface(self):
        self.on_af_xdp()
        self.host.write("sys/class/net/sluice-eth0/device/numa_node", 0)
        self.status["workers"][1]["core"] = 6
        self.finds(("node", "warning", "worker 1", "port sluice-eth0", "0-3"))

    def test_cards_on_two_nodes(self):
        other, third = "0000:04:00.0", "0000:04:00.1"
        for card in other, third:
            self.host.write(f"sys/bus/pci/devices/{card}/numa_node", 1)
            self.host.link(f"sys/bus/pci/devices/{card}/driver",
                           "../../../bus/pci/drivers/mlx5_core")
        self.status["workers"][1]["core"] = 6
        two = [self.port, self.port | {"name": other, "device": "pci:" + other}]
        bond = [self.port | {"name": "bond0", "device": f"bond:802.3ad,{CARD},{other},{third}"}]
        for ports in two, bond:
            self.status["ports"] = ports
            self.host.write(f"sys/devices/system/node/node1/{PAGES}/nr_hugepages", 64)
            self.finds()
            self.host.write(f"sys/devices/system/node/node1/{PAGES}/nr_hugepages", 0)
            self.finds(("node", "warning", f"port {ports[-1]['name']}", "memory node 1",
                        "/node1/"))
        self.host.write(f"sys/devices/system/node/node1/{PAGES}/nr_hugepages", 64)
        self.host.write("sys/devices/system/node/node1/cpulist", "4-5")
        self.finds(("node", "warning", "worker 1", "core 6 is far", "out of 0-3"))

    def test_iommu_off(self):
        self.host.remove(f"{PCI}/iommu_group")
        self.finds(("iommu", "warning", f"port {CARD}", "no IOMMU",
                    "sluice-host-setup --apply --ports 1 --queues 2 --flows 1048576 --cores 2,3,"))
        # A group that vfio made, in no-IOMMU mode.
        self.host.write(f"{PCI}/iommu_group/name", "vfio-noiommu")
        self.finds(("iommu", "warning", f"port {CARD}", "no IOMMU", "firmware"))

    def test_drivers(self):
        for driver in "mlx4_core", "mlx5_core", "mana":  # DPDK works beside these
            self.host.link(f"{PCI}/driver", f"../../../bus/pci/drivers/{driver}")
            self.host.remove(f"{PCI}/iommu_group")
            self.finds()
        self.host.link(f"{PCI}/iommu_group", "../../../../kernel/iommu_groups/7")
        self.host.link(f"{PCI}/driver", "../../../bus/pci/drivers/e1000e")
        self.finds(("driver", "problem", f"port {CARD}", "the kernel's driver e1000e",
                    f"sluice-nic bind {CARD}"))
        self.host.remove(f"{PCI}/driver")
        self.finds(("driver", "problem", f"port {CARD}", "no driver", f"sluice-nic bind {CARD}"))
        self.port["device"] = "pci:0000:04:00.0"
        self.finds(("driver", "problem", "port 0000:04:00.0", "no such card", "sluice-nic list"))

    def test_members_of_a_bond(self):
        self.port["device"] = f"bond:802.3ad,{CARD},0000:04:00.0"
        self.finds(("driver", "problem", "port 0000:04:00.0", "no such card", "sluice-nic list"))

    def test_each_card_of_a_bond_needs_pages(self):
        self.port["device"] = f"bond:802.3ad,{CARD},0000:04:00.0"
        (self.host.root / "sys/bus/pci/devices/0000:04:00.0").mkdir()
        self.host.link("sys/bus/pci/devices/0000:04:00.0/driver", "../../../bus/pci/drivers/vfio-pci")
        self.host.link("sys/bus/pci/devices/0000:04:00.0/iommu_group",
                       "../../../../kernel/iommu_groups/7")
        self.finds()
        self.host.write("sys/devices/system/cpu/isolated", "")
        self.finds(("isolation", "warning", "workers", "not isolated: 2,3;", "--ports 2 --queues 2"))

    def test_member_without_a_link(self):
        self.port["members"] = [{"name": CARD, "up": True}, {"name": "0000:04:00.0", "up": True}]
        self.finds()
        self.port["members"][1]["up"] = False
        self.finds(("members", "warning", f"port {CARD}", "member 0000:04:00.0 has no link", "cable"))

    def test_fewer_queues_than_workers(self):
        self.port["queues"] = 1
        self.finds(("queues", "warning", f"port {CARD}", "queues: 1, for 2", "queues: 2"))
        self.status["workers"].pop()  # the daemon left it out
        self.finds(("queues", "warning", f"port {CARD}", "queues: 1, for 2", "queues: 2"))
        self.status["cores"]["configured"] = 0
        self.finds()
        self.on_af_xdp()
        (self.host.root / "sys/class/net/sluice-eth0/device").mkdir()
        self.status["cores"]["configured"] = 2
        self.finds(("queues", "warning", "port sluice-eth0", "queues: 1, for 2",
                    "ethtool -L sluice-eth0 combined 2"))

    def test_queues_that_a_virtual_interface_has_not(self):
        self.on_af_xdp()
        self.port["queues"] = 1
        self.finds(("queues", "warning", "port sluice-eth0", "queues: 1, for 2",
                    "fewer workers.cores"))

    def test_shared_cores(self):
        self.status["cores"]["control"] = 3
        self.finds(("cores", "warning", "worker 1", "shares core 3 with the control thread",
                    "workers.cores"))
        self.status["cores"]["control"] = 0
        self.status["workers"][1]["core"] = 2
        self.finds(("cores", "warning", "worker 1", "shares core 2 with worker 0", "workers.cores"))

    def test_cores_that_are_two_threads_of_one(self):
        for core in 2, 3:
            self.host.write(f"sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list",
                            "2-3")
        self.finds(("cores", "note", "worker 1", "two threads of one", "lscpu -e"))

    def test_cores_not_isolated(self):
        setup = "sluice-host-setup --apply --ports 1 --queues 2 --flows 1048576 --cores 2,3,"
        self.host.write("sys/devices/system/cpu/isolated", "2")
        # Core 2 would not stay isolated if only 3 were named.
        self.finds(("isolation", "warning", "workers", "not isolated: 3;", setup))
        self.host.write("sys/devices/system/cpu/isolated", "")
        self.finds(("isolation", "warning", "workers", "not isolated: 2,3;", setup))
        self.on_af_xdp()
        self.finds(("isolation", "note", "workers", "not isolated: 2,3;", setup))

    def test_core_that_cannot_be_isolated(self):
        self.status["workers"][0]["core"] = 0
        self.status["cores"]["control"] = 1
        kernels = ("isolation", "warning", "workers", "not isolated: 0;", "without core 0")
        self.finds(kernels)
        self.host.remove(f"{PCI}/iommu_group")
        setup = "sluice-host-setup --apply --ports 1 --queues 2 --flows 1048576 --cores "
        for last, cores in (3, "3,"), (0, "none,"):
            self.status["workers"][1]["core"] = last
            code, found = self.findings()
            self.assertIn(setup + cores, next(f["fix"] for f in found if f["check"] == "iommu"))

    def test_many_cores(self):
        # Every second one, as on hosts whose nodes take turns: lists longer than a line.
        cores = range(100, 228, 2)
        near = ",".join(str(core) for core in range(0, 512, 2))
        self.status["workers"] = [{"id": i, "core": core} for i, core in enumerate(cores)]
        self.status["cores"]["configured"] = len(cores)
        self.port["queues"] = len(cores)
        self.host.write("sys/devices/system/node/node0/cpulist", near)
        self.host.write("sys/devices/system/cpu/isolated", near)
        self.finds()
        self.host.write("sys/devices/system/cpu/isolated", "")
        every = ",".join(str(core) for core in cores)
        self.finds(("isolation", "warning", "workers", every + ";", every + ", and reboot"))

    def test_copy_mode(self):
        self.on_af_xdp()
        self.port["afXdp"] = "copy"
        copies = "AF_XDP is in copy mode"
        self.finds(("copy-mode", "note", "port sluice-eth0", copies, "virtual interface"))
        (self.host.root / "sys/class/net/sluice-eth0/device").mkdir()
        self.finds(("copy-mode", "warning", "port sluice-eth0", copies, "pci: port"))
        self.status["memory"]["hugepages"] = False
        self.finds(("hugepages", "note", "memory", "uses none", "auto"),
                   ("copy-mode", "warning", "port sluice-eth0", copies, "reserve hugepages"))

    def test_rp_filter(self):
        conf = "proc/sys/net/ipv4/conf"
        strict = ("rp-filter", "warning", f"port {CARD}", "strict on sluice-up0",
                  "sysctl -w net/ipv4/conf/sluice-up0/rp_filter=2")
        for every, own, expected in (0, 1, strict), (1, 0, strict), (1, 2, None), (2, 1, None):
            with self.subTest(every=every, own=own):
                self.host.write(f"{conf}/all/rp_filter", every)
                self.host.write(f"{conf}/sluice-up0/rp_filter", own)
                self.finds(*([expected] if expected else []))

    def test_another_network_namespace(self):
        self.host.write("sys/class/net/sluice-up0/address", "02:00:00:00:00:99")
        self.finds(("interface", "skipped", f"port {CARD}", "sluice-up0 is not in this network",
                    "nsenter"))
        self.on_af_xdp()
        self.port["afXdp"] = "copy"
        self.host.remove("sys/class/net/sluice-eth0/address")
        self.finds(("interface", "skipped", "port sluice-eth0", "sluice-eth0 is not", "nsenter"))

    def test_memory_node_of_another_network_namespace(self):
        self.on_af_xdp()
        self.host.write("sys/class/net/sluice-eth0/device/numa_node", 1)
        self.host.write("sys/class/net/sluice-eth0/address", "02:00:00:00:00:99")
        self.finds(("interface", "skipped", "port sluice-eth0", "is not in this network",
                    "nsenter"))

    def test_vip_not_announced(self):
        self.web["announced"] = False
        # Another service of the same address is no other finding.
        self.services["services"].append(dict(self.web, name="other", port=443, endpoints=[]))
        self.finds(("announce", "problem", "virtual IP 10.96.43.114", "not on lo",
                    "ip link show dev lo"))
        self.status["announce"] = "none"
        self.finds(("announce", "note", "virtual IP 10.96.43.114", "announce is none",
                    "ip address add 10.96.43.114 dev lo"))

    def test_endpoints_out_of_reach(self):
        for reason, fix in (("next hop unresolved", "ping 172.17.0.7"),
                            ("no route over a port", "ip route get 172.17.0.7"),
                            ("not on a link", "ipip or gue, as 172.17.0.7"),
                            ("no source address", "tunnels to 172.17.0.7"),
                            ("something new", "more of 172.17.0.7")):
            with self.subTest(reason):
                self.web["endpoints"][1].update(ready=False, reason=reason)
                self.finds(("next-hop", "problem",
                            "endpoint 172.17.0.7:8080 of default/tomcat-load-balancer", reason, fix))

    def test_endpoint_that_is_gone_while_it_drains(self):
        self.web["endpoints"][1].update(ready=False, reason="next hop unresolved", state="draining")
        self.finds(("next-hop", "note", "endpoint 172.17.0.7:8080 of default/tomcat-load-balancer",
                    "next hop unresolved", "ping 172.17.0.7"))

    def with_traffic(self, before, after=None):
        """The first endpoint's packets (in, out), at the first look and a second later."""
        answers = []
        for packets in before, after or before:
            services = copy.deepcopy(self.services)
            both = {"in": packets[0], "out": packets[1]}
            services["services"][0]["packets"] = both
            services["services"][0]["endpoints"][0]["packets"] = both
            answers.append(services)
        daemon = self.daemon

        class Routes(dict):
            def get(self, key, default=None):
                if key == "GET /v1/services":
                    asked = sum(call[1] == "/v1/services" for call in daemon.calls)
                    return 200, answers[(asked - 1) % 2]
                return super().get(key, default)

        daemon.routes = Routes(daemon.routes)

    def test_return_path_that_bypasses_sluice(self):
        silent = ("return-path", "warning",
                  "endpoint 172.17.0.5:8080 of default/tomcat-load-balancer")
        bypassed = (*silent, "3 packets went there and none came back", "default gateway")
        for before, after, expected in (
                ((3, 0), (3, 0), [bypassed]),
                ((2, 0), (2, 0), []),                 # too early to say
                ((1000, 900), (1000, 900), []),       # nobody asks now
                ((1000, 900), (1009, 900), []),
                ((1000, 900), (1010, 900), [(*silent, "10 packets", "fullnat")]),
                ((1000, 900), (1010, 901), [])):
            with self.subTest(before=before, after=after):
                self.with_traffic(before, after)
                self.finds(*expected)

    def test_return_path_where_it_needs_not_lead_back(self):
        for forwarding in "l2dsr", "ipip", "gue", "fullnat":
            self.web["forwarding"] = forwarding
            self.with_traffic((1000, 0))
            self.finds()
        self.web.update(forwarding="nat", protocol="UDP")  # which may never answer
        self.with_traffic((1000, 0))
        self.finds(("return-path", "note",
                    "endpoint 172.17.0.5:8080 of default/tomcat-load-balancer",
                    "fine where nothing is answered", "listens there"))

    def test_lists_that_change_between_the_looks(self):
        # Another service of the same servers, which had its traffic before.
        self.services["services"].insert(1, dict(copy.deepcopy(self.web), name="other"))
        self.with_traffic((1000, 900))
        first = self.daemon.routes
        no_endpoint, no_service = copy.deepcopy(self.services), copy.deepcopy(self.services)
        no_endpoint["services"][0]["endpoints"].pop(0)
        no_service["services"].pop(0)
        no_service["services"][0]["endpoints"][0]["packets"] = {"in": 5000, "out": 900}
        for later in no_endpoint, no_service:
            class Routes(dict):
                def get(self, key, default=None):
                    found = first.get(key, default)
                    self.asked = getattr(self, "asked", 0) + (key == "GET /v1/services")
                    return (200, later) if key == "GET /v1/services" and self.asked > 1 else found

            self.daemon.routes = Routes()
            self.finds()

    def test_fields_of_other_types_do_no_harm(self):
        for wrong in None, True, -1, "x" * 300, [], [1, "a", [{}]], {}, {"a": {"in": "x"}}:
            for value in {key: wrong for key in self.status}, dict(self.status, ports=[wrong]), wrong:
                self.daemon.routes["GET /v1/status"] = (200, value)
                self.daemon.routes["GET /v1/services"] = (200, {"services": [
                    wrong, {key: wrong for key in self.web}, dict(self.web, endpoints=[wrong])]})
                with self.subTest(wrong=wrong):
                    self.assertIn(self.doctor().returncode, (0, 1, 3))

    def test_control_characters_do_not_reach_the_terminal(self):
        self.status.update(ready=False, reasons=["a\x1b[31mb\nc"])
        self.assertIn("not ready: a?[31mb?c [ready]", self.doctor().stdout)

    def test_refusal_of_the_daemon(self):
        self.daemon.routes["GET /v1/services"] = (503, b"{}")
        result = self.doctor()
        self.assertEqual(result.returncode, 1)
        self.assertIn("HTTP 503", result.stderr)
        self.assertIn("it does not answer", result.stdout)


class Alone(Examined):
    """No daemon answers: the host is looked at all the same, and the daemon's configuration."""

    NOT_ASKED = ("ready, members, copy-mode, announce, next-hop, return-path", "skipped", "sluiced",
                 "does not answer", "systemctl status sluiced")
    UNKNOWN = ("interface, node, iommu, driver, queues, cores, isolation, checksums, rp-filter",
               "skipped", "sluiced", "no configuration", "sluice.yaml")

    def configure(self, workers="[2, 3]", hugepages="auto", queues=2):
        self.host.write("etc/sluice/sluice.yaml", f"""
ports:
  - {{device: 'pci:{CARD}', queues: {queues}, interface: sluice-up0}}
workers: {{cores: {workers}}}
memory: {{hugepages: {hugepages}}}""")

    def test_without_a_configuration(self):
        self.finds(self.UNKNOWN, self.NOT_ASKED, code=3)
        result = self.doctor()
        self.assertIn("no such socket", result.stderr)
        self.assertTrue(result.stdout.endswith("16 checks: 2 skipped\n"), result.stdout)
        self.host.pages(0, 0)
        self.finds(("hugepages", "note", "memory", "no hugepages", "sluice-host-setup --plan"),
                   self.UNKNOWN, self.NOT_ASKED, code=3)

    def test_of_a_healthy_host(self):
        self.configure()
        self.finds(self.NOT_ASKED, code=3)

    def test_why_it_does_not_start(self):
        self.configure(queues=1)
        self.host.pages(64, 0)
        self.host.link(f"{PCI}/driver", "../../../bus/pci/drivers/e1000e")
        self.host.remove(f"{PCI}/iommu_group")
        self.finds(("hugepages", "problem", "memory", "in use by others", "sluice-host-setup"),
                   ("iommu", "problem", f"port {CARD}", "no IOMMU", "firmware"),
                   ("driver", "problem", f"port {CARD}", "e1000e", f"sluice-nic bind {CARD}"),
                   ("queues", "warning", f"port {CARD}", "queues: 1, for 2", "queues: 2"),
                   self.NOT_ASKED, code=3)

    def test_interfaces_before_the_daemon_starts(self):
        self.configure()
        self.host.remove("sys/class/net/sluice-up0/address")  # the daemon makes it
        self.finds(self.NOT_ASKED, code=3)
        self.host.write("etc/sluice/sluice.yaml", "ports: [{device: 'af_xdp:sluice-eth1'}]")
        self.finds(("interface", "problem", "port sluice-eth1", "no such interface", "ip link"),
                   self.NOT_ASKED, code=3)

    def test_hugepages_that_are_required(self):
        self.host.write("etc/sluice/sluice.yaml",
                        "ports: [{device: 'vdev:net_null0'}]\nmemory: {hugepages: require}")
        self.host.pages(0, 0)
        self.finds(("hugepages", "problem", "memory", "no hugepages", "sluice-host-setup"),
                   self.NOT_ASKED, code=3)

    def test_bad_configuration(self):
        self.host.write("etc/sluice/sluice.yaml", "ports: []")
        self.finds(("configuration", "problem", "configuration", "sluice.yaml:1", "--check"),
                   self.UNKNOWN, self.NOT_ASKED, code=3)


if __name__ == "__main__":
    unittest.main()
