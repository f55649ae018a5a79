#!/usr/bin/env bash
# The kernels under the compilers of GPUs that are not here, and the tests on Mesa 26.
#
#   tools/vendors.sh [GPU...]              compiles every kernel variant for every GPU below, or those
#                                          named, and prints one table
#   tools/vendors.sh --tests [OPTION...]   builds and runs the tests on lavapipe; options are handed on
#                                          to ctest (-R NAME, -LE long, ...)
#
# Both happen in a Debian 13 root file system with Mesa 26 from backports and the glslc of Debian 14,
# which knows bf16 matrices. It is in build/trixie, made by debootstrap when it is not there, and kept.
# Mesa's no-op DRM shims stand in for the GPUs: the driver and its compiler are the real ones, nothing
# runs. A kernel that does not compile fails, and so does one that spills registers to memory, unless
# tools/vendors.spills lets it.
#
#   VENDORS_ROOT=DIR     root file system (default: build/trixie)
#   VENDORS_MIRROR=URL   Debian mirror (default: the one that this Debian system uses)
#   CC=clang             another compiler for our own code (default: the root file system's gcc)
#   CI=...               where set, it is a failure that the root file system cannot be made;
#                        elsewhere that is said, and nothing is done
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/setup.sh

# name, driver's ICD, shim, variable of the shim that chooses the GPU
gpus="
polaris10    radeon    amdgpu    AMDGPU_GPU_ID=polaris10
vega10       radeon    amdgpu    AMDGPU_GPU_ID=vega10
navi21       radeon    amdgpu    AMDGPU_GPU_ID=navi21
navi31       radeon    amdgpu    AMDGPU_GPU_ID=navi31
gfx1201      radeon    amdgpu    AMDGPU_GPU_ID=gfx1201
volta        nouveau   nouveau   NOUVEAU_CHIPSET=140
turing       nouveau   nouveau   NOUVEAU_CHIPSET=162
ampere       nouveau   nouveau   NOUVEAU_CHIPSET=172
apple-g13    asahi     asahi     -
adreno-630   freedreno freedreno FD_GPU_ID=630
adreno-740   freedreno freedreno FD_GPU_ID=740
"
rootfs=${VENDORS_ROOT:-$root/build/trixie}
build=build/vendors # in the root file system: /src/build/vendors
table=$root/$build/vendors.txt
packages_more="mesa-drm-shim clang"
next=forky # Debian 14, of which glslc comes alone: it runs on Debian 13's libraries

# Ends the script: nothing can be done here.
cannot() {
  [ -z "${CI:-}" ] || die "$*"
  say "tools/vendors.sh: skipped: $*"
  exit 0
}

find_mirror() {
  mirror=${VENDORS_MIRROR:-$(apt_mirror)}
  [ -n "$mirror" ] || cannot "no Debian mirror in this system's apt sources (VENDORS_MIRROR names one)"
}

make_rootfs() {
  local log=$rootfs.log proxy=
  command -v debootstrap >/dev/null || apt_install debootstrap || cannot "no debootstrap to be had"
  # debootstrap does not read apt's settings.
  command -v apt-config >/dev/null && eval "$(apt-config shell proxy Acquire::http::Proxy)"
  [ -z "$proxy" ] || export http_proxy="${http_proxy:-$proxy}"
  if [ -n "$(ls -A "$rootfs" 2>/dev/null)" ] && [ ! -e "$rootfs/.trdpo-rootfs" ]; then
    die "$rootfs is not empty, and not a root file system of this script: move it away or name another (VENDORS_ROOT)"
  fi
  say "making $rootfs (Debian 13, Mesa 26)"
  rm -rf "$rootfs"
  mkdir -p "$rootfs"
  touch "$rootfs/.trdpo-rootfs"
  debootstrap --variant=minbase --include=ca-certificates trixie "$rootfs" "$mirror" >"$log" 2>&1 ||
    { tail -n 5 "$log" >&2; cannot "debootstrap failed ($log): no network, or no trixie on $mirror"; }
}

# Nothing that is mounted here is seen elsewhere, and it is gone when the script ends.
mount_rootfs() {
  cp /etc/resolv.conf "$rootfs/etc/resolv.conf"
  mkdir -p "$rootfs/src" "$rootfs/shared"
  mount --rbind /proc "$rootfs/proc"
  mount --rbind /dev "$rootfs/dev"
  mount --bind "$root" "$rootfs/src"
  [ ! -d "$root/../shared" ] || mount --bind "$root/../shared" "$rootfs/shared"
}

write_sources() {
  printf 'deb %s %s main\n' "$mirror" trixie "$mirror" trixie-backports >"$rootfs/etc/apt/sources.list"
  # Nothing comes from the next release unless asked for. A mirror that stands still has lists of it that
  # have expired.
  printf 'deb [check-valid-until=no] %s %s main\n' "$mirror" $next >>"$rootfs/etc/apt/sources.list"
  printf 'Package: *\nPin: release n=%s\nPin-Priority: 50\n' $next >"$rootfs/etc/apt/preferences.d/$next"
}

