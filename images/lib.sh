# Functions that the scripts in this directory share; to be sourced.
# shellcheck shell=bash

step_start=$SECONDS

# say TEXT: one line of progress, with the seconds since the start.
say() { printf '[%4ds] %s\n' "$((SECONDS - step_start))" "$*" >&2; }

# fail TEXT: what is wrong and what to do, and the end.
fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# need COMMAND...: all of them, or the end.
need() {
    local command missing=""
    for command in "$@"; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$command" >/dev/null || missing="$missing $command"
    done
    [ -z "$missing" ] || fail "not found:$missing; run images/requirements first"
}

# shellcheck disable=SC2046 # a list of options
# as_root COMMAND...: root of a user namespace with the caller's range of ids; files get their owners, nothing needs privileges.
as_root() { unshare $(mapping) --mount --pid --fork --mount-proc "$@"; }

# mapping: options of unshare: the caller is root, its range follows. (--map-auto takes any user's range for that of uid 0.)
mapping() {
    local kind file
    printf '%s' --map-root-user
    for kind in users groups; do
        file=/etc/sub$([ "$kind" = users ] && echo uid || echo gid)
        awk -F: -v name="$(id -un)" -v id="$(id -u)" -v option=" --map-$kind=" \
            '$1 == name || $1 == id { printf "%s%s,1,%s", option, $2, $3 - 1; exit }' "$file"
    done
}

# debian_sources SUITE: the lines of sources.list, from the archives that this machine's apt uses.
debian_sources() {
    local main security
    main=$(debian_archive Debian)
    [ -n "$main" ] || fail "apt knows no Debian archive; give one: MIRROR=http://HOST/debian"
    security=$(debian_archive Debian-Security)
    echo "deb $main $1 main${FIRMWARE:+ non-free-firmware}"
    echo "deb $main $1-updates main${FIRMWARE:+ non-free-firmware}"
    [ -z "$security" ] || echo "deb $security $1-security main${FIRMWARE:+ non-free-firmware}"
}

# debian_archive LABEL: its address as apt knows it.
debian_archive() {
    if [ -n "${MIRROR:-}" ]; then
        [ "$1" = Debian ] && echo "$MIRROR"
        return 0
    fi
    # shellcheck disable=SC2016 # apt fills these in
    apt-get indextargets --format '$(CREATED_BY)|$(LABEL)|$(REPO_URI)' | sed -n "s/^Packages|$1|//p" | head -n 1
}

# own_apt DIRECTORY ARCH SUITE: sets `apt`, a command with an index of its own in DIRECTORY and no installed packages, so that packages
# of any architecture and suite can be downloaded, to DIRECTORY/archives.
own_apt() {
    mkdir -p "$1"/{etc/preferences.d,lists/partial,archives/partial}
    debian_sources "$3" >"$1/etc/sources.list"
    # What is always moving has neither updates nor a security archive, and may be older than its signature allows.
    [ "$3" != sid ] || sed -i 2,\$d "$1/etc/sources.list"
    apt=(apt-get -q -y -o "Dir::Etc=$1/etc" -o Dir::Etc::trustedparts=/etc/apt/trusted.gpg.d -o "Dir::State=$1" -o Dir::State::status=/dev/null
        -o "Dir::Cache=$1" -o "APT::Architecture=$2" -o "APT::Architectures=$2" -o APT::Install-Recommends=false
        -o APT::Sandbox::User= -o Acquire::Languages=none -o Acquire::Check-Valid-Until=false -o Acquire::Retries=3)
    [ -n "$(find "$1/lists" -name '*Packages*' -mmin -600 -print -quit)" ] || "${apt[@]}" update >&2
}

# packages_of ARCH: names from `packages`, and those of SSH and FIRMWARE if asked for.
packages_of() {
    awk -v arch="$1" '!/^#/ && NF && (NF == 1 || $2 == arch) { print $1 }' "$images/packages"
    [ -z "${SSH_KEYS:-}" ] || echo openssh-server
    [ -z "${FIRMWARE:-}" ] || tr ' ' '\n' <<<"$FIRMWARE"
}

# cache_dir: where bases are kept, outside the tree.
cache_dir() {
    local directory=${CAIRN_IMAGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cairn-images}
    mkdir -p "$directory"
    echo "$directory"
}
