#!/bin/sh
# enter.sh FOLDER USER PROGRAM [ARGUMENT...] runs a program of an image, whose files are in FOLDER,
# as the task definition of the producer does: as an unprivileged user, on a read-only file system.
set -eu

# shellcheck disable=SC2016 # The inner shell expands its arguments.
exec unshare --mount sh -c '
  mount --bind "$1" "$1"
  mount -t proc proc "$1/proc"
  mount --bind /dev "$1/dev"
  mount -o remount,bind,ro "$1"
  folder=$1 user=$2
  shift 2
  exec /usr/sbin/chroot --userspec "$user" --groups= "$folder" "$@"' sh "$@"