inside() { chroot "$rootfs" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"; }

install_packages() {
  local apt=(env ${http_proxy:+http_proxy="$http_proxy"} DEBIAN_FRONTEND=noninteractive apt-get -qq) log=$rootfs.log
  inside "${apt[@]}" update >>"$log" 2>&1 || cannot "apt-get update failed in $rootfs ($log)"
  # Mesa first, or the older one of Debian 13 would be fetched as well.
  # shellcheck disable=SC2086 # lists
  if ! inside "${apt[@]}" install -y --no-install-recommends -t trixie-backports \
      mesa-vulkan-drivers mesa-drm-shim >>"$log" 2>&1 ||
    ! inside "${apt[@]}" install -y --no-install-recommends $packages_build $packages_run $packages_more >>"$log" 2>&1; then
    tail -n 5 "$log" >&2
    cannot "packages could not be installed in $rootfs ($log)"
  fi
  inside "${apt[@]}" install -y --no-install-recommends -t $next glslc >>"$log" 2>&1 ||
    cannot "the glslc of $next could not be installed in $rootfs ($log)"
}

compile_for() {
  local name=$1 icd=$2 shim=$3 choice=$4 lib
  lib=$(inside sh -c "ls /usr/lib/*/lib${shim}_noop_drm_shim.so")
  [ "$choice" != - ] || choice=NO_CHOICE=1
  # RADV has VK_NV_cooperative_matrix2, but shows it only where it is told to.
  inside MESA_SHADER_CACHE_DISABLE=true radv_cooperative_matrix2_nv=true "$choice" LD_PRELOAD="$lib" \
    VK_ICD_FILENAMES="/usr/share/vulkan/icd.d/${icd}_icd.json" \
    "/src/$build/trdpo-shader-test" --compile >"$root/$build/$name.txt" 2>"$root/$build/$name.err"
}

# The lines of one GPU, its name in front; says what must not be, and fails if there is anything.
judge() {
  awk -v gpu="$1" '
    FILENAME ~ /spills$/ { if ($0 !~ /^#/ && NF == 4 && $1 == gpu) { rule[$2 " " $3] = $4 } next }
    FNR == 1 { print "# " gpu ": " $0; next }
    FNR == 2 { printf "%-11s %s\n", "GPU", $0; next }
    / pipelines compiled, / { last = $0; next }
    { printf "%-11s %s\n", gpu, $0; rows++ }
    / FAILED: / { bad[++n] = $0; next }
    $3 != "defaults" && $5 > 0 {
      most = ($1 " " $3 in rule) ? rule[$1 " " $3] : rule[$1 " *"]
      if ($5 > most + 0) bad[++n] = $1 " " $3 " spills " $5 " registers, and at most " most + 0 " may be"
    }
    END {
      if (!last) bad[++n] = "trdpo-shader-test did not finish (" rows + 0 " pipelines): see its messages"
      print "# " gpu ": " last "\n"
      for (i = 1; i <= n; i++) print "error: " gpu ": " bad[i] >"/dev/stderr"
      exit n > 0
    }' tools/vendors.spills "$build/$1.txt"
}

# Whether a line of $gpus is wanted: any, where none is named.
chosen() {
  [ -n "$1" ] || return 1
  [[ $wanted == "  " || $wanted == *" $1 "* ]]
}

compile_leg() {
  local name icd shim choice running=0 failed=0
  wanted=" $* "
  if ! inside ${CC:+CC="$CC"} cmake -S /src -B "/src/$build" -G Ninja -DTRDPO_WERROR=ON >"$build/build.log" 2>&1 ||
    ! inside cmake --build "/src/$build" --target trdpo-shader-test >"$build/build.log" 2>&1; then
    tail -n 40 "$build/build.log" >&2
    die "the build in $rootfs failed ($build/build.log)"
  fi
  while read -r name icd shim choice; do
    chosen "$name" || continue
    [ $running -lt "$(nproc)" ] || { wait -n || true; running=$((running - 1)); }
    compile_for "$name" "$icd" "$shim" "$choice" &
    running=$((running + 1))
  done <<<"$gpus"
  while [ $running -gt 0 ]; do wait -n || true; running=$((running - 1)); done
  : >"$table"
  while read -r name icd shim choice; do
    chosen "$name" || continue
    judge "$name" >>"$table" || { failed=1; cat "$build/$name.err" >&2; }
  done <<<"$gpus"
  cat "$table"
  [ $failed = 0 ] || die "kernels do not compile, or spill ($table)"
}

tests_leg() {
  inside ${CC:+CC="$CC"} ${TRDPO_VALIDATION:+TRDPO_VALIDATION="$TRDPO_VALIDATION"} BUILD_DIR=$build \
    CMAKE_OPTIONS=-DTRDPO_WERROR=ON /src/tools/test.sh "$@"
}

for name in "$@"; do
  case $name in
    --tests) break ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    *) grep -q "^$name " <<<"$gpus" || die "no GPU is called '$name'; there are: $(awk '{ printf "%s ", $1 }' <<<"$gpus")" ;;
  esac
done
[ "$(id -u)" = 0 ] || cannot "this needs root (debootstrap, chroot and mount)"
if [ -z "${VENDORS_INSIDE:-}" ]; then
  unshare --mount --propagation private true 2>/dev/null ||
    cannot "this needs the right to mount file systems, which this container does not give"
  VENDORS_INSIDE=1 exec unshare --mount --propagation private "$0" "$@"
fi
mkdir -p "$root/$build"
ready=$rootfs/etc/trdpo-ready
wanted="$packages_build $packages_run $packages_more glslc/$next"
if [ "$(cat "$ready" 2>/dev/null)" = "$wanted" ]; then
  mount_rootfs
else
  find_mirror
  [ -e "$ready" ] || make_rootfs
  mount_rootfs
  write_sources
  install_packages
  echo "$wanted" >"$ready"
fi
if [ "${1:-}" = --tests ]; then
  shift
  tests_leg "$@"
else
  compile_leg "$@"
fi
