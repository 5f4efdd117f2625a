#!/bin/sh
# Runs a program in a root of its own, as a container engine does; in a new mount and PID namespace.
# container.sh FOLDER SOURCE:TARGET... -- PROGRAM [ARGUMENT...]
# The files of FOLDER lie over this machine's root; each SOURCE is mounted at its TARGET.
set -eu
files=$1
shift
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
cp -a "$files/." /mnt/upper/
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
while [ "$1" != -- ]; do
  source=${1%%:*} target=/mnt/root${1#*:}
  if [ -d "$source" ]; then mkdir -p "$target"; else mkdir -p "${target%/*}"; : > "$target"; fi
  mount --bind "$source" "$target"
  shift
done
shift
mount --rbind /dev /mnt/root/dev
mount --rbind /sys /mnt/root/sys
mount -t proc proc /mnt/root/proc
# As recent engines have it: few open files, unless a program asks for more.
ulimit -Sn 1024
exec chroot /mnt/root "$@"
