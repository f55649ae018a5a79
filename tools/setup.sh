# Sourced by demo.sh and test.sh: installs what is missing, configures, builds.
#
# setup_packages [PACKAGE...]   apt packages of the build, and those named, if any is missing
# setup_build DIR [CMAKE-OPTION...]   configures DIR once and builds it; prints the compiler's words
#                                     only where there is something to say
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

packages_build="build-essential cmake ninja-build pkg-config glslc libvulkan-volk-dev libvulkan-dev
  libcjson-dev libyaml-dev libpcre2-dev libutf8proc-dev zlib1g-dev libcmocka-dev"
packages_run="libvulkan1 mesa-vulkan-drivers vulkan-validationlayers"

installed() { dpkg-query -W -f '${Status}\n' "$1" 2>/dev/null | grep -q '^install ok installed'; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "this needs root: $* (or install sudo)"
  fi
}

apt_ready=no
apt_install() {
  if [ $apt_ready = no ]; then
    as_root apt-get update -qq || say "warning: apt-get update failed; trying with the lists at hand"
    apt_ready=yes
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# The address of the mirror that this system's own release comes from, "" if there is none to be found.
apt_mirror() {
  local codename files
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  files=$(find /etc/apt/sources.list /etc/apt/sources.list.d -name '*.sources' -o -name '*.list' 2>/dev/null | sort)
  # shellcheck disable=SC2086 # a list
  [ -z "$files" ] || awk -v codename="$codename" '
    function flush() { if (uri && found) { print uri; done = 1; exit } uri = ""; found = 0 }
    FNR == 1 { flush() }
    FILENAME ~ /\.list$/ && $1 == "deb" {
      for (i = 2; i < NF; i++) if ($i ~ /:\/\//) { if ($(i + 1) == codename) { print $i; done = 1; exit } break }
    }
    FILENAME ~ /\.sources$/ && /^[[:space:]]*$/ { flush() }
    FILENAME ~ /\.sources$/ && $1 == "URIs:" { uri = $2 }
    FILENAME ~ /\.sources$/ && $1 == "Suites:" { for (i = 2; i <= NF; i++) if ($i == codename) found = 1 }
    END { if (!done && uri && found) print uri }' $files
}

# Debian 12 has Mesa 22, whose CPU device is three times as slow as that of Mesa 25 in backports. The
# mirror is the one that the system uses. Without it we carry on with what there is.
setup_mesa_backport() {
  [ "$(. /etc/os-release && echo "$ID-$VERSION_ID")" = debian-12 ] || return 0
  case "$(dpkg-query -W -f '${Version}' mesa-vulkan-drivers 2>/dev/null)" in
    22.*) ;;
    *) return 0 ;;
  esac
  local list=/etc/apt/sources.list.d/bookworm-backports.list mirror
  if ! grep -rqs bookworm-backports /etc/apt/sources.list /etc/apt/sources.list.d; then
    mirror=$(apt_mirror)
    [ -n "$mirror" ] || return 0
    say "adding $list (Mesa 25 for Debian 12)"
    echo "deb $mirror bookworm-backports main" | as_root tee $list >/dev/null
    as_root apt-get update -qq || true
  fi
  if ! apt_install -t bookworm-backports mesa-vulkan-drivers; then
    say "warning: no newer Mesa to be had; the CPU device will be slower"
    [ -n "${mirror:-}" ] && as_root rm -f $list
  fi
  return 0
}

setup_packages() {
  local missing="" package
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    say "not a Debian or Ubuntu system: going on with what is installed"
    return 0
  fi
  for package in $packages_build $packages_run "$@"; do
    installed "$package" || missing="$missing $package"
  done
  if [ -n "$missing" ]; then
    say "installing:$missing"
    # shellcheck disable=SC2086 # a list
    apt_install $missing || die "apt-get could not install:$missing"
  fi
  setup_mesa_backport
}

setup_build() {
  local dir=$1 log generator=()
  shift
  mkdir -p "$dir"
  log=$dir/build.log
  command -v ninja >/dev/null && generator=(-G Ninja)
  if [ ! -f "$dir/CMakeCache.txt" ] || [ $# -gt 0 ]; then
    [ -f "$dir/CMakeCache.txt" ] && generator=()
    cmake -S "$root" -B "$dir" "${generator[@]}" "$@" >"$log" 2>&1 || { cat "$log" >&2; die "cmake failed"; }
  fi
  cmake --build "$dir" --parallel "$(nproc)" >"$log" 2>&1 || { tail -n 60 "$log" >&2; die "the build failed ($log)"; }
}
