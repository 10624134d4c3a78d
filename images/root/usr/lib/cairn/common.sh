# Paths and functions of the scripts of this image; to be sourced.
# shellcheck shell=sh disable=SC2034

site_dir=/var/lib/cairn-site    # what this box was told, sealed
run_dir=/run/cairn-site         # what it says of itself, open
bundle_cred=$site_dir/edge.yaml.cred
grubenv=/efi/EFI/cairn/grubenv

# console TEXT: to every console, and to the journal by standard output.
console() {
    echo "$*"
    for device in /dev/tty1 /dev/ttyS0 /dev/ttyAMA0; do
        [ -w "$device" ] && printf '\r\ncairn: %s\r\n' "$*" 2>/dev/null >"$device"
    done
    return 0
}

# field KEY FILE: the value of KEY=value.
field() { sed -n "s/^$1=//p" "$2" 2>/dev/null | head -n 1; }

# setting KEY FALLBACK: of the site's image.conf, else of the image, else FALLBACK.
setting() {
    value=$(field "$1" "$run_dir/image.conf")
    [ -n "$value" ] || value=$(field "$1" /etc/cairn/image.conf)
    printf '%s\n' "${value:-$2}"
}

# put FILE: standard input becomes FILE, whole or not at all, whatever the power does.
put() {
    cat >"$1.part" && sync "$1.part" && mv "$1.part" "$1" && sync "$(dirname "$1")"
}

# running_slot: A or B.
running_slot() { sed -n 's/.*rauc\.slot=\([AB]\).*/\1/p' /proc/cmdline; }

# status_url: where the gateway of this machine answers.
status_url() {
    port=$(awk '$4 == "http.listen" { print $3 }' "$run_dir/listeners" 2>/dev/null || true)
    echo "http://127.0.0.1:${port:-9645}"
}
