#!/bin/sh
# The floor: the least a swap over a symlink can do, with no check at all. Starts FPM, waits for its
# socket, renames the link, QUITs the old master, waits until it is gone or a zombie.
# LOOK: what it does between two looks; by default it looks again at once. What it does next is a line of its output.
# usage: floor-symlink.sh FPM CONFIG RUN APP FROM TO
set -eu
look=${LOOK:-:}
fpm=$1 config=$2 run=$3 app=$4 from=$5 to=$6
old=$(cat "$run/$app-$from.pid")
echo start
SWAP_POOL_SLOT=$to "$fpm" -D -y "$config"
while [ ! -S "$run/$app-$to.sock" ]; do $look; done
echo switch
ln -s "$run/$app-$to.sock" "$run/.$app.new"
mv -T "$run/.$app.new" "$run/$app.sock"
echo stop
kill -QUIT "$old"
while read -r _ _ state _ 2>/dev/null <"/proc/$old/stat" && [ "$state" != Z ]; do $look; done
