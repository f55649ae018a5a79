#!/usr/bin/env bash
# Installs what is missing, builds, runs all tests through CTest under Vulkan's validation layer with
# synchronisation validation. Options are handed on to ctest (-R NAME, -V, ...). Runs that are named
# *_validated are the same again then, and left out.
#
#   TRDPO_DEVICE=N|NAME   device to test (default: lavapipe, Mesa's CPU device)
#   TRDPO_VALIDATION=0    without the validation layer
#   TEST_JOBS=N           tests at a time (default: as many as there are cores; most keep one busy)
#   BUILD_DIR=DIR         build folder (default: build)
#   CC=clang              another compiler (with a BUILD_DIR of its own)
#   CMAKE_OPTIONS="..."   options for CMake (-DTRDPO_SANITIZE=ON, -DTRDPO_WERROR=ON)
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/setup.sh
setup_packages
# shellcheck disable=SC2086 # a list
setup_build "${BUILD_DIR:-build}" ${CMAKE_OPTIONS:-}
export TRDPO_DEVICE=${TRDPO_DEVICE:-llvmpipe} TRDPO_VALIDATION=${TRDPO_VALIDATION:-1}
[ "$TRDPO_VALIDATION" != 0 ] || unset TRDPO_VALIDATION
# Leaks are looked for in our code, not in the drivers.
export LSAN_OPTIONS=suppressions=$PWD/tests/lsan.supp:print_suppressions=0
export UBSAN_OPTIONS=print_stacktrace=1
# Freed memory is kept for a short while only: lavapipe frees gigabytes in a minute.
export ASAN_OPTIONS=quarantine_size_mb=1
again=()
[ -z "${TRDPO_VALIDATION:-}" ] || again=(-E '_validated$')
exec ctest --test-dir "${BUILD_DIR:-build}" --output-on-failure --no-tests=error \
  --parallel "${TEST_JOBS:-$(nproc)}" "${again[@]}" "$@"
