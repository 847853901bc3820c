"""Sends traffic for SOAK_SECONDS, kills (-9) or stops the node at random between bursts, restarts it, and compares
what it judged with what was sent and committed. Prints its seed; SOAK_SEED repeats a schedule. Exit code 1 on a difference."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

BINARY = "target/release/watchroom"
SECONDS = int(os.environ.get("SOAK_SECONDS", "600"))
SEED = int(os.environ.get("SOAK_SEED", str(random.randrange(1 << 30))))


def start(folder, config):
    addresses = os.path.join(folder, "data", "addresses.json")
    if os.path.exists(addresses):
        os.remove(addresses)
    log = open(os.path.join(folder, "node.log"), "a")
    node = subprocess.Popen([BINARY, "run", "--config", config], stderr=log)
    while not os.path.exists(addresses):
        if node.poll() is not None:
            sys.exit(f"the node ended with {node.returncode}; see {log.name}")
        time.sleep(0.02)
    with open(addresses) as f:
        return node, json.load(f)


def metric(web, name):
    with urllib.request.urlopen(f"http://{web}/metrics", timeout=30) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(name + " "):
                return int(float(line.split()[1]))
    return 0


def judged(web, wanted):
    deadline = time.monotonic() + 120
    while (now := metric(web, "watchroom_engine_records_total")) < wanted:
        if time.monotonic() > deadline:
            return now
        time.sleep(0.02)
    return now


def resident_mib(node):
    with open(f"/proc/{node.pid}/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmRSS"))


def main():
    chance = random.Random(SEED)
    print(f"soak: {SECONDS} s, seed {SEED}")
    folder = tempfile.mkdtemp(prefix="watchroom-soak-")
    config = os.path.join(folder, "watchroom.yaml")
    with open(config, "w") as f:
        f.write(f"data_dir: {folder}/data\nrule_files: [rules.d]\nweb: {{listen_address: '127.0.0.1:0'}}\n"
                "listeners:\n  - {name: tcp, protocol: tcp, address: '127.0.0.1:0'}\n")
    node, at = start(folder, config)
    sent, ends = 0, {"kill -9": 0, "SIGTERM": 0, "none": 0}
    began = time.monotonic()
    while time.monotonic() - began < SECONDS:
        lines = chance.randrange(1_000, 40_000)
        subprocess.run([BINARY, "generate", "--seed", str(chance.randrange(1 << 30)), "--lines", str(lines),
                        "--syslog", f"tcp://{at['tcp']}"], check=True, stderr=subprocess.DEVNULL)
        sent += lines
        now = judged(at["web"], sent)
        if now != sent:
            sys.exit(f"sent {sent}, judged {now}; the data is in {folder}")
        how = chance.choice(list(ends))
        ends[how] += 1
        if how != "none":
            node.send_signal(signal.SIGKILL if how == "kill -9" else signal.SIGTERM)
            node.wait()
            node, at = start(folder, config)
            now = judged(at["web"], sent)
            if now != sent:
                sys.exit(f"after {how}: sent {sent}, judged again {now}; the data is in {folder}")
    memory = resident_mib(node)
    node.terminate()
    node.wait()
    shutil.rmtree(folder)
    print(f"soak: {sent} lines, each judged once; ends: {ends}; resident {memory} MiB at the end")


main()
