#!/bin/sh
# Boots a copy of a Debian root in systemd-nspawn: boot-debian.sh FOLDER ROOT NAME [nspawn's arguments]
#
# To be run in a mount namespace of its own (unshare --mount --propagation private): the copy is an
# overlay over a tmpfs in it, and nspawn's own traces in /run are, too, so that whatever becomes of
# us, no mount and no file is left. FOLDER is empty and ours; FOLDER/cgroups says which control
# groups were made, one a line: the only thing that has to be cleared away afterwards. NAME is no other's.
set -eu
folder=$1 root=$2 name=$3
shift 3

mkdir "$folder/copy"
mount -t tmpfs -o mode=755 tmpfs "$folder/copy"
mkdir "$folder/copy/upper" "$folder/copy/work" "$folder/copy/root"
mount -t overlay overlay "$folder/copy/root" \
  -o "lowerdir=$root,upperdir=$folder/copy/upper,workdir=$folder/copy/work"

# nspawn takes the group that it is in: two in one would be two systemds on one tree. Where systemd runs we
# have been given a scope
if [ ! -d /run/systemd/system ]; then
  while IFS=: read -r _ controllers path; do
    case $controllers in
      '') mounted=$(findmnt --noheadings --first-only --output TARGET --types cgroup2) ;;
      name=systemd) mounted=$(findmnt --noheadings --first-only --output TARGET --types cgroup --options name=systemd) ;;
      *) continue ;;
    esac
    group=${mounted%/}${path%/}/$name
    mkdir "$group"
    echo "$group" >>"$folder/cgroups"
    echo $$ >"$group/cgroup.procs"
  done </proc/self/cgroup
fi
mount -t tmpfs -o mode=755 tmpfs /run

# It dies with us, and its Debian with it. 133: the Debian has been told to boot again, and nspawn leaves that to us.
while :; do
  status=0
  setpriv --pdeathsig KILL systemd-nspawn --quiet --directory="$folder/copy/root" --machine="$name" \
    --register=no --keep-unit --private-network "$@" </dev/null || status=$?
  [ "$status" -eq 133 ] || exit "$status"
done
