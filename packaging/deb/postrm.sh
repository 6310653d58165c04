#!/bin/sh
# Takes the environment away; a purge also the configuration and the key. Pictures that wait are left where they are.
set -e

case $1 in
  remove)
    if [ -e /opt/acusight-agent/.acusight-agent ]; then
      rm -rf /opt/acusight-agent
    fi
    if [ -x /usr/bin/deb-systemd-helper ]; then
      deb-systemd-helper mask acusight-agent.service acusight-agent-key.path >/dev/null || :
    fi
    ;;
  purge)
    rm -rf /opt/acusight-agent /etc/acusight-agent
    if [ -x /usr/bin/deb-systemd-helper ]; then
      # shellcheck disable=SC2043 # the builder puts the units there
      for unit in @UNITS@; do
        deb-systemd-helper purge "$unit" >/dev/null || :
        deb-systemd-helper unmask "$unit" >/dev/null || :
      done
    fi
    if [ -d /var/lib/acusight-agent ]; then
      echo "acusight-agent: /var/lib/acusight-agent was left as it is: pictures that wait there were not delivered yet."
      echo "  To give them up: rm -r /var/lib/acusight-agent; userdel acusight"
    fi
    ;;
esac
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || :
fi
