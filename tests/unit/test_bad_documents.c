// SPDX-License-Identifier: BSD-3-Clause
// Documents that must be refused: what the error says, to the letter, and that nothing of them
// comes out.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/address.h"
#include "control/change.h"
#include "control/config.h"

enum what { CONFIG, APPLY, ENDPOINTS, PATCH };

struct row {
	enum what what;
	int status;
	const char *text;
	const char *error;
};

#define PORTS "ports: [{device: af_xdp:eth1}]\n"
// A service without its braces.
#define WEB "name: web, ip: 10.0.0.1, port: 80"
#define SLICE                                                                                      \
	"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"                                   \
	"metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}\n"
#define SERVICE "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"

static const struct row rows[] = {
        // Not even a document.
        {CONFIG, 400, "a: [1, 2\n",
         "t.yaml:2: while parsing a flow sequence: did not find "
         "expected ',' or ']'"},
        {CONFIG, 400, "a: 1\n b: 2\n", "t.yaml:2: mapping values are not allowed in this context"},
        {CONFIG, 400, "a: 1\n\tb: 2\n",
         "t.yaml:2: while scanning a plain scalar: found a tab character that violates "
         "indentation"},
        {CONFIG, 400, "a: 1\nb: 2\na: 3\n", "t.yaml:3: the key 'a' is here twice"},
        {CONFIG, 400, "a: &x [1]\n", "t.yaml:1: anchors are not supported"},
        {CONFIG, 400, "a: 1\nb: *x\n", "t.yaml:2: aliases are not supported"},
        {CONFIG, 400, "a: 1\nb: !!int 7\n", "t.yaml:2: tags are not supported"},
        {CONFIG, 400, "? [a]\n: 1\n",
         "t.yaml:1: a key must be a plain value, not a list or an object"},
        {CONFIG, 400, "a: 1\nb: \"\\0\"\n", "t.yaml:2: a string with a NUL character in it"},
        {CONFIG, 400, "a: 1\nb: \xff\n", "t.yaml:2: invalid leading UTF-8 octet"},
        {CONFIG, 400, "# nothing\n", "t.yaml: there is no configuration in it"},
        {CONFIG, 400, "[1]\n", "t.yaml:1: a list is not an object"},

        // The configuration.
        {CONFIG, 400, "announce: lo\n", "t.yaml:1: 'ports' is missing"},
        {CONFIG, 400, PORTS "\nanounce: lo\n",
         "t.yaml:3: anounce: 'anounce' is not a key here; did you mean 'announce'?"},
        {CONFIG, 400, PORTS "xyzzy: lo\n", "t.yaml:2: xyzzy: 'xyzzy' is not a key here"},
        {CONFIG, 400, PORTS "announce: 'a b'\n",
         "t.yaml:2: announce: 'a b' is not an interface's name"},
        {CONFIG, 400, "ports: []\n", "t.yaml:1: ports: 0 ports: there must be 1-16"},
        {CONFIG, 400, "ports:\n", "t.yaml:1: ports: null is not a list"},
        {CONFIG, 400, "ports:\n  - device: eth1\n",
         "t.yaml:2: ports[0].device: 'eth1' is not a device (af_xdp:IFACE, pci:BDF, "
         "bond:MODE,BDF,BDF, vdev:ARGS)"},
        {CONFIG, 400, "ports:\n  - queues: 1\n    device: pci:01:00.0\n",
         "t.yaml:3: ports[0].device: '01:00.0' is not a PCI address (as 0000:03:00.0)"},
        {CONFIG, 400, "ports: [{device: 'bond:lacp,0000:03:00.0,0000:03:00.1'}]\n",
         "t.yaml:1: ports[0].device: 'lacp,0000:03:00.0,0000:03:00.1' does not begin with a "
         "mode (active-backup, balance-xor, 802.3ad)"},
        {CONFIG, 400, "ports: [{device: 'bond:802.3ad,0000:03:00.0'}]\n",
         "t.yaml:1: ports[0].device: '802.3ad,0000:03:00.0' has less than two members"},
        {CONFIG, 400, "ports: [{device: 'bond:802.3ad,0000:03:00.0,'}]\n",
         "t.yaml:1: ports[0].device: '802.3ad,0000:03:00.0,' has a member that is no PCI "
         "address (as 0000:03:00.0)"},
        {CONFIG, 400, "ports: [{device: 'bond:802.3ad,0000:03:00.0,0000:03:00.0'}]\n",
         "t.yaml:1: ports[0].device: '802.3ad,0000:03:00.0,0000:03:00.0' has a member twice"},
        {CONFIG, 400, "ports: [{device: 'bond:802.3ad,a,b,c,d,e,f,g,h,i'}]\n",
         "t.yaml:1: ports[0].device: '802.3ad,a,b,c,d,e,f,g,h,i' has more than 8 members"},
        {CONFIG, 400, "ports:\n  - device: pci:0000:03:00.0\n    interface: a/b\n",
         "t.yaml:3: ports[0].interface: 'a/b' is not an interface's name"},
        {CONFIG, 400, "ports:\n  - device: af_xdp:eth1\n    interface: eth2\n",
         "t.yaml:3: ports[0].interface: an af_xdp port is the kernel's interface already"},
        {CONFIG, 400, "ports: [{device: 'af_xdp:'}]\n",
         "t.yaml:1: ports[0].device: nothing stands behind 'af_xdp:'"},
        {CONFIG, 400, "ports: [{device: af_xdp:interface-too-long}]\n",
         "t.yaml:1: ports[0].device: 'interface-too-long' is not an interface's name"},
        {CONFIG, 400, "ports:\n- device: af_xdp:a\n- device: af_xdp:a\n",
         "t.yaml:3: ports[1].device: 'af_xdp:a' is ports[0] already"},
        {CONFIG, 400, "ports: [{device: af_xdp:a, queues: 0}]\n",
         "t.yaml:1: ports[0].queues: 0 is not a number of queues (1-64)"},
        {CONFIG, 400, PORTS "workers:\n  cores: all\n",
         "t.yaml:3: workers.cores: 'all' is not 'auto' or a list of cores"},
        {CONFIG, 400, PORTS "workers: {cores: [2, 3, 2]}\n",
         "t.yaml:2: workers.cores[2]: core 2 is in the list already"},
        {CONFIG, 400, PORTS "workers: {idle: lazy}\n",
         "t.yaml:2: workers.idle: 'lazy' is not one of adaptive or poll"},
        {CONFIG, 400, PORTS "memory: {hugepages: off, hugepage: 1}\n",
         "t.yaml:2: memory.hugepage: 'hugepage' is not a key here; did you mean 'hugepages'?"},
        {CONFIG, 400, PORTS "memory: {hugepages: false}\n",
         "t.yaml:2: memory.hugepages: false is not one of auto, require or off"},
        {CONFIG, 400, PORTS "flows: {capacity: 12.5}\n",
         "t.yaml:2: flows.capacity: 12.5 is not a number of flows (1024-1073741824)"},
        {CONFIG, 400, PORTS "flows: {timeouts: {udp: 180}}\n",
         "t.yaml:2: flows.timeouts.udp: 180 has no unit (ms, s, m or h, as in '30s')"},
        {CONFIG, 400, PORTS "flows: {timeouts: {udp: 3 days}}\n",
         "t.yaml:2: flows.timeouts.udp: '3 days' is not a duration (as '500ms', '30s', '5m', "
         "'2h')"},
        {CONFIG, 400, PORTS "flows: {timeouts: {udp: 25h}}\n",
         "t.yaml:2: flows.timeouts.udp: '25h' is out of range (1s-24h)"},
        {CONFIG, 400, PORTS "flows: {timeouts: {udp: 500ms}}\n",
         "t.yaml:2: flows.timeouts.udp: '500ms' is out of range (1s-24h)"},
        {CONFIG, 400, PORTS "cluster: {seed: 12345}\n",
         "t.yaml:2: cluster.seed: 12345 is not a string: put it in quotes"},
        {CONFIG, 400, PORTS "cluster: {seed: \"\"}\n", "t.yaml:2: cluster.seed: must not be empty"},
        {CONFIG, 400, PORTS "control: {mode: 0660}\n",
         "t.yaml:2: control.mode: 660 is not a file mode: write it in quotes, as \"0660\""},
        {CONFIG, 400, PORTS "control: {mode: '0999'}\n",
         "t.yaml:2: control.mode: '0999' is not a file mode (as \"0660\")"},
        {CONFIG, 400, PORTS "control: {socket: run/x.sock}\n",
         "t.yaml:2: control.socket: 'run/x.sock' is not an absolute path"},
        {CONFIG, 400, PORTS "metrics: {listen: 9690}\n",
         "t.yaml:2: metrics.listen: 9690 is not ADDRESS:PORT (as '127.0.0.1:9690')"},
        {CONFIG, 400, PORTS "state: []\n", "t.yaml:2: state: a list is not an object"},
        {CONFIG, 400, SERVICE,
         "t.yaml:1: the first document must be the configuration; Kubernetes objects may follow "
         "it"},
        {CONFIG, 400, PORTS "---\n" PORTS,
         "t.yaml:3: a second configuration: only Kubernetes objects may follow the first "
         "document"},
        {CONFIG, 422, PORTS "services:\n- {" WEB "}\n- name: other\n  ip: 10.0.0.1\n  port: 80\n",
         "t.yaml:6: services[1].port: TCP 10.0.0.1:80 is taken by service default/web"},
        {CONFIG, 422, PORTS "services:\n- {" WEB "}\n- {ip: 10.0.0.2, port: 80,\n   name: web}\n",
         "t.yaml:5: services[1].name: there are two services default/web"},
        {CONFIG, 422,
         PORTS "services:\n- {" WEB ", nodePort: 30000}\n"
               "- {name: b, ip: 10.0.0.2, port: 80,\n   nodePort: 30000}\n",
         "t.yaml:5: services[1].nodePort: TCP node port 30000 is taken by service default/web"},

        // Services.
        {APPLY, 400, "", "t.yaml: there is no document in it"},
        {APPLY, 400, PORTS, "t.yaml:1: ports: 'ports' can only be set in the configuration file"},
        {APPLY, 400, "17\n", "t.yaml:1: 17 is not an object"},
        {APPLY, 400, "services: {}\n", "t.yaml:1: services: an object is not a list"},
        {APPLY, 400, "services:\n- name: web\n  ip: 10.0.0.1\n  port: 99999\n",
         "t.yaml:4: services[0].port: 99999 is not a port (1-65535)"},
        {APPLY, 400, "{name: web, port: 80}\n", "t.yaml:1: 'ip' is missing"},
        {APPLY, 400, "{ip: 10.0.0.1, port: 80}\n", "t.yaml:1: 'name' is missing"},
        {APPLY, 400, "{" WEB ", targetport: 8080}\n",
         "t.yaml:1: targetport: 'targetport' is not a key here; did you mean 'targetPort'?"},
        {APPLY, 400, "{name: a/b, ip: 10.0.0.1, port: 80}\n",
         "t.yaml:1: name: 'a/b' may only have letters, digits and -_.:@ in it"},
        {APPLY, 400, "{name: web, ip: 10.0.0.256, port: 80}\n",
         "t.yaml:1: ip: '10.0.0.256' is not an IP address"},
        {APPLY, 400, "{name: web, ip: 10.0.0.01, port: 80}\n",
         "t.yaml:1: ip: '10.0.0.01' is not an IP address"},
        {APPLY, 400, "{name: web, ip: 'fe80::1%eth0', port: 80}\n",
         "t.yaml:1: ip: 'fe80::1%eth0' is not an IP address"},
        {APPLY, 400, "{name: web, ip: '::ffff:10.0.0.1', port: 80}\n",
         "t.yaml:1: ip: '::ffff:10.0.0.1' is not an IP address"},
        {APPLY, 400, "{name: web, ip: 0.0.0.0, port: 80}\n",
         "t.yaml:1: ip: 0.0.0.0 is an unspecified address"},
        {APPLY, 400, "{name: web, ip: 127.0.0.1, port: 80}\n",
         "t.yaml:1: ip: 127.0.0.1 is a loopback address"},
        {APPLY, 400, "{name: web, ip: 'ff02::1', port: 80}\n",
         "t.yaml:1: ip: ff02::1 is a multicast address"},
        {APPLY, 400, "{name: web, ip: 255.255.255.255, port: 80}\n",
         "t.yaml:1: ip: 255.255.255.255 is the broadcast address"},
        {APPLY, 400, "{" WEB ", protocol: tcp}\n",
         "t.yaml:1: protocol: 'tcp' is not one of TCP or UDP"},
        {APPLY, 400, "{" WEB ", forwarding: masquerade}\n",
         "t.yaml:1: forwarding: 'masquerade' is not one of nat, fullnat, l2dsr, ipip or gue"},
        {CONFIG, 400, PORTS "snat: {ports: 1024-32767}\n",
         "t.yaml:2: snat: 'addresses' is missing"},
        {CONFIG, 400, PORTS "snat: {addresses: []}\n",
         "t.yaml:2: snat.addresses: 0 addresses: there must be 1-16"},
        {CONFIG, 400, PORTS "snat: {addresses: [10.0.0.1, 10.0.0.1]}\n",
         "t.yaml:2: snat.addresses[1]: 10.0.0.1 is in the list already"},
        {CONFIG, 400, PORTS "snat: {addresses: [10.0.0.1], ports: 5000-5001}\n",
         "t.yaml:2: snat.ports: '5000-5001' is not a range of 256 or more ports within "
         "1024-65535 (as 1024-32767)"},
        {CONFIG, 400, PORTS "snat: {addresses: [10.0.0.300]}\n",
         "t.yaml:2: snat.addresses[0]: '10.0.0.300' is not an IP address"},
        {CONFIG, 400, PORTS "snat: {addresses: [10.0.0.1], ports: 32767-1024}\n",
         "t.yaml:2: snat.ports: '32767-1024' is not a range of 256 or more ports within "
         "1024-65535 (as 1024-32767)"},
        {CONFIG, 422, PORTS "services: [{" WEB ", forwarding: fullnat}]\n",
         "t.yaml:2: services[0].forwarding: fullnat needs an IPv4 address in the configuration's "
         "snat.addresses"},
        {CONFIG, 422,
         PORTS "snat: {addresses: ['fd00::1']}\nservices:\n  - {" WEB ", forwarding: fullnat}\n",
         "t.yaml:4: services[0].forwarding: fullnat needs an IPv4 address in the configuration's "
         "snat.addresses"},
        {CONFIG, 422, PORTS "snat: {addresses: [10.0.0.1]}\nservices:\n  - {" WEB "}\n",
         "t.yaml:4: services[0].ip: 10.0.0.1 is one of snat.addresses"},
        {APPLY, 400, "snat: {addresses: [10.0.0.1]}\n",
         "t.yaml:1: snat: 'snat' can only be set in the configuration file"},
        {APPLY, 422, "{" WEB ", forwarding: ipip, targetPort: 8080}\n",
         "t.yaml:1: targetPort: 8080 is not the service's port 80: forwarding by ipip changes no "
         "port"},
        {APPLY, 422, "{" WEB ", forwarding: gue, nodePort: 30080}\n",
         "t.yaml:1: nodePort: with forwarding by gue endpoints answer for the virtual address, "
         "not for this host's"},
        {APPLY, 422, "{" WEB ", forwarding: l2dsr, endpoints: ['10.0.1.1:8080']}\n",
         "t.yaml:1: endpoints[0]: 10.0.1.1:8080 has to have the service's port 80: forwarding by "
         "l2dsr changes no port"},
        {APPLY, 422, "{" WEB ", forwarding: ipip, endpoints: [{ip: 'fd00::1', port: 81}]}\n",
         "t.yaml:1: endpoints[0].port: [fd00::1]:81 has to have the service's port 80: forwarding "
         "by ipip changes no port"},
        {APPLY, 422, "{" WEB ", forwarding: l2dsr, endpoints: ['[fd00::1]:80']}\n",
         "t.yaml:1: endpoints[0]: fd00::1 is not of the IPv4 that the service's 10.0.0.1 is of"},
        {APPLY, 422, "{" WEB ", endpoints: [{ip: 'fd00::1'}]}\n",
         "t.yaml:1: endpoints[0].ip: fd00::1 is not of the IPv4 that the service's 10.0.0.1 is "
         "of"},
        {APPLY, 400, "{" WEB ", sessionAffinity: clientIP}\n",
         "t.yaml:1: sessionAffinity: 'clientIP' is not one of None or ClientIP"},
        {APPLY, 400, "{" WEB ", sessionAffinity: ClientIP, sessionAffinityTimeout: 25h}\n",
         "t.yaml:1: sessionAffinityTimeout: '25h' is out of range (1s-24h)"},
        {APPLY, 400, "{" WEB ", sessionAffinity: ClientIP, sessionAffinityTimeout: 10800}\n",
         "t.yaml:1: sessionAffinityTimeout: 10800 has no unit (ms, s, m or h, as in '30s')"},
        {APPLY, 400, "{" WEB ", protocol: UDP, quic: 8}\n", "t.yaml:1: quic: 8 is not an object"},
        {APPLY, 400, "{" WEB ", protocol: UDP, quic: {}}\n",
         "t.yaml:1: quic: 'serverIdLength' is missing"},
        {APPLY, 400, "{" WEB ", protocol: UDP, quic: {serverIDLength: 8}}\n",
         "t.yaml:1: quic.serverIDLength: 'serverIDLength' is not a key here; did you mean "
         "'serverIdLength'?"},
        {APPLY, 400, "{" WEB ", protocol: UDP, quic: {serverIdLength: 3}}\n",
         "t.yaml:1: quic.serverIdLength: 3 is not a server id's length (4-15)"},
        {APPLY, 400, "{" WEB ", protocol: UDP, quic: {serverIdLength: 16}}\n",
         "t.yaml:1: quic.serverIdLength: 16 is not a server id's length (4-15)"},
        {APPLY, 422, "{" WEB ",\n quic: {serverIdLength: 8}}\n",
         "t.yaml:2: quic: QUIC is UDP: this service's protocol is TCP"},
        {APPLY, 422, "{" WEB ", healthCheck: {type: tcp}}\n",
         "t.yaml:1: healthCheck: 'healthCheck' is not supported by this version"},
        {APPLY, 400, "{" WEB ", tableSize: 65536}\n",
         "t.yaml:1: tableSize: 65536 is not a prime number; the next one is 65537"},
        {APPLY, 400, "{" WEB ", tableSize: 7}\n",
         "t.yaml:1: tableSize: 7 is not a table size (251-16777213)"},
        {APPLY, 400, "{" WEB ", onEmpty: keeplast}\n",
         "t.yaml:1: onEmpty: 'keeplast' is not one of refuse, drop or keepLast"},
        {APPLY, 400, "{" WEB ", endpoints: }\n", "t.yaml:1: endpoints: null is not a list"},
        {APPLY, 400, "{" WEB ", endpoints: [10.0.1.1]}\n",
         "t.yaml:1: endpoints[0]: '10.0.1.1' is not ADDRESS:PORT (as '172.17.0.5:8080', "
         "'[2001:db8::5]:80')"},
        {APPLY, 400, "{" WEB ", endpoints: [{ip: 10.0.1.1, weight: 65536}]}\n",
         "t.yaml:1: endpoints[0].weight: 65536 is not a weight (0-65535)"},
        {APPLY, 422, "{" WEB ", endpoints: [{ip: '2001:db8::1'}]}\n",
         "t.yaml:1: endpoints[0].ip: 2001:db8::1 is not of the IPv4 that the service's 10.0.0.1 "
         "is of"},
        {APPLY, 400, "{" WEB ",\n endpoints: [{ip: 10.0.1.1},\n 10.0.1.2:80,\n 10.0.1.1:80]}\n",
         "t.yaml:4: endpoints[2]: 10.0.1.1:80 is in the list already, at [0]"},
        {APPLY, 400, "{" WEB ", endpoints: [{ip: 10.0.1.1, state: down}]}\n",
         "t.yaml:1: endpoints[0].state: 'down' is not one of active or draining"},

        // Lists of endpoints, and changes to one.
        {ENDPOINTS, 400, "{endpoint: []}\n",
         "t.yaml:1: endpoint: 'endpoint' is not a key here; did you mean 'endpoints'?"},
        {ENDPOINTS, 400, "[10.0.1.1:0]\n",
         "t.yaml:1: [0]: '10.0.1.1:0' is not ADDRESS:PORT (as '172.17.0.5:8080', "
         "'[2001:db8::5]:80')"},
        {ENDPOINTS, 400, "[5]\n",
         "t.yaml:1: [0]: 5 is not an endpoint: {ip: ..., port: ...} or 'ADDRESS:PORT'"},
        {PATCH, 400, "{adds: []}\n",
         "t.yaml:1: adds: 'adds' is not a key here; did you mean 'add'?"},
        {PATCH, 400, "add: ['10.0.1.1:80']\nremove: ['10.0.1.1:80']\n",
         "t.yaml:2: remove: 10.0.1.1:80 stands in 'add' too"},
        {PATCH, 400, "weight: ['10.0.1.1:80']\n",
         "t.yaml:1: weight[0]: '10.0.1.1:80' is not ADDRESS:PORT=WEIGHT (as "
         "'172.17.0.5:8080=10')"},
        {PATCH, 400, "weight: [{ip: 10.0.1.1}]\n", "t.yaml:1: weight[0]: 'weight' is missing"},

        // Kubernetes.
        {APPLY, 422, "apiVersion: apps/v1\nkind: Deployment\n",
         "t.yaml:1: apps/v1 Deployment is not supported (v1 Service, Endpoints and List, "
         "discovery.k8s.io/v1 EndpointSlice are)"},
        {APPLY, 400, "kind: Service\n", "t.yaml:1: 'apiVersion' is missing"},
        {APPLY, 422, SERVICE "spec: {type: ExternalName, externalName: a.b}\n",
         "t.yaml:4: spec.type: 'ExternalName' is not supported by this version (supported: "
         "ClusterIP, NodePort or LoadBalancer)"},
        {APPLY, 422, SERVICE "spec: {clusterIP: None, ports: [{port: 80}]}\n",
         "t.yaml:4: spec.clusterIP: a headless Service has no virtual address to serve"},
        {APPLY, 422, SERVICE "spec: {ports: [{port: 80}]}\n",
         "t.yaml:4: spec: the Service has no address: no status.loadBalancer.ingress, "
         "loadBalancerIP, externalIPs or clusterIP"},
        {APPLY, 422,
         SERVICE "spec:\n  clusterIP: 10.0.0.1\n  ports:\n  - port: 80\n"
                 "    protocol: SCTP\n",
         "t.yaml:8: spec.ports[0].protocol: 'SCTP' is not supported by this version (supported: "
         "TCP or UDP)"},
        {APPLY, 400, SERVICE "spec: {clusterIP: 10.0.0.1, ports: [{port: '80'}]}\n",
         "t.yaml:4: spec.ports[0].port: '80' is not a port (1-65535)"},
        {APPLY, 400, SERVICE "spec: {clusterIP: 10.0.0.1, sessionAffinity: Cookie, ports: []}\n",
         "t.yaml:4: spec.sessionAffinity: 'Cookie' is not one of None or ClientIP"},
        {APPLY, 400,
         SERVICE "spec:\n  clusterIP: 10.0.0.1\n  sessionAffinity: ClientIP\n"
                 "  sessionAffinityConfig: {clientIP: {timeoutSeconds: 86401}}\n"
                 "  ports: [{port: 80}]\n",
         "t.yaml:7: spec.sessionAffinityConfig.clientIP.timeoutSeconds: 86401 is not a time-out "
         "(1-86400)"},
        {APPLY, 422,
         "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  spec: {}\n",
         "t.yaml:4: items[0]: v1 Pod is not supported (v1 Service, Endpoints and List, "
         "discovery.k8s.io/v1 EndpointSlice are)"},
        {APPLY, 422, "apiVersion: discovery.k8s.io/v1beta1\nkind: EndpointSlice\n",
         "t.yaml:1: discovery.k8s.io/v1beta1 is not supported: discovery.k8s.io/v1 has been "
         "there since Kubernetes 1.21"},
        {APPLY, 422, SLICE "addressType: FQDN\n",
         "t.yaml:4: addressType: 'FQDN' is not supported by this version (supported: IPv4 or "
         "IPv6)"},
        {APPLY, 400, SLICE "addressType: IPv6\nendpoints:\n- addresses: [10.0.1.1]\n",
         "t.yaml:6: endpoints[0].addresses[0]: 10.0.1.1 is not of the slice's addressType"},
        {APPLY, 400,
         SLICE "addressType: IPv4\nendpoints:\n- addresses: [10.0.1.1]\n"
               "  conditions: {ready: 'yes'}\n",
         "t.yaml:7: endpoints[0].conditions.ready: 'yes' is not true or false"},
        {APPLY, 400,
         "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: x\n"
         "addressType: IPv4\n",
         "t.yaml:4: metadata: the label 'kubernetes.io/service-name' is missing, which says whose "
         "slice this is"},
        {APPLY, 422, SLICE "addressType: IPv4\n---\n" SLICE "addressType: IPv4\n",
         "t.yaml:6: there are two slices default/web-1"},
};

