# Options that `build` and `bundle` have in common; to be sourced. Sets what `slot` and `disk` take from the environment.
# shellcheck shell=bash disable=SC2034

repository=$(cd "$images/.." && pwd)
ARCH=${ARCH:-$(dpkg --print-architecture)}
BINARY=${BINARY:-$repository/.build/release/cairn}
OUT=${OUT:-$repository/.build/image}
KEYS=${KEYS:-${XDG_CONFIG_HOME:-$HOME/.config}/cairn/operator}
TRIES=${TRIES:-3}
OVERLAYS=${OVERLAYS:-}
SET=${SET:-}

option_help="  --arch amd64|arm64   architecture ($ARCH)
  --binary FILE        the executable ($BINARY)
  --deb FILE           executable and units from a package of 'make deb'
  --out DIR            where to put what is made ($OUT)
  --keys DIR           the operator's keys (images/operator-key DIR; $KEYS)
  --build ID           name of this build (date and commit of the source)
  --ssh FILE           secure shell for the public keys in FILE (none)
  --firmware NAMES     firmware packages of Debian's non-free-firmware, e.g. firmware-realtek (none)
  --overlay DIR        files that go over the root, may be repeated
  --set KEY=VALUE      a setting of /etc/cairn/image.conf, may be repeated
  --tries N            starts of a version on trial ($TRIES)"

# take_option NAME VALUE: false when it is none of these.
take_option() {
    case $1 in
    --arch) ARCH=$2 ;;
    --binary) BINARY=$2 ;;
    --deb) DEB=$2 ;;
    --out) OUT=$2 ;;
    --keys) KEYS=$2 ;;
    --build) BUILD=$2 ;;
    --ssh) SSH_KEYS=$2 ;;
    --firmware) FIRMWARE=$2 ;;
    --overlay) OVERLAYS="$OVERLAYS $2" ;;
    --set) SET=${SET:+$SET$'\n'}$2 ;;
    --tries) TRIES=$2 ;;
    *) return 1 ;;
    esac
}

# take_options ARGUMENT...: all of them, or the usage.
take_options() {
    while [ $# -gt 0 ]; do
        if [ "$1" = --help ] || [ "$1" = -h ]; then usage; exit 0; fi
        if [ $# -lt 2 ] || ! take_option "$1" "$2"; then
            usage >&2
            exit 64
        fi
        shift 2
    done
}

usage() { printf '%s\n' "$purpose" "$option_help"; }

# settle: checks what was asked for, and names the build.
settle() {
    local commit
    mkdir -p "$OUT"
    OUT=$(cd "$OUT" && pwd)
    [ "${SSH_KEYS:-}" = "" ] || [ -s "$SSH_KEYS" ] || fail "$SSH_KEYS: no public keys there"
    for overlay in $OVERLAYS; do [ -d "$overlay" ] || fail "$overlay: no such directory"; done
    if [ -n "${DEB:-}" ]; then
        mkdir -p "$scratch/deb"
        dpkg-deb -x "$DEB" "$scratch/deb"
        BINARY=$scratch/deb/usr/bin/cairn
        UNITS=$(dirname "$(find "$scratch/deb" -name cairn-edge.service -print -quit)")
    fi
    [ -f "$BINARY" ] || fail "$BINARY: no executable there; 'make build' makes it, or give --binary"
    VERSION=$(sed -n 's/.*static let version = "\(.*\)"/\1/p' "$repository/Sources/Appliance/Cairn.swift")
    commit=$(git -c safe.directory='*' -C "$repository" log -1 --format='%ct %h' 2>/dev/null || echo "1735689600 none")
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-${commit% *}}
    BUILD=${BUILD:-$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M).${commit#* }}
    export ARCH BINARY UNITS VERSION BUILD SOURCE_DATE_EPOCH SSH_KEYS FIRMWARE OVERLAYS SET TRIES
}
