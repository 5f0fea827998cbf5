#!/bin/busybox sh
# From the kernel to the init of the system: finds the slot that the boot loader chose, lays RAM over its squashfs, and switches root.
# Every wait has an end. Whatever fails says what was done, to what and why, and reboots, so that the boot loader can count it.
# spec/initramfs.md says what is promised; the numbers in comments are its sections.
set -f
PATH=/bin
root=/sysroot
run=/run/psyblob

# 1 telling: through the kernel's log, so that every console has it and the running system finds it in dmesg
# A record longer than 976 bytes is lost whole, so it is cut. What others wrote on their disks may hold anything a terminal would obey.
tell() {
  printf '%s\n' "$2" | tr -cd ' -~\n' | fold -bs -w 900 | while IFS= read -r line; do
    if [ -c /dev/kmsg ]; then echo "<$1>psyblob: $line" >/dev/kmsg; else echo "psyblob: $line"; fi
  done
}
say() { tell 6 "$*"; }
# level 3 is shown on a quiet boot as well
warn() { tell 3 "$*"; }

restart() {
  sync
  reboot -f
  echo b >/proc/sysrq-trigger
  # the end of process 1 is a panic, and a panic is a reset (below)
  exit 1
}

fail() {
  warn "$*"
  if [ -n "$rescue" ]; then
    warn 'a shell, because of psyblob.rescue; its end is a reboot'
    shell
  else
    warn 'reboot in 10 seconds'
    sleep 10
  fi
  restart
}

# try WHAT COMMAND…: a failure of the command is one of the boot
try() {
  what=$1
  shift
  said=$("$@" 2>&1) || fail "$what: ${said:-$1 failed}"
}

# a shell on each console the kernel has, until one of them is left; nobody waits for it but who asked for it
shell() {
  rm -f /shell-left
  shells=
  for console in $(cat /sys/class/tty/console/active 2>/dev/null || echo console); do
    # what tty0 means changes with the terminal in front, so a shell takes the first
    [ "$console" = tty0 ] && console=tty1
    { setsid -c sh -i </dev/"$console" >/dev/"$console" 2>&1; : >/shell-left; } &
    shells="$shells $!"
  done
  until [ -e /shell-left ]; do sleep 1; done
  kill $shells 2>/dev/null
}

# seconds since the kernel began
now() { read -r up _ </proc/uptime; echo "${up%.*}"; }

# 2 what the kernel has
mkdir -p /proc /sys /dev /run "$root"
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t devtmpfs -o mode=0755,nosuid dev /dev || warn 'mounting devtmpfs: the kernel has none'
mount -t tmpfs -o mode=0755,nosuid,nodev run /run
mkdir -p $run
# many lines at once are fine; the setting is put back below
ratelimit=$(cat /proc/sys/kernel/printk_devkmsg 2>/dev/null)
[ -n "$ratelimit" ] && echo on >/proc/sys/kernel/printk_devkmsg
# a panic must not be the end of an unattended machine, whoever wrote the command line
[ "$(cat /proc/sys/kernel/panic)" = 0 ] && echo 10 >/proc/sys/kernel/panic

label= slot= hd= loader= rescue= init=/sbin/init
for word in $(cat /proc/cmdline); do
  case $word in
    psyopsos=*) label=${word#*=} ;;
    psyblob.slot=*) slot=${word#*=} ;;
    psyblob.hd=*) hd=${word#*=} ;;
    psyblob.loader=*) loader=${word#*=} ;;
    psyblob.rescue) rescue=yes ;;
    init=*) init=${word#*=} ;;
  esac
done

# 3 modules, in the order that their dependencies ask for, each line with what it needs. One for hardware that is not there says no, and
# those that need it are not tried: the kernel would complain of each name that they miss.
refused=
load() {
  while read -r module needs; do
    for need in $needs; do
      case "$refused " in *" $need "*) refused="$refused $module"; continue 2 ;; esac
    done
    said=$(insmod "$module" 2>&1) && continue
    case $said in *'File exists') continue ;; esac
    refused="$refused $module"
    say "not loaded: $said"
  done <"$1"
}
version=$(uname -r)
[ -s /etc/psyblob/modules ] && [ ! -d "/lib/modules/$version" ] && warn "this initramfs has no modules for the kernel $version"
load /etc/psyblob/modules

# 4 the watchdog, before anything that can hang
watchdog=0
. /etc/psyblob/initramfs.conf

