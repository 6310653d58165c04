#!/bin/sh
# Installs the Acusight edge agent as a service, upgrades it, or takes it away. docs/install.md tells what it does.
#
#   sudo ./install.sh                # install, from this folder
#   sudo ./install.sh --upgrade      # the same over what is there; settings, key and pictures stay
#   sudo ./install.sh --uninstall    # settings, key and pictures stay
set -eu

usage() {
  cat <<'TEXT'
Usage: install.sh [--upgrade | --uninstall] [OPTION...]

Installs the agent into an environment of its own, made from the system's Python with the system's packages visible
(so that the distribution's OpenCV is used), as a systemd service with a user of its own. Run twice it does no harm.

  --upgrade        replace an installation that is there; ends with 1 where there is none
  --uninstall      remove service and environment; configuration, key, waiting pictures and the user stay
  --prefix DIR     where the environment goes (default: /opt/acusight-agent)
  --root DIR       install below DIR instead of /: files only, nothing is started
  --python PYTHON  the Python to use, 3.11 or newer (default: python3)
  --wheel FILE     install this wheel instead of the folder that the script lies in
  --wheels DIR     take everything from the wheels in DIR; no package index is asked
  --no-opencv      leave OpenCV out also where the system has none
  --no-service     make the environment alone
  --no-doctor      do not examine the installation at the end
  -h, --help       show this

Example: sudo ./install.sh
TEXT
}

say() { printf '%s\n' "install: $*"; }
fail() { printf '%s\n' "install: $*" >&2; exit 1; }
misuse() { printf '%s\n' "install: $* (see: install.sh --help)" >&2; exit 2; }

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mode=install prefix=/opt/acusight-agent root='' python=python3 wheel='' wheels='' opencv=yes service=yes doctor=yes

while [ $# -gt 0 ]; do
  case $1 in
    --upgrade | --uninstall) mode=${1#--} ;;
    --prefix | --root | --python | --wheel | --wheels)
      [ $# -gt 1 ] || misuse "$1 needs a value"
      case $1 in
        --prefix) prefix=$2 ;;
        --root) root=$2 ;;
        --python) python=$2 ;;
        --wheel) wheel=$2 ;;
        --wheels) wheels=$2 ;;
      esac
      shift
      ;;
    --no-opencv) opencv=no ;;
    --no-service) service=no ;;
    --no-doctor) doctor=no ;;
    -h | --help) usage; exit 0 ;;
    *) misuse "unknown option $1" ;;
  esac
  shift
done

# A service's program stands in a unit file, and a slip here would be removed by --uninstall.
case $prefix in
  *[!A-Za-z0-9/._+-]* | *..* | */) misuse "--prefix takes a plain absolute path" ;;
  /?*/?*) ;;
  *) misuse "--prefix takes a folder at least two levels below /" ;;
