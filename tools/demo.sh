#!/usr/bin/env bash
# From a fresh clone to a trained model: installs what is missing, builds, runs the demo.
# Options are handed on to `trdpo-vk demo` (see `build/trdpo-vk demo --help`).
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/setup.sh
setup_packages
setup_build build
exec build/trdpo-vk demo "$@"
