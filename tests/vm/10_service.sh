#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
set -euo pipefail
. "$(dirname "$0")/../e2e/topology.sh"
. "$(dirname "$0")/machine.sh"
begin vm
host client
switch wire
plug client eth0 wire
client_side
backend_hosts wire
serve_http "${BACKENDS[@]}"
machine_card wire 0 vmxnet3
machine lb wire
in_machine lb "modprobe vfio-pci; b=0000:00:10.0; echo vfio-pci >/sys/bus/pci/devices/\$b/driver_override; echo \$b >/sys/bus/pci/devices/\$b/driver/unbind; echo \$b >/sys/bus/pci/drivers_probe; ls -l /sys/bus/pci/devices/\$b/driver; sysctl vm.nr_hugepages=256; mount | grep huge; ls /dev/vfio"
cat > $WORK/sl.yaml <<Y
ports:
  - {device: 'pci:0000:00:10.0', queues: 2, interface: up0}
workers: {cores: [0, 1]}
memory: {hugepages: require}
flows: {capacity: 65536}
services:
$(service web "$VIP" 8080 TCP 172.17.0.{5,7,8,9}:8080)
Y
in_machine lb "mkdir -p /etc/sluice; echo '$(base64 -w0 $WORK/sl.yaml)' | base64 -d > /etc/sluice/sluice.yaml; cd $ROOT; nohup setsid $ROOT/build/control/sluiced >/var/log/sluiced.log 2>&1 </dev/null & sleep 6; cat /var/log/sluiced.log; ip -br addr"
in_machine lb "ip address add 10.1.0.1/24 dev up0; ip address add 172.17.0.1/16 dev up0; ip address add fd00:1::1/64 dev up0;  ip address add fd00:17::1/64 dev up0; sleep 4; tail -5 /var/log/sluiced.log; ip neigh; $ROOT/build/control/ctl/sluicectl status"
on client ping -c 3 -i 0.3 10.1.0.1 || true
on client ping -c 3 -i 0.3 $VIP || true
for i in 1 2 3 4; do get || true; done
load 3 8 close; cat $WORK/load.json
load 3 8; cat $WORK/load.json
in_machine lb "$ROOT/build/control/ctl/sluicectl status;  curl -s 127.0.0.1:9690/metrics | grep -E '^sluice_(passed|dropped|port|worker_pack)' | grep -v ' 0$'; cat /proc/meminfo | grep Huge"
