#!/usr/bin/env bash
# The demo: builds Watchroom, starts it on the embedded default, sends it a minute of payment traffic in which
# channel GHT loses its network, and says where to look. DEMO_SECONDS=N ends it after N seconds.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "demo: installs nothing; needs Rust, a C compiler, make and the crates registry (first build: about five minutes on two cores)"
cargo build --release --locked --quiet
watchroom=target/release/watchroom
dir=var/demo
rm -rf "$dir"
mkdir -p "$dir/mailbox"
cat > "$dir/watchroom.yaml" <<YAML
# Written by scripts/demo.sh. Every key: docs/configuration.md
data_dir: $dir/data
listeners:
  - {name: syslog-udp, protocol: udp, address: "127.0.0.1:${DEMO_SYSLOG_PORT:-5514}"}
  - {name: syslog-tcp, protocol: tcp, address: "127.0.0.1:${DEMO_SYSLOG_PORT:-5514}"}
web:
  listen_address: "127.0.0.1:${DEMO_WEB_PORT:-9650}"
rule_files: [rules.d]
receivers:
  - name: duty
    email_configs:
      - {to: duty@payments.example, from: watchroom@payments.example, directory: $dir/mailbox}
YAML

"$watchroom" run --config "$dir/watchroom.yaml" &
node=$!
generator=
finish() {
  trap - EXIT INT TERM
  [ -n "$generator" ] && kill "$generator" 2>/dev/null || true
  kill "$node" 2>/dev/null || true
  wait "$node" 2>/dev/null || true
  exit 0
}
trap finish EXIT INT TERM
until [ -s "$dir/data/addresses.json" ]; do
  kill -0 "$node" 2>/dev/null || { trap - EXIT; wait "$node"; exit 1; }
  sleep 0.1
done

web="http://127.0.0.1:${DEMO_WEB_PORT:-9650}"
cat <<TEXT

  Payment traffic flows in now; in about 15 seconds channel GHT loses its network.
  Watch this terminal for the alert, and look at

    the board     $web/
    the alerts    $web/alerts
    an order      $web/orders     (search channel GHT, code NET_ERR, and open an order)
    the mailbox   $dir/mailbox/   (one .eml file a mail)
    the stored traces, readable by any Parquet tool: $dir/data/traces/

  Ctrl-C ends it.

TEXT
"$watchroom" generate --seed 7 --start now --duration 1h --rate 400 --incident network:GHT@+15s \
  --syslog "tcp://127.0.0.1:${DEMO_SYSLOG_PORT:-5514}" 2>"$dir/generate.log" &
generator=$!

seen=
started=$SECONDS
while kill -0 "$node" 2>/dev/null; do
  if [ -z "$seen" ]; then
    mail=$(find "$dir/mailbox" -name '*.eml' -print -quit)
    if [ -n "$mail" ]; then
      seen=1
      printf '\n  The alert has been mailed, %s seconds after the start: %s\n  Its page: %s/alerts\n\n' "$((SECONDS - started))" "$mail" "$web"
    fi
  fi
  if [ -n "${DEMO_SECONDS:-}" ] && [ $((SECONDS - started)) -ge "$DEMO_SECONDS" ]; then
    [ -n "$seen" ] || { echo "demo: no alert within $DEMO_SECONDS seconds" >&2; trap - EXIT; kill "$generator" "$node"; exit 1; }
    break
  fi
  sleep 0.5
done
