#!/bin/sh
# The floor of a swap by reload: nginx -t, sed, HUP, wait until the old workers are gone, QUIT the old
# master, wait until it is gone or a zombie.
# LOOK: what it does between two looks; by default it looks again at once. What it does next is a line of its output.
# usage: floor-rewrite.sh FPM CONFIG RUN APP FROM TO NGINX NGINX_CONF UPSTREAM
set -eu
look=${LOOK:-:}
fpm=$1 config=$2 run=$3 app=$4 from=$5 to=$6 nginx=$7 conf=$8 upstream=$9
old=$(cat "$run/$app-$from.pid")
master=$(cat "$run/nginx.pid")
workers=$(cat "/proc/$master/task/$master/children")
echo start
SWAP_POOL_SLOT=$to "$fpm" -D -y "$config"
while [ ! -S "$run/$app-$to.sock" ]; do $look; done
echo switch
sed -i "s/$app-$from\.sock/$app-SWAP.sock/; s/$app-$to\.sock/$app-$from.sock/; s/$app-SWAP\.sock/$app-$to.sock/" "$upstream"
"$nginx" -t -q -c "$conf"
kill -HUP "$master"
for worker in $workers; do
  while [ -d "/proc/$worker" ]; do $look; done
done
echo stop
kill -QUIT "$old"
while read -r _ _ state _ 2>/dev/null <"/proc/$old/stat" && [ "$state" != Z ]; do $look; done
