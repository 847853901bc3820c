#!/usr/bin/env bash
# Installs what the tests talk to: rsyslog, Chromium and libfiu (Debian packages), an SMTP server and a JSON Schema validator (PyPI, into .venv).
# Says what it installs; installs nothing that is there already.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=()
need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || packages+=("$2"); }
need cc gcc
need make make
need openssl openssl
need python3 python3
need rsyslogd rsyslog
# A module of rsyslog is a file, no command.
module() { compgen -G "/usr/lib*/*/rsyslog/$1.so" >/dev/null || compgen -G "/usr/lib*/rsyslog/$1.so" >/dev/null || packages+=("$2"); }
module omrelp rsyslog-relp
module lmnsd_gtls rsyslog-gnutls
module lmnsd_ossl rsyslog-openssl
need chromium chromium
need chromedriver chromium-driver
need fiu-run fiu-utils
python3 -c 'import venv, ensurepip' 2>/dev/null || packages+=(python3-venv)
if [ ${#packages[@]} -gt 0 ]; then
  echo "test setup: installing Debian packages: ${packages[*]}"
  as_root=""
  if [ "$(id -u)" != 0 ]; then as_root=sudo; fi
  export DEBIAN_FRONTEND=noninteractive
  $as_root apt-get update -qq
  $as_root apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

if ! .venv/bin/python -c 'import aiosmtpd, jsonschema' 2>/dev/null; then
  echo "test setup: installing aiosmtpd and jsonschema (PyPI) into .venv"
  python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check aiosmtpd==1.4.6 jsonschema==4.25.1
fi
echo "test setup: done"
