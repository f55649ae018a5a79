#!/usr/bin/env bash
# Formats all C code with clang-format 14; with --check only says what differs, and fails if anything does.
set -euo pipefail
cd "$(dirname "$0")/.."
format=$(command -v clang-format-14 || command -v clang-format) || { echo "clang-format is missing" >&2; exit 1; }
"$format" --version | grep -q 'version 14\.' || { echo "clang-format 14 is needed, this is $("$format" --version)" >&2; exit 1; }
mode=(-i)
[ "${1:-}" = --check ] && mode=(--dry-run -Werror)
git ls-files '*.c' '*.h' | xargs "$format" "${mode[@]}"
