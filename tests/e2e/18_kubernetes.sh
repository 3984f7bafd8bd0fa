#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What kubectl prints is applied as it stands: a Service with an EndpointSlice of 1, 4, 2
# endpoints, under load; an endpoint that terminates gets no new connections.
#
#   client ------ lb ------ fabric ------ backends as the slice says

set -euo pipefail
. "$(dirname "$0")/topology.sh"

the_service() {
	cat <<-YAML
		apiVersion: v1
		kind: Service
		metadata:
		  name: tomcat-load-balancer
		  namespace: default
		  uid: 6b2e1f4e-0000-4000-8000-000000000001
		  resourceVersion: "4711"
		  labels: {app: tomcat}
		spec:
		  type: LoadBalancer
		  clusterIP: $VIP
		  clusterIPs: [$VIP]
		  ipFamilies: [IPv4]
		  ipFamilyPolicy: SingleStack
		  internalTrafficPolicy: Cluster
		  externalTrafficPolicy: Cluster
		  allocateLoadBalancerNodePorts: true
		  sessionAffinity: None
		  selector: {app: tomcat}
		  ports:
		  - name: http
		    port: 8080
		    targetPort: 8080
		    nodePort: 30854
		    protocol: TCP
		status:
		  loadBalancer: {}
	YAML
}

# the_slice ENDPOINT...: N, or N- for one that terminates and is still serving.
the_slice() {
	local n

	cat <<-YAML
		---
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata:
		  name: tomcat-load-balancer-x7k2p
		  namespace: default
		  labels:
		    kubernetes.io/service-name: tomcat-load-balancer
		    endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io
		addressType: IPv4
		ports:
		- {name: http, port: 8080, protocol: TCP}
		endpoints:
	YAML
	for n; do
		if [[ $n == *- ]]; then
			say "- addresses: [172.17.0.${n%-}]"
			say "  conditions: {ready: false, serving: true, terminating: true}"
		else
			say "- addresses: [172.17.0.$n]"
			say "  conditions: {ready: true, serving: true, terminating: false}"
			say "  nodeName: minikube"
			say "  targetRef: {kind: Pod, name: tomcat-$n, namespace: default}"
		fi
	done
}

begin kubernetes
two_arm
asks_from 10.1.0.3 10.1.0.1
serve_http "${BACKENDS[@]}"
config
start_sluiced

{ the_service && the_slice 5; } >"$WORK/one.yaml"
ctl apply -f "$WORK/one.yaml"
wait_up tomcat-load-balancer 1
expect "one endpoint" "$(get)" 172.17.0.5

spawn wrk client wrk -d 4s -c 16 -t 1 --timeout 5s -H 'Connection: close' \
	-s "$ROOT/tests/e2e/load.lua" "http://$VIP:8080/"
sleep 1
api POST /v1/apply "$(the_slice 5 7 8 9)" application/yaml >/dev/null
wait_up tomcat-load-balancer 4
sleep 1
the_slice 5 7 8- 9- | ctl apply -f -
wait_for 10 gone wrk || fail "wrk does not end"
grep '^{' "$WORK/wrk.log" >"$WORK/load.json"
assert_no_errors
expect "backends that answered" "$(load_field '.answers | length')" 4

load 1 16 close
assert_no_errors
assert_shares 172.17.0.{5,7}
load 1 16 close http://10.1.0.1:30854/
assert_no_errors
assert_shares 172.17.0.{5,7}
the_slice 5 7 | ctl apply -f -
ctl describe service tomcat-load-balancer >"$WORK/describe.txt"
grep -qE 'Endpoints: +172.17.0.5:8080,172.17.0.7:8080' "$WORK/describe.txt" ||
	fail "describe service: $(cat "$WORK/describe.txt")"
expect "resets" "$(resets)" 0
finish
