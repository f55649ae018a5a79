#!/usr/bin/env bash
# DPO against TR-DPO where the true reward is known, from a fresh clone: installs what is missing, builds,
# trains some seventy tiny models, prints tables, draws a picture.
# Options are handed on to `trdpo-vk study` (see `build/trdpo-vk study --help`).
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/setup.sh
setup_packages
setup_build build
exec build/trdpo-vk study "$@"