union output {
	struct sluice_config config;
	struct sluice_changes changes;
	struct sluice_endpoints_patch patch;
	struct {
		struct sluice_endpoint_spec *items;
		size_t count;
	} endpoints;
};

static int read_as(enum what what, const struct sluice_documents *documents, union output *out,
                   struct sluice_error *err)
{
	struct sluice_service_spec service = {.port = 80, .target_port = 80, .table_size = 251};
	struct sluice_node root;

	if (what == CONFIG)
		return sluice_config_parse(documents, &out->config, err);
	if (what == APPLY)
		return sluice_changes_read(documents, &out->changes, err);
	assert_int_equal(sluice_address_parse("10.0.0.1", &service.address), 0);
	root = sluice_documents_root(documents, 0);
	if (what == PATCH)
		return sluice_endpoints_patch_read(&root, &service, &out->patch, err);
	return sluice_endpoints_read(&root, &service, &out->endpoints.items, &out->endpoints.count,
	                             err);
}

static bool all_zero(const void *bytes, size_t size)
{
	const unsigned char *p = bytes;

	while (size > 0 && p[size - 1] == 0)
		size--;
	return size == 0;
}

static bool row_holds(const struct row *row)
{
	static union output out;
	struct sluice_documents documents;
	struct sluice_error err = {0};
	char text[1024];
	int rc = sluice_documents_parse(row->text, strlen(row->text), "t.yaml", &documents, &err);

	memset(&out, 0, sizeof(out));
	if (rc == 0)
		rc = read_as(row->what, &documents, &out, &err);
	else
		assert_true(all_zero(&documents, sizeof(documents)));
	sluice_documents_clear(&documents);
	sluice_error_format(&err, text, sizeof(text));
	if (rc == -EINVAL && err.status == row->status && strcmp(text, row->error) == 0 &&
	    all_zero(&out, sizeof(out)))
		return true;
	print_error("document:\n%s\nwanted %d %s\ngot    %d %s (rc %d, %s)\n", row->text,
	            row->status, row->error, err.status, text, rc,
	            all_zero(&out, sizeof(out)) ? "empty" : "NOT EMPTY");
	return false;
}

