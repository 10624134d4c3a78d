set -e

fixed_units="cairn-edge.service cairn-edge.socket cairn-cloud.service"

# Services that run now, instances of the template too.
running_units() {
    [ -d /run/systemd/system ] || return 0
    systemctl list-units --plain --no-legend --state=active,activating,reloading \
        'cairn-edge.service' 'cairn-cloud.service' 'cairn-cloud@*.service' 2>/dev/null | cut -d' ' -f1
}

# Data of either role, where a service keeps it (systemd puts that of DynamicUser= below private).
state_directories() {
    for directory in /var/lib/cairn-edge /var/lib/cairn-cloud /var/lib/cairn-cloud-*; do
        if [ -e "$directory" ] || [ -L "$directory" ]; then echo "$directory"; fi
    done
}

