#!/bin/sh
# Makes the environment from the package's wheels, the user and a first configuration, and has the service started.
set -e

home=/opt/acusight-agent
share=/usr/lib/acusight-agent
config=/etc/acusight-agent/config.toml

make_environment() {
  "$share/install.sh" --wheels "$share/wheels" --prefix "$home" --python /usr/bin/python3 --no-service --no-opencv
}

fits_python() {
  [ "$("$home/bin/python" -c 'import sys, agent; print(sys.version_info[:2])' 2>/dev/null)" = \
    "$(/usr/bin/python3 -c 'import sys; print(sys.version_info[:2])')" ]
}

make_configuration() {
  mkdir -p "${config%/*}"
  if [ ! -e "$config" ]; then
    "$home/bin/acusight-agent" config init "$config" >/dev/null
    chown acusight:acusight "$config"
  fi
  # What editors check the configuration by is this release's.
  "$home/bin/acusight-agent" config schema >"${config%/*}/acusight-agent.schema.json"
}

# The service may end with 78 as long as it has no key and no source: that is no failure of the package.
start() {
  [ -d /run/systemd/system ] || return 0
  systemctl daemon-reload || :
  if [ "$1" = again ]; then
    deb-systemd-invoke try-restart acusight-agent.service acusight-agent-page.service >/dev/null || :
  elif [ -s /etc/acusight-agent/device_key ]; then
    deb-systemd-invoke start acusight-agent.service acusight-agent-key.path >/dev/null || :
  else
    deb-systemd-invoke start acusight-agent-key.path >/dev/null || :
    echo "acusight-agent: next: name a source in $config, then get the key:"
    echo "  acusight-agent -c $config provision --url URL --token-file -"
    echo "acusight-agent: for the status page, which is off: systemctl enable --now acusight-agent-page.socket"
  fi
}

case $1 in
  configure)
    # After a removal there is no environment: that is a first start again. What stands by hand stays so.
    if [ -e "$home/.acusight-agent" ]; then how=again; else how=first; fi
    systemd-sysusers acusight-agent.conf
    make_environment
    make_configuration
    for unit in acusight-agent.service acusight-agent-key.path; do
      deb-systemd-helper unmask "$unit" >/dev/null || :
      if deb-systemd-helper --quiet was-enabled "$unit"; then
        deb-systemd-helper enable "$unit" >/dev/null || :
      else
        deb-systemd-helper update-state "$unit" >/dev/null || :
      fi
    done
    start "$how"
    ;;
  triggered)
    if ! fits_python; then
      make_environment
      start again
    fi
    ;;
esac