# fits NAME: it can be stopped again, and waits as long as we want it to; one that does not would reset a healthy machine
fits() {
  at=/sys/class/watchdog/$1
  [ -c "/dev/$1" ] && [ "$(cat "$at/nowayout" 2>/dev/null || echo 0)" = 0 ] || return 1
  most=$(cat "$at/max_timeout" 2>/dev/null || echo 0)
  [ "$most" = 0 ] || [ "$most" -ge "$watchdog" ]
}

# arm NAME: the process holds the device and never pings in time, until whoever finds the system healthy ends it by SIGTERM
arm() {
  setsid watchdog -F -T "$watchdog" -t 86400 "/dev/$1" </dev/null >/dev/kmsg 2>&1 &
  pid=$!
  # a driver may round up, so that what it says is never what we said
  for wait in 1 2 3 4 5 6 7 8 9 10; do
    sleep 0.1
    is=$(cat "/sys/class/watchdog/$1/timeout" 2>/dev/null || echo "$watchdog")
    [ "$is" = "$watchdog" ] && break
  done
  if ! kill -0 "$pid" 2>/dev/null; then
    warn "arming /dev/$1: it is not to be had"
    return 1
  fi
  if [ "$is" -lt "$watchdog" ]; then
    kill "$pid"
    warn "arming /dev/$1: expected $watchdog seconds, got $is"
    return 1
  fi
  echo "$pid" >$run/watchdog.pid
  say "/dev/$1 ($(cat "/sys/class/watchdog/$1/identity" 2>/dev/null)) resets this machine in $is seconds unless it is found healthy"
}

watch() {
  tried=
  for round in hardware software; do
    [ $round = software ] && load /etc/psyblob/softdog
    for name in $(ls /sys/class/watchdog 2>/dev/null); do
      case " $tried " in *" $name "*) continue ;; esac
      tried="$tried $name"
      if fits "$name"; then arm "$name" && return; else say "/dev/$name is no use: it cannot be stopped, or waits no longer than ${most:-0} seconds"; fi
    done
  done
  warn 'no watchdog: a boot that hangs is not reset'
}
# who asks for a shell takes the time it takes
[ "$watchdog" -gt 0 ] && [ -z "$rescue" ] && watch

# 5 file systems, read here: two disks may carry the same labels, and a copied disk even the same UUIDs
hex() { hexdump -v -s "$2" -n "$3" -e '1/1 "%02x"' "/dev/$1" 2>/dev/null; }
# printable letters only; busybox's tr has no name for them
text() { dd if="/dev/$1" bs=1 skip="$2" count="$3" 2>/dev/null | tr -cd ' -~' | sed 's/ *$//'; }

# probe NAME: sets type, uuid and name, as GRUB reads them; all empty for a file system that is none of ours
probe() {
  type= uuid= name=
  if [ "$(hex "$1" 1080 2)" = 53ef ]; then
    type=ext4
    uuid=$(hex "$1" 1128 16 | sed 's/\(.\{8\}\)\(.\{4\}\)\(.\{4\}\)\(.\{4\}\)/\1-\2-\3-\4-/')
    name=$(text "$1" 1144 16)
  elif [ "$(text "$1" 32769 5)" = CD001 ]; then
    type=iso9660
    # when it was changed last, else when it was made
    uuid=$(text "$1" 33598 16)
    case $uuid in *[1-9]*) ;; *) uuid=$(text "$1" 33581 16) ;; esac
    uuid=$(echo "$uuid" | sed 's/\(.\{4\}\)\(..\)\(..\)\(..\)\(..\)\(..\)/\1-\2-\3-\4-\5-\6-/')
    name=$(text "$1" 32808 32)
  fi
}

# block devices that may hold something
devices() {
  for device in $(ls /sys/class/block); do
    case $device in loop* | ram* | zram* | fd*) continue ;; esac
    [ "$(cat "/sys/class/block/$device/size")" = 0 ] || echo "$device"
  done
}

# disk_of NAME: the disk that a partition lies on
disk_of() {
  if [ -e "/sys/class/block/$1/partition" ]; then
    above=$(readlink -f "/sys/class/block/$1")
    basename "${above%/*}"
  else
    echo "$1"
  fi
}

# matching uuid|label VALUE: devices, one a line. A label is that of the file system, or the partition's name
matching() {
  for device in $(devices); do
    probe "$device"
    case $1 in
      uuid) [ "$uuid" = "$2" ] ;;
      label) [ -n "$type" ] && { [ "$name" = "$2" ] || grep -qxF "PARTNAME=$2" "/sys/class/block/$device/uevent"; } ;;
    esac && echo "$device"
  done
}

# what there is, for messages
present() {
  for device in $(devices); do
    probe "$device"
    printf '%s (%s) ' "$device" "${type:+$type $name $uuid}"
  done
}

