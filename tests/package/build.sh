#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Builds the Debian package from a copy of the tree, so that nothing is left in it: the .deb and
# .changes are in build-package then.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"

DEBS=$ROOT/build-package

rm -rf "$DEBS"
mkdir -p "$DEBS/source"
tar -C "$ROOT" --exclude=./.git --exclude='./build*' --exclude=__pycache__ -c . | tar -C "$DEBS/source" -x
cd "$DEBS/source"
dpkg-buildpackage -us -uc -b
rm -rf "$DEBS/source"
