# For which architecture: ARCH, or this machine's. To be sourced in the repository's root.
# shellcheck shell=bash disable=SC2034
architecture=${ARCH:-$(dpkg --print-architecture)}
staged=.build/package
# What runs the program to ask what it says of itself.
program=$staged/cairn
shlibdeps=(dpkg-shlibdeps)
cross=""
if [ "$architecture" != "$(dpkg --print-architecture)" ]; then
    [ "$architecture" = arm64 ] || { echo "no cross toolchain for $architecture; there is one for arm64" >&2; exit 64; }
    cross=yes
    staged=.build/arm64/package
    program=scripts/arm64/run
    # Debian 13's libraries, which it was linked with: it needs their versions.
    sysroot=${TOOLCHAIN:-${XDG_CACHE_HOME:-$HOME/.cache}/cairn/arm64}/sysroot
    shlibdeps=(env "DEB_HOST_ARCH=$architecture" dpkg-shlibdeps "--admindir=$sysroot/var/lib/dpkg" "-l$sysroot/usr/lib/aarch64-linux-gnu")
fi