# chosen DEVICES…: one of several equal ones. GRUB's hdN is the best hint there is: the Nth disk, if firmware and kernel count alike
chosen() {
  # an ISO image on a stick is there twice, as the whole of it and as its first partition
  seen= several=
  for one in "$@"; do
    case "$seen " in *" $(disk_of "$one") "*) continue ;; esac
    seen="$seen $(disk_of "$one")"
    several="$several $one"
  done
  set -- $several
  found=$1
  [ $# -gt 1 ] || return 0
  at=0
  for disk in $(devices); do
    [ "$(disk_of "$disk")" = "$disk" ] || continue
    case $disk in sr*) continue ;; esac
    if [ "hd$at" = "$hd" ]; then
      for one in "$@"; do
        [ "$(disk_of "$one")" = "$disk" ] || continue
        warn "$* look the same; $one it is, because the boot loader ran from $hd"
        found=$one
        return
      done
    fi
    at=$((at + 1))
  done
  warn "$* look the same, and ${hd:-a boot loader that does not say its disk} is none of theirs; $1 it is"
}

if [ -n "$slot" ]; then
  kind=uuid wanted=$slot
elif [ -n "$label" ]; then
  kind=label wanted=$label
else
  kind= wanted=
fi
if [ -n "$rescue" ]; then
  warn "a shell, because of psyblob.rescue; its end lets the boot go on. There are: $(present)"
  shell
fi
[ -n "$kind" ] || fail 'the command line of the kernel names no slot: neither psyblob.slot=UUID nor psyopsos=LABEL is there'
end=$(($(now) + 60))
while :; do
  found=$(matching $kind "$wanted")
  [ -n "$found" ] && break
  [ "$(now)" -lt $end ] || fail "looking for the slot: no file system with the $kind $wanted came within 60 seconds; there are: $(present)"
  sleep 0.2
done
chosen $found
device=$found
disk=$(disk_of "$device")
probe "$device"
: "${label:=$name}"

# 6 the slot
mkdir -p $run/slot $run/root $run/ram
if [ "$type" = ext4 ]; then
  # Read-only, but with its journal: what was sealed and then lost its power has its last words there, and without them files could be
  # missing that the manifest says are there. (A slot that was only half written has no manifest and is not booted.) A medium that
  # cannot be written at all refuses that: better as it is than not at all.
  if ! said=$(mount -t ext4 -o ro,nodev,nosuid,noexec "/dev/$device" $run/slot 2>&1); then
    warn "mounting /dev/$device with its journal: $said; without it now"
    try "mounting /dev/$device" mount -t ext4 -o ro,noload,nodev,nosuid,noexec "/dev/$device" $run/slot
  fi
else
  try "mounting /dev/$device" mount -t "$type" -o ro,nodev,nosuid,noexec "/dev/$device" $run/slot
fi
[ -f $run/slot/squashfs ] || fail "/dev/$device ($label) has no squashfs; it has: $(ls $run/slot | tr '\n' ' ')"
try "mounting squashfs of /dev/$device" mount -t squashfs -o ro,loop $run/slot/squashfs $run/root

# 7 the root: at most half of the memory for what changes
try 'making a file system in RAM' mount -t tmpfs -o mode=0755,size=50% ram $run/ram
mkdir -m 0755 $run/ram/upper $run/ram/work
try 'laying RAM over the squashfs' mount -t overlay -o lowerdir=$run/root,upperdir=$run/ram/upper,workdir=$run/ram/work root $root

