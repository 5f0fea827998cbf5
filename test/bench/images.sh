#!/usr/bin/env bash
# Three releases of a real OS as squashfs, each with and without fragments: `images.sh OUT`; with `images.sh OUT trees` only the folders
# base and month that they are made of. What is there already is kept.
#   base   Debian 12 as it was released last        month  the same with the updates since
#   small  month with one new program of 3 MB and two changed configuration files
# Needs root and Debian, about six minutes and 4 GB.
set -euo pipefail
mkdir -p "${1:?usage: images.sh OUT}"
cd "$1"

# machines that serve, build and connect: kernel, containers, network tools, three script languages
packages=(
  systemd-sysv linux-image-cloud-amd64 openssh-server chrony containerd nftables wireguard-tools iproute2 bind9-dnsutils
  e2fsprogs dosfstools mtools ca-certificates openssl curl rsync git vim-tiny less nodejs python3 perl
)

# the mirrors this machine uses itself, in either form that apt knows
sources() { cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | awk '$1 == "deb" { print $2 }'; awk '/^URIs:/ { print $2 }' /etc/apt/sources.list.d/*.sources 2>/dev/null; }

# tree NAME SOURCES…: without devices and sockets, which OSTree refuses and no update is about
tree() {
  local name=$1; shift
  [[ -e $name ]] && return
  echo "installing Debian: $name" >&2
  rm -rf "$name.part" "$name.tar"
  mmdebstrap --quiet --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" bookworm "$name.tar" "$@"
  mkdir "$name.part"
  tar -xf "$name.tar" -C "$name.part"
  rm "$name.tar"
  find "$name.part" -type b,c,p,s -delete
  mv "$name.part" "$name"
}

# squashfs NAME SUFFIX OPTIONS…: times are frozen; /boot stays out, a kernel is a file of its own
squashfs() {
  local name=$1 file=$1$2; shift 2
  [[ -e $file ]] && return
  echo "packing $file" >&2
  mksquashfs "$(realpath "$name")" "$file.part" -comp zstd -noappend -no-progress -quiet -all-time 0 -mkfs-time 0 "$@" -e boot >/dev/null
  mv "$file.part" "$file"
}

have() { for name in base month small; do [[ -e $name.squashfs && -e $name.no-fragments.squashfs ]] || return; done; }
if [[ ${2:-} == trees ]] && [[ -e base && -e month ]]; then exit; fi
if [[ ${2:-} == trees ]] || ! have; then
  mirror=$(sources | grep -E '/debian/?$' | head -n 1)
  security=$(sources | grep -E 'debian-security/?$' | head -n 1)
  [[ -n $mirror && -n $security ]] || { echo 'found no Debian mirror in /etc/apt: the images need a Debian machine' >&2; exit 1; }
  tree base "deb $mirror bookworm main"
  tree month "deb $mirror bookworm main" "deb $mirror bookworm-updates main" "deb $security bookworm-security main"
  [[ ${2:-} == trees ]] && exit
  if [[ ! -e small ]]; then
    rm -rf small.part
    cp -a month small.part
    echo 'nameserver 10.10.8.1' >small.part/etc/resolv.conf
    echo 'release small' >small.part/etc/build-stamp
    mkdir -p small.part/opt/app
    # machine code back to front: as dense as a real program, and found nowhere else in the image
    head -c 3000000 small.part/usr/bin/git | perl -0777 -pe '$_ = reverse' >small.part/opt/app/program
    mv small.part small
  fi
  for name in base month small; do
    squashfs "$name" .squashfs
    squashfs "$name" .no-fragments.squashfs -no-fragments
  done
fi
