#!/bin/sh
# Installs into a folder of its own and builds a program against what is there, through pkg-config.
# Arguments: cmake, build folder, C compiler, tests folder. Skipped (77) where pkg-config is absent
# or the build is one for sanitizers, whose library needs their run time in the program.
set -eu
cmake=$1 build=$2 cc=$3 tests=$4
command -v pkg-config >/dev/null || { echo "skipped: no pkg-config"; exit 77; }
if grep -q '^TRDPO_SANITIZE:BOOL=ON' "$build/CMakeCache.txt"; then
    echo "skipped: a build with sanitizers"
    exit 77
fi
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
"$cmake" --install "$build" --prefix "$prefix/usr" >/dev/null
cd "$prefix/usr"
for file in bin/trdpo-vk include/trdpo/trdpo.h share/man/man1/trdpo-vk.1 \
    share/bash-completion/completions/trdpo-vk share/trdpo-vk/configs/hh.yaml; do
    [ -s "$file" ] || { echo "not installed: $file"; exit 1; }
done
pc=$(find . -name trdpo.pc)
PKG_CONFIG_PATH=$prefix/usr/$(dirname "$pc")
export PKG_CONFIG_PATH
# shellcheck disable=SC2046 # a list of flags
"$cc" -std=c11 -Wall -Wextra -Wpedantic -Werror -o "$prefix/program" "$tests/cli/install_program.c" \
    $(pkg-config --cflags --libs trdpo)
LD_LIBRARY_PATH=$(pkg-config --variable=libdir trdpo)
export LD_LIBRARY_PATH
"$prefix/program" "$tests/fixtures/tiny-gqa"
version=$(pkg-config --modversion trdpo)
[ "$(bin/trdpo-vk --version)" = "trdpo-vk $version" ]
# Nothing but the public names can be seen.
if nm -D --defined-only "$LD_LIBRARY_PATH/libtrdpo.so" | awk '$2 ~ /[TBDR]/ && $3 !~ /^trdpo_/ {print; bad = 1} END {exit !bad}'; then
    echo "the library shows names of its own"
    exit 1
fi
