#!/usr/bin/env bash
# Installs the Debian packages that are missing, and says which. Asks for sudo only when there is something to install.
# For tests also the clients that the server is tested with, from PyPI, into build/python.
# usage: install_deps.sh [build|test|page|lint|package]   (default build; the others add to it)
set -euo pipefail

packages="g++ cmake ninja-build pkg-config libboost1.81-dev libboost-json1.81-dev libcli11-dev libfmt-dev libspdlog-dev
  libpcre2-dev libutf8proc-dev libsqlite3-dev libseccomp-dev bubblewrap python3 libssl-dev prometheus-cpp-dev"
case "${1:-build}" in
  build) ;;
  test) packages+=" libgtest-dev libgmock-dev python3-venv openssl" ;;
  page) packages+=" chromium"; command -v npm >/dev/null || packages+=" npm" ;;
  lint) packages+=" libgtest-dev libgmock-dev clang-format clang-tidy python3" ;;
  package) packages+=" dpkg-dev file" ;;
  *) echo "usage: $0 [build|test|page|lint|package]" >&2; exit 2 ;;
esac

# Ubuntu and newer Debian name Boost by their own version.
if ! apt-cache show libboost-json1.81-dev >/dev/null 2>&1 && apt-cache show libboost-json-dev >/dev/null 2>&1; then
  packages=${packages//1.81-dev/-dev}
fi

install_packages() {
  local missing=() package sudo=""
  for package in $packages; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return

  if ! command -v apt-get >/dev/null; then
    echo "These packages are missing, and there is no apt-get here: ${missing[*]}" >&2
    exit 1
  fi
  echo "Installing Debian packages: ${missing[*]}"
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "Run as root: apt-get install ${missing[*]}" >&2; exit 1; }
    sudo=sudo
  fi
  export DEBIAN_FRONTEND=noninteractive
  $sudo apt-get update -qq
  $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

install_python_clients() {
  local root python wanted
  root=$(cd "$(dirname "$0")/.." && pwd)
  python=$root/build/python
  wanted=$root/tests/serve/requirements.txt
  cmp -s "$wanted" "$python/requirements.txt" && return
  echo "Installing Python packages into build/python: $(tr '\n' ' ' <"$wanted")"
  python3 -m venv --clear "$python"
  "$python/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
  cp "$wanted" "$python/requirements.txt"  # last: it says that all went well
}

install_packages
if [ "${1:-build}" = test ]; then install_python_clients; fi
