#!/usr/bin/env bash
# Two releases of a small real OS: OUT/release-1 as Debian 12 was released last, OUT/release-2 with the updates since.
set -euo pipefail
out=${1:?usage: images.sh OUT}
mkdir -p "$out"
cd "$out"
packages=ca-certificates,openssl,libssl3,curl,perl,python3-minimal,vim-tiny,less,iproute2,gnupg,tzdata

# the mirrors this machine uses itself, in either form that apt knows
sources() { cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | awk '$1 == "deb" { print $2 }'; awk '/^URIs:/ { print $2 }' /etc/apt/sources.list.d/*.sources 2>/dev/null; }
mirror=$(sources | grep -E '/debian/?$' | head -n 1)
security=$(sources | grep -E 'debian-security/?$' | head -n 1)
[[ -n $mirror && -n $security ]] || { echo 'found no Debian mirror in /etc/apt: the demo needs a Debian machine' >&2; exit 1; }
base="deb $mirror bookworm main"
updates=("$base" "deb $mirror bookworm-updates main" "deb $security bookworm-security main")

# kernel NAME SOURCES…: the newest cloud kernel of these sources
kernel() {
  local dir=$PWD/$1/apt; shift
  mkdir -p "$dir"/{lists/partial,archives/partial}
  printf '%s\n' "$@" >"$dir/sources.list"
  local options=(-qq -o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update
  local package
  package=$(apt-cache "${options[@]}" depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ { print $2; exit }')
  (cd "$dir" && apt-get "${options[@]}" download "$package" && dpkg-deb -x "$package"_*.deb root)
  cp "$dir"/root/boot/vmlinuz-* "$dir/../kernel"
  cp "$dir"/root/boot/config-* "$dir/../config"
  rm -r "$dir"
}

# release NAME SOURCES…
release() {
  local name=$1; shift
  [[ -e $name ]] && return
  rm -rf "$name.part"
  mkdir "$name.part"
  kernel "$name.part" "$@"
  mmdebstrap --quiet --variant=minbase --include="$packages" --dpkgopt=path-exclude='/usr/share/doc/*' --dpkgopt=path-exclude='/usr/share/man/*' --dpkgopt=path-exclude='/usr/share/locale/*' \
    bookworm - "$@" >"$name.part/root.tar"
  mksquashfs - "$name.part/squashfs" -tar -comp zstd -Xcompression-level 9 -noappend -no-progress -quiet -all-time 0 -mkfs-time 0 <"$name.part/root.tar" 2>&1 >/dev/null | { grep -v 'Empty tar filename' || true; } >&2
  rm "$name.part/root.tar"
  mv "$name.part" "$name"
}

# the two have little in common to wait for: one on each core
release release-1 "$base" &
first=$!
release release-2 "${updates[@]}"
wait "$first"
