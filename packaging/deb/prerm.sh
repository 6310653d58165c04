#!/bin/sh
# Stops everything before the files go; an upgrade goes on running until the new environment is there.
set -e

if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  # shellcheck disable=SC2043 # the builder puts the units there
  for unit in @UNITS@; do
    deb-systemd-invoke stop "$unit" >/dev/null 2>&1 || :
  done
fi