static void bad_documents_are_refused_with_their_place(void **state)
{
	size_t wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		wrong += !row_holds(&rows[i]);
	assert_int_equal(wrong, 0);
}

static void refused_whatever_comes_behind_what_was_good(void **state)
{
	// A bad service as the last of a long list: the good ones before it must not come out.
	struct sluice_error err = {0};
	struct sluice_documents documents;
	struct sluice_changes changes;
	char text[64 * 101], *at = text;

	(void)state;
	for (int i = 0; i < 100; i++)
		at += sprintf(at, "- {name: s%d, ip: 10.0.0.%d, port: 80, endpoints: []}\n", i,
		              i + 1);
	sprintf(at, "- {name: last, ip: 10.0.1.1, port: 0}\n");
	assert_int_equal(sluice_documents_parse(text, strlen(text), NULL, &documents, &err), 0);
	assert_int_equal(sluice_changes_read(&documents, &changes, &err), -EINVAL);
	assert_string_equal(err.path, "[100].port");
	assert_int_equal(err.line, 101);
	assert_true(all_zero(&changes, sizeof(changes)));
	sluice_documents_clear(&documents);
}

static void too_large_too_deep_too_many(void **state)
{
	struct sluice_documents documents;
	struct sluice_error err = {0};
	size_t len = (size_t)SLUICE_DOCUMENT_BYTES_MAX + 1;
	char *text = malloc(len);

	(void)state;
	assert_non_null(text);
	memset(text, ' ', len);
	assert_int_equal(sluice_documents_parse(text, len, NULL, &documents, &err), -EINVAL);
	assert_int_equal(err.status, 413);

	memset(&err, 0, sizeof(err));
	memset(text, '[', 65);
	assert_int_equal(sluice_documents_parse(text, 65, NULL, &documents, &err), -EINVAL);
	assert_string_equal(err.message, "nested too deeply (64 levels are the most)");

	memset(&err, 0, sizeof(err));
	memset(text, ']', 128);
	memset(text, '[', 64);
	assert_int_equal(sluice_documents_parse(text, 128, NULL, &documents, &err), 0);
	sluice_documents_clear(&documents);

	for (size_t i = 0; i < len; i++)
		text[i] = i == 0 ? '[' : i % 2 == 1 ? '1' : ',';
	assert_int_equal(sluice_documents_parse(text, len - 1, NULL, &documents, &err), -EINVAL);
	assert_string_equal(err.message, "more than 2000000 values");
	free(text);
}

static void an_error_may_be_of_no_interest(void **state)
{
	struct sluice_documents documents;

	(void)state;
	assert_int_equal(sluice_documents_parse("[", 1, NULL, &documents, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(bad_documents_are_refused_with_their_place),
	        cmocka_unit_test(refused_whatever_comes_behind_what_was_good),
	        cmocka_unit_test(too_large_too_deep_too_many),
	        cmocka_unit_test(an_error_may_be_of_no_interest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