esac
[ -z "$root" ] || root=$(CDPATH='' cd -- "$root" && pwd) || fail "there is no folder for --root"
[ "$root" != / ] || root=''
[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "only root can install a service: sudo $0"

env=$root$prefix
mark=$env/.acusight-agent
# From here on nothing depends on where, or by whom, this was called.
umask 022
unset PYTHONPATH PYTHONHOME
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

in_service_root() { if [ -n "$root" ]; then "$@" --root "$root"; else "$@"; fi; }

check_python() {
  command -v "$python" >/dev/null || fail "there is no $python: apt install python3, or name one with --python"
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "Python 3.11 or newer is needed, and $python is $("$python" -V 2>&1): name another with --python"
  "$python" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "$python cannot make environments: apt install python3-venv"
  [ -z "$root" ] && [ "$service" = yes ] || return 0
  case $("$python" -c 'import os, sys; print(os.path.realpath(sys.executable))') in
    /root/* | /home/*) fail "the service's user cannot run $python, which lies in a home: name another with --python" ;;
  esac
}

check_target() {
  if [ "$mode" = upgrade ] && [ ! -e "$mark" ]; then
    fail "there is no installation in $env to upgrade: run it without --upgrade"
  fi
  if [ -d "$env" ] && [ ! -e "$mark" ] && [ ! -x "$env/bin/acusight-agent" ] && [ -n "$(ls -A "$env")" ]; then
    fail "$env holds something else, and was left alone: choose another --prefix"
  fi
}

# The system's Python may have been replaced under the environment: then it is made anew.
make_environment() {
  wanted=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  present=$("$env/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || :)
  if [ "$wanted" != "$present" ]; then
    say "making an environment of Python $wanted in $env"
    "$python" -m venv --clear --system-site-packages "$env" || fail "the environment could not be made in $env"
  fi
  : >"$mark"
}

pip_install() {
  if [ -n "$wheels" ]; then
    set -- --no-index --find-links "$wheels" "$@"
  elif [ -s "$constraints" ]; then
    set -- --constraint "$constraints" "$@"
  fi
  "$env/bin/python" -m pip install --quiet "$@"
}

install_agent() {
  # The versions that the agent was tested with; the lock's hashes would forbid what the system brings along.
  constraints=$env/.constraints
  : >"$constraints"
  if [ -f "$here/requirements.lock" ]; then
    sed -n 's/ *\\$//; /^[a-z0-9][a-z0-9._-]*==/p' "$here/requirements.lock" >"$constraints"
  fi
  if [ -n "$wheel" ]; then
    agent=$wheel
  elif [ -n "$wheels" ]; then
    agent=acusight-agent
  else
    agent=$here
  fi
  say "installing the agent"
  # Of the same version it is installed anew: a checkout changes without its number.
  [ -z "$wheels$wheel" ] || pip_install --upgrade --force-reinstall --no-deps "$agent"
  pip_install --upgrade --upgrade-strategy only-if-needed "${agent}[page]" ||
    fail "the agent could not be installed: the lines above say why; what was there before is still there"
  "$env/bin/python" -m compileall -q "$env/lib" || : # some packages bring templates that are no modules
}

has_cv2() { "$env/bin/python" -P -c 'import cv2' 2>/dev/null; }

# The headless build alone: the agent shows no windows, and the other one needs libGL, which small images lack.
add_opencv() {
  if [ "$opencv" = no ] || has_cv2; then
    return 0
  fi
  if [ -n "$wheels" ] && ! ls "$wheels"/opencv_python_headless-* >/dev/null 2>&1; then
    say "there is no OpenCV: cameras other than cmd: need it (apt install python3-opencv)"
    return 0
  fi
  say "adding OpenCV, because the system has none that can be loaded"
  # Two copies in one place break each other.
  "$env/bin/python" -m pip uninstall --quiet --yes opencv-python opencv-contrib-python 2>/dev/null || :
  if ! pip_install --only-binary numpy,opencv-python-headless opencv-python-headless || ! has_cv2; then
    say "OpenCV could not be added; cameras other than cmd: need it: apt install python3-opencv"
  fi
}

install_service() {
  in_service_root "$env/bin/acusight-agent" service install --program "$prefix/bin/acusight-agent" ||
    fail "the service could not be put in place"
  [ -z "$root" ] && [ -d /run/systemd/system ] || return 0
  # One that somebody looks at right now would go on with the old program.
  systemctl try-restart acusight-agent-page.service || :
  # A key and a source are for a person to give; without them it would only end with 78.
  if config_is_ready; then
    systemctl restart acusight-agent.service acusight-agent-key.path ||
      fail "the service did not start: journalctl --unit=acusight-agent --lines=30"
    say "the service runs"
  else
    systemctl start acusight-agent-key.path || :
    say "next: get the key, and name a source in /etc/acusight-agent/config.toml:"
    say "  acusight-agent -c /etc/acusight-agent/config.toml provision --url URL --token-file -"
    say "then: systemctl start acusight-agent"
  fi
  systemctl --quiet is-enabled acusight-agent-page.socket 2>/dev/null ||
    say "for the status page, which is off: systemctl enable --now acusight-agent-page.socket"
}

config_is_ready() {
  told=$("$env/bin/acusight-agent" -c /etc/acusight-agent/config.toml config check 2>/dev/null) || return 1
  case $told in *"there is nothing to run"*) return 1 ;; esac
  [ ! -s /etc/acusight-agent/device_key ] || return 0
  case $told in *"no device key yet"*) return 1 ;; esac
}

# So that people need not type the environment's path; what somebody else put there is left alone.
link_command() {
  link=$root/usr/local/bin/acusight-agent
  if [ ! -e "$link" ] && [ ! -L "$link" ]; then
    mkdir -p "${link%/*}" && ln -s "$prefix/bin/acusight-agent" "$link"
  fi
}

uninstall() {
  if [ ! -e "$mark" ]; then
    say "nothing is installed in $env"
    return 0
  fi
  if [ "$service" = yes ] && [ -x "$env/bin/acusight-agent" ]; then
    in_service_root "$env/bin/acusight-agent" service uninstall || fail "the service could not be removed"
  fi
  link=$root/usr/local/bin/acusight-agent
  if [ "$(readlink "$link" 2>/dev/null)" = "$prefix/bin/acusight-agent" ]; then
    rm -f -- "$link"
  fi
  rm -rf -- "$env"
  say "removed $env"
}

if [ "$mode" = uninstall ]; then
  uninstall
  exit 0
fi
check_python
check_target
make_environment
install_agent
add_opencv
if [ "$service" = yes ]; then
  install_service
  link_command
fi
if [ "$doctor" = yes ] && [ "$service" = yes ] && [ -z "$root" ]; then
  "$env/bin/acusight-agent" -c /etc/acusight-agent/config.toml doctor || : # what it found is told; the agent is there
fi
say "done: $("$env/bin/acusight-agent" version)"
