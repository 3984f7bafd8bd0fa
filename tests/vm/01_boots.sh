#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
set -euo pipefail
. "$(dirname "$0")/../e2e/topology.sh"
. "$(dirname "$0")/machine.sh"
begin vm
host client
switch wire
plug client eth0 wire
machine_card wire 0 e1000e
machine_card wire 1 vmxnet3
machine_card wire 2 virtio-net-pci 2
time machine lb wire
in_machine lb 'uname -r; ip -br link; ls /sys/kernel/iommu_groups | wc -l; systemctl is-system-running; systemctl list-units --failed --no-legend; systemd-analyze; modprobe vfio-pci; lspci -nnk; free -m'