# inside PATH: where an absolute path of the system lies from here; a link in its first folder, such as /lib, is followed by hand
inside() {
  top=${1#/}
  rest=${top#*/}
  top=${top%%/*}
  to=$(readlink "$root/$top")
  case $to in
    /*) echo "$root$to/$rest" ;;
    ?*) echo "$root/$to/$rest" ;;
    *) echo "$root/$top/$rest" ;;
  esac
}

# 8 modules and firmware of the system
if [ -f $run/slot/modloop ]; then
  mkdir -p $run/modloop
  try "mounting modloop of /dev/$device" mount -t squashfs -o ro,loop,nodev,nosuid $run/slot/modloop $run/modloop
  modules=$run/modloop/modules
  [ -d $modules ] || modules=$run/modloop/lib/modules
  [ -d "$modules/$version" ] || warn "modloop of /dev/$device has no modules for the kernel $version"
  lib=$(inside /lib/modules)
  mkdir -p "$lib"
  try 'binding the modules to /lib/modules' mount -o bind "$modules" "$lib"
  firmware=$(inside /lib/firmware)
  if [ -d $modules/firmware ] && [ -z "$(ls "$firmware" 2>/dev/null)" ]; then
    mkdir -p "$firmware"
    try 'binding the firmware to /lib/firmware' mount -o bind $modules/firmware "$firmware"
  fi
elif [ ! -d "$(inside /lib/modules)/$version" ]; then
  warn "neither /dev/$device nor its squashfs has modules for the kernel $version"
fi

# 9 the store, on the same disk only: trusted state of another machine's disk is none of ours
for data in $(matching label psyblob-data); do
  [ "$(disk_of "$data")" = "$disk" ] || continue
  mkdir -p $root/var/psyblob
  if said=$(mount -t ext4 -o rw,nodev,nosuid,noexec,noatime "/dev/$data" $root/var/psyblob 2>&1); then
    # mount makes do with less where nothing can be written
    grep -q " $root/var/psyblob ext4 rw" /proc/mounts && break
    umount $root/var/psyblob
    said='it can only be read'
  fi
  warn "mounting /dev/$data at /var/psyblob: $said; the store is in RAM"
done

# 10 secrets: this disk's, unless it has none and another one does
holds_secrets() { [ -n "$(ls "$1" | grep -vxF lost+found)" ]; }
looked=
secrets() {
  ours= others=
  for one in $(matching label psyops-secret); do
    case " $looked " in *" $one "*) continue ;; esac
    looked="$looked $one"
    if [ "$(disk_of "$one")" = "$disk" ]; then ours="$ours $one"; else others="$others $one"; fi
  done
  for one in $ours $others; do
    # its journal too: what was written last may be in it
    if ! said=$(mount -o ro,nodev,nosuid,noexec -t ext4 "/dev/$one" $secret 2>&1) && ! said=$(mount -o ro,noload,nodev,nosuid,noexec -t ext4 "/dev/$one" $secret 2>&1); then
      warn "mounting /dev/$one, secrets: $said"
      continue
    fi
    holds_secrets $secret && return
    umount $secret
  done
  return 1
}

# put FILE PATH MODE: a copy in RAM, with no link of the image in between
put() {
  [ -f "$1" ] || return
  mkdir -p "$root${2%/*}"
  rm -f "$root$2"
  if (umask 077; cp "$1" "$root$2"); then chmod "$3" "$root$2"; else warn "copying ${1#$root} to $2 failed"; fi
}

secret=$root/mnt/psyops-secret/mount
mkdir -p $secret
# a second disk may be slower than the first
end=$(($(now) + 3))
until secrets; do
  if [ "$(now)" -ge $end ]; then
    say 'no file system labelled psyops-secret holds anything'
    break
  fi
  sleep 0.5
done
put $secret/nodename /etc/hostname 644
put $secret/network.interfaces /etc/network/interfaces 644
put $secret/mactab /etc/mactab 644
put $secret/composition /etc/composition 644
put $secret/minisign.pubkey /etc/psyblob/minisign.pubkey 644
put $secret/age.key /etc/psyblob/age.key 600
set +f
for file in $secret/ssh_host_* $secret/nebula/*; do
  case $file in
    */nebula/*.crt) put "$file" "/etc/nebula/${file##*/}" 644 ;;
    # a configuration may have a key in it
    */nebula/*) put "$file" "/etc/nebula/${file##*/}" 600 ;;
    *.pub) put "$file" "/etc/ssh/${file##*/}" 644 ;;
    *) put "$file" "/etc/ssh/${file##*/}" 600 ;;
  esac
done
set -f

# 11 what was booted, for the running system
printf 'disk=%s\nslot=%s\nlabel=%s\nloader=%s\n' "/dev/$disk" "/dev/$device" "$label" "$loader" >$run/boot

# 12 over to the system
# systemd would try to unmount what it runs from and call that a failure, at every shutdown
for unit in run-psyblob- lib-modules lib-firmware usr-lib-modules usr-lib-firmware; do
  mkdir -p /run/systemd/system/$unit.mount.d
  printf '[Unit]\nDefaultDependencies=no\n' >/run/systemd/system/$unit.mount.d/psyblob.conf
done
[ -e "$root$init" ] || [ -L "$root$init" ] || fail "squashfs of /dev/$device has no $init"
say "slot $label on /dev/$device, $init is next"
[ -n "$ratelimit" ] && echo "$ratelimit" >/proc/sys/kernel/printk_devkmsg
for at in dev proc sys run; do
  mkdir -p $root/$at
  try "moving /$at" mount -o move /$at $root/$at
done
# the system has a PATH of its own
unset PATH
exec /bin/switch_root -c /dev/console $root "$init" "$@"
