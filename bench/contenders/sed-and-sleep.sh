#!/bin/sh
# The script that many have: sed the socket's name in nginx's file, start the idle pool, sleep 1, HUP, sleep 5,
# TERM the old one. What it does next is a line of its output.
# usage: sed-and-sleep.sh FPM CONFIG RUN APP FROM TO UPSTREAM
set -eu
fpm=$1 config=$2 run=$3 app=$4 from=$5 to=$6 upstream=$7
echo start
sed -i "s/$app-$from\.sock/$app-$to.sock/" "$upstream"
SWAP_POOL_SLOT=$to "$fpm" -D -y "$config"
sleep 1
echo HUP
kill -HUP "$(cat "$run/nginx.pid")"
sleep 5
echo TERM
kill -TERM "$(cat "$run/$app-$from.pid")"
