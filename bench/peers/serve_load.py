#!/usr/bin/python3
"""Load servers that speak OpenAI's API, in turn (A B A B ...), with streams, and compare them.

  serve_load.py [--streams 1,4,16,64] [--rounds 3] NAME='command line' NAME='command line' ...

{port} in a command becomes a free port, {streams} the largest number of streams. All servers are
started first and stay; one is loaded at a time. A round is `--requests` requests by each of so many
clients, one behind the other, each with a prompt of its own that no cache knows: random words, or a text
from a place of its own on, with its beginning behind its end (--text). With --known all rounds have the same
prompts, and each server has answered them once before. Reported are tokens a
second of all clients together, the time to the first token, and the median and the 99th percentile
of the time between two tokens of one answer as its client sees them. The first NAME is the base of the
ratios; each figure is the median of its rounds.
"""
import argparse
import json
import os
import random
import selectors
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

WORDS = ("the a little big red old man girl dog tree house went saw said had was and then but so very happy "
         "sad far away one day in to her his their with under over river").split()


def prompt(rng, args):
    if args.text is None:
        return " ".join(rng.choice(WORDS) for _ in range(args.words))
    words = args.text.split(" ")
    begin = rng.randrange(len(words))
    return " ".join(words[begin:] + words[:begin])


class Stream:
    """One client: sends requests one behind the other and notes when each token came."""

    def __init__(self, port, bodies):
        self.bodies = list(bodies)
        self.port = port
        self.gaps = []
        self.first = []
        self.tokens = 0
        self.failed = None

    def begin(self, selector):
        body = self.bodies.pop()
        head = (f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        # A connection for each request: llama-server closes it after a stream.
        self.socket = socket.create_connection(("127.0.0.1", self.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        selector.register(self.socket, selectors.EVENT_READ, self)
        self.sent = time.perf_counter()
        self.last = None
        self.tail = b""
        self.socket.sendall(head + body)

    def on_readable(self, selector):
        """True when the last request has its answer."""
        now = time.perf_counter()
        got = self.socket.recv(1 << 16)
        data = self.tail + got
        if not got or (self.last is None and b" 200 " not in data[:16]):
            self.failed = data[:300]
            return self.stop(selector)
        # An event is whole when its blank line is there; what comes together came at one time.
        whole = data.rfind(b"\n\n") + 1
        events, self.tail = data[:whole], data[whole:]
        for line in events.split(b"\n"):
            if line.startswith(b"data: {"):
                self.on_event(line[6:], now)
        if b"data: [DONE]" not in events:
            return False
        self.stop(selector)
        if not self.bodies:
            return True
        self.begin(selector)
        return False

    def on_event(self, event, now):
        if b'"usage":{' in event:
            self.tokens += json.loads(event)["usage"]["completion_tokens"]
        if b'"text":' not in event:
            return
        if self.last is None:
            self.first.append(now - self.sent)
        else:
            self.gaps.append(now - self.last)
        self.last = now

    def stop(self, selector):
        selector.unregister(self.socket)
        self.socket.close()
        self.socket = None
        return True


def load(port, streams, args, rng):
    def body():
        request = {"prompt": prompt(rng, args), "max_tokens": args.tokens, "temperature": args.temperature,
                   "stream": True, "stream_options": {"include_usage": True}, "ignore_eos": True}
        return json.dumps(request).encode()

    requests = max(1, args.requests)
    clients = [Stream(port, [body() for _ in range(requests)]) for _ in range(streams)]
    selector = selectors.DefaultSelector()
    start = time.perf_counter()
    for client in clients:
        client.begin(selector)
    left = streams
    while left > 0:
        events = selector.select(timeout=60)
        if not events:
            sys.exit("nothing came for a minute")
        for key, _ in events:
            if key.data.on_readable(selector):
                left -= 1
    seconds = time.perf_counter() - start
    for client in clients:
        if client.failed is not None:
            sys.exit(f"a request failed: {client.failed!r}")
    tokens = sum(client.tokens for client in clients)
    if tokens != streams * requests * args.tokens:
        sys.exit(f"{tokens} tokens came, {streams * requests * args.tokens} were asked for")
    gaps = sorted(gap for client in clients for gap in client.gaps)
    return {"tps": tokens / seconds,
            "first_ms": 1e3 * statistics.median(t for client in clients for t in client.first),
            "p50_ms": 1e3 * gaps[len(gaps) // 2],
            "p99_ms": 1e3 * gaps[min(len(gaps) - 1, len(gaps) * 99 // 100)]}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(command, streams):
    port = free_port()
    command = command.replace("{port}", str(port)).replace("{streams}", str(streams))
    process = subprocess.Popen(shlex.split(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.time() + 60
    while True:
        try:
            if urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).status == 200:
                return process, port
        except OSError:
            pass
        if process.poll() is not None or time.time() > end:
            sys.exit(f"does not start: {command}")
        time.sleep(0.05)


def user_seconds(process):
    """User and system time of the server so far."""
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="+", metavar="NAME=COMMAND")
    parser.add_argument("--streams", default="1,4,16,64")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=1, help="of each client, one behind the other")
    parser.add_argument("--tokens", type=int, default=128, help="of each answer")
    parser.add_argument("--words", type=int, default=48, help="of each prompt")
    parser.add_argument("--text", type=argparse.FileType(), help="what the prompts are made of")
    parser.add_argument("--known", action="store_true", help="the same prompts in all rounds")
    parser.add_argument("--temperature", type=float, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    counts = [int(count) for count in args.streams.split(",")]
    names = [server.split("=", 1)[0] for server in args.servers]
    servers = [start(server.split("=", 1)[1], max(counts)) for server in args.servers]
    rng = random.Random(1)
    if args.text is not None:
        args.text = args.text.read()
    try:
        for streams in counts:
            results = {name: [] for name in names}
            for _, port in servers:
                if args.known:
                    load(port, streams, args, random.Random(streams))
                else:
                    few = argparse.Namespace(**{**vars(args), "tokens": 8, "requests": 1})
                    load(port, min(streams, 4), few, rng)
            for _ in range(args.rounds):
                for name, (process, port) in zip(names, servers):
                    before = user_seconds(process)
                    result = load(port, streams, args, random.Random(streams) if args.known else rng)
                    result["cpu_us"] = 1e6 * (user_seconds(process) - before) / (streams * args.requests * args.tokens)
                    results[name].append(result)
            middle = {name: {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
                      for name, rounds in results.items()}
            if args.json:
                print(json.dumps({"streams": streams, **middle}), flush=True)
                continue
            for name in names:
                m = middle[name]
                spread = [r["tps"] for r in results[name]]
                print(f"{streams:3} streams  {name:12} {m['tps']:8.0f} tok/s ({min(spread):.0f} to {max(spread):.0f})"
                      f"  first {m['first_ms']:7.1f} ms  between tokens {m['p50_ms']:6.2f} ms, 99% below {m['p99_ms']:6.2f} ms"
                      f"  {m['cpu_us']:6.0f} us CPU a token  {m['tps'] / middle[names[0]]['tps']:.2f}x", flush=True)
    finally:
        for process, _ in servers:
            process.send_signal(signal.SIGKILL)


if __name__ == "__main__":
    main()
