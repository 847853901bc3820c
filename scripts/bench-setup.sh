#!/usr/bin/env bash
# Fetches the programs beside which rules are measured: Debian's sec, syslog-ng-core and mawk.
# syslog-ng-core conflicts with rsyslog, so nothing is installed: the packages are unpacked into .tools/peers/root.
# What cannot be had is said, and not measured.
set -uo pipefail
cd "$(dirname "$0")/.."

root=.tools/peers/root
if [ -x "$root/usr/sbin/syslog-ng" ] && [ -e "$root/usr/bin/sec" ]; then
  exit 0
fi
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg >/dev/null 2>&1; then
  echo "bench setup: no apt-get here: sec and syslog-ng are measured only where they are installed"
  exit 0
fi
mkdir -p "$root" .tools/peers/packages
cd .tools/peers/packages || exit 1
# The libraries of syslog-ng-core that a machine may lack.
packages=(sec mawk syslog-ng-core libivykis0 libnet1 libpcre3 libwrap0 libjson-c5 libcap2 libglib2.0-0)
echo "bench setup: unpacking ${packages[*]} into $root"
for package in "${packages[@]}"; do
  if apt-get download "$package" >/dev/null 2>&1 && dpkg -x "$package"_*.deb ../root 2>/dev/null; then
    continue
  fi
  echo "bench setup: $package cannot be had (apt-get update?): what needs it is not measured"
done
