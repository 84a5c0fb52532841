#!/usr/bin/python3
"""Load and faults against a real server, for as long as one likes:

  tests/serve/soak.py CORRAL MODEL [--seconds 180] [--idle 1000] [--active 64]

For --seconds idle connections, streams, and clients that leave in the middle, send a byte a second, send
garbage, or a body of 100 MB, all at once. Then, one after the other: no descriptors left, kill -9 and restart,
a clock that jumps (with libfaketime), a full disk for saved sessions (as root). Prints a line now and then and ends with
1 if anything was not as it should be: every request that was accepted is answered or its client left; memory
and descriptors do not grow; the server's counters are those of the clients.
"""
import argparse
import asyncio
import collections
import glob
import json
import os
import random
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

problems = []
sent = collections.Counter()  # what clients did and saw


def check(true, what):
    if not true:
        problems.append(what)
        print("NOT AS IT SHOULD BE:", what, flush=True)


class Server:
    def __init__(self, args, *options, port=0, environment=None, descriptors=None):
        def limit():
            if descriptors is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        command = [args.corral, "serve", args.model, "--port", str(port), "--threads", "2", *options]
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, preexec_fn=limit,
                                        env={**os.environ, **(environment or {})})
        line = self.process.stdout.readline().decode()
        found = re.search(r"http://[\d.]+:(\d+)", line)
        if found is None:
            raise SystemExit(f"the server does not start: {line} {self.errors()}")
        self.port = int(found[1])

    def errors(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-2000:]

    def get(self, path, timeout=10):
        return urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=timeout).read().decode()

    def post(self, path, body, timeout=60):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def metrics(self):
        values = {}
        for line in self.get("/metrics").splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                values[name] = float(value)
        return values

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident_mib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) / 1024

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def alive(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()


def request_bytes(path, body):
    data = json.dumps(body).encode()
    return (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(data)}\r\n\r\n").encode() + data


async def connect(port):
    return await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)


def reset(writer):
    """Leaves without a goodbye."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


async def idle(port, end):
    while time.monotonic() < end:
        reader, writer = await connect(port)
        sent["idle connections"] += 1
        try:
            await asyncio.wait_for(reader.read(1), timeout=max(0.1, end - time.monotonic()))
        except asyncio.TimeoutError:
            pass
        writer.close()


STORY = "once upon a time there was a little dog and a big red house by the river where an old man went".split()


def a_request(rng):
    words = " ".join(rng.choice(STORY) for _ in range(rng.choice([3, 30, 30, 400])))
    body = {"max_tokens": rng.choice([1, 16, 64, 200]), "temperature": rng.choice([0, 1]), "stream": True,
            "ignore_eos": True}
    kind = rng.randrange(4)
    if kind == 0:
        return "/v1/completions", {**body, "prompt": words, "n": rng.choice([1, 1, 3])}
    chat = {**body, "messages": [{"role": "user", "content": words}]}
    if kind == 1:
        chat.update(logprobs=True, top_logprobs=3, expert_routing=True)
    if kind == 2:
        chat.update(response_format={"type": "json_object"}, max_tokens=100)
        del chat["ignore_eos"]
    if kind == 3:
        chat.update(stream=False)
    return "/v1/chat/completions", chat


async def active(port, end, rng):
    while time.monotonic() < end:
        path, body = a_request(rng)
        reader, writer = await connect(port)
        writer.write(request_bytes(path, body))
        leaves = rng.random() < 0.15
        try:
            if leaves:
                await asyncio.wait_for(reader.read(rng.choice([1, 1000, 20000])), timeout=rng.choice([0.01, 0.3, 60]))
                sent["left"] += 1
                reset(writer)
                continue
            answer = await asyncio.wait_for(reader.read(-1), timeout=600)
        except asyncio.TimeoutError:
            if leaves:
                sent["left"] += 1
                reset(writer)
                continue
            check(False, f"no answer in ten minutes to {path} {body}")
            return
        status = int(answer[9:12] or 0)
        whole = b"data: [DONE]" in answer[-100:] or (not body["stream"] and answer.endswith(b"}"))
        sent[f"status {status}"] += 1
        check(status in (200, 429) and (whole or status != 200), f"{path} {body} was answered {answer[:300]} ... {answer[-200:]}")
        writer.close()
        if status == 429:
            await asyncio.sleep(1)


async def byte_a_second(port, end, read_timeout):
    """Is cut off in time, and never served."""
    while time.monotonic() < end - read_timeout - 10:
        reader, writer = await connect(port)
        start = time.monotonic()
        text = request_bytes("/v1/completions", {"prompt": "slow", "max_tokens": 1})
        for i in range(len(text)):
            writer.write(text[i:i + 1])
            try:
                got = await asyncio.wait_for(reader.read(100), timeout=1)
                check(got == b"" or b" 408 " in got[:20], f"a client of a byte a second got {got}")
                break
            except asyncio.TimeoutError:
                pass
            except OSError:
                break
        check(time.monotonic() - start < read_timeout + 10, "a client of a byte a second was kept too long")
        sent["a byte a second"] += 1
        writer.close()


async def garbage(port, end, rng):
    while time.monotonic() < end:
        reader, writer = await connect(port)
        writer.write(rng.choice([rng.randbytes(2000), b"GET / HTTP/9.9\r\n\r\n", b"\0" * 100, b"POST /v1/completions HTTP/1.1\r\n"
                     b"Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":::", b"A" * 70000,
                     b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"]))
        try:
            got = await asyncio.wait_for(reader.read(100), timeout=60)
            check(got == b"" or 400 <= int(got[9:12]) < 500 or got[9:12] == b"505", f"garbage was answered {got}")
        except asyncio.TimeoutError:
            check(False, "garbage got no answer")
        except OSError:
            pass
        sent["garbage"] += 1
        writer.close()
        await asyncio.sleep(0.5)


async def too_large(port, end):
    """100 MB, with the length said before or in chunks."""
    chunked = False
    while time.monotonic() < end:
        reader, writer = await connect(port)
        head = "POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        writer.write((head + ("Transfer-Encoding: chunked\r\n\r\n" if chunked else "Content-Length: 100000000\r\n\r\n")).encode())
        piece = b"1" * 1000000
        if chunked:
            piece = b"f4240\r\n" + piece + b"\r\n"
        got = b""
        try:
            for _ in range(100):
                writer.write(piece)
                await asyncio.wait_for(writer.drain(), timeout=20)
                if reader.at_eof():
                    break
            got = await asyncio.wait_for(reader.read(100), timeout=20)
        except (OSError, asyncio.TimeoutError):
            pass
        check(got == b"" or b" 413 " in got, f"100 MB were answered {got}")
        sent["100 MB"] += 1
        chunked = not chunked
        writer.close()
        await asyncio.sleep(3)


async def watch(server, end, samples):
    begun = time.monotonic()
    while time.monotonic() < end:
        await asyncio.sleep(5)
        samples.append((time.monotonic() - begun, server.resident_mib(), server.descriptors()))
        if len(samples) % 6 == 1:
            print(f"{samples[-1][0]:6.0f} s  {samples[-1][1]:6.1f} MiB  {samples[-1][2]} descriptors  {dict(sent)}", flush=True)
        check(server.alive(), "the server has ended")
        if not server.alive():
            raise SystemExit(1)


async def mixed_load(args, server, samples, read_timeout):
    end = time.monotonic() + args.seconds
    rng = random.Random(7)
    clients = [active(server.port, end, random.Random(i)) for i in range(args.active)]
    clients += [byte_a_second(server.port, end, read_timeout) for _ in range(4)]
    clients += [garbage(server.port, end, rng), too_large(server.port, end), watch(server, end, samples)]
    for begin in range(0, args.idle, 100):
        clients += [idle(server.port, end) for _ in range(min(100, args.idle - begin))]
    results = await asyncio.gather(*clients, return_exceptions=True)
    for result in results:
        check(result is None, f"a client failed: {result!r}")


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


def load(args):
    read_timeout = 20
    # So little memory that the prefix cache is soon full and the server could only grow by a leak.
    server = Server(args, "--read-timeout", str(read_timeout), "--max-waiting", "64", "--kv-gib", "0.1")
    before = server.descriptors()
    samples = []
    asyncio.run(mixed_load(args, server, samples, read_timeout))
    check(until(lambda: server.metrics()['corral_http_connections'] <= 1), "connections stay open after their clients left")
    name = re.search(r'corral_requests_total(\{[^}]*\})', server.get("/metrics"))[1]
    check(until(lambda: server.metrics()["corral_answers_running" + name] == 0), "answers run on without clients")
    check(until(lambda: server.descriptors() <= before + 2), f"{server.descriptors()} descriptors, before the load {before}")
    metrics = server.metrics()
    check(metrics["corral_requests_waiting" + name] == 0, "requests wait without clients")
    finished = {key: value for key, value in metrics.items() if key.startswith("corral_answers_finished_total")}
    ok = metrics['corral_http_requests_total{status="200"}']
    seen = sent["status 200"]
    left = metrics.get('corral_http_requests_total{status="499"}', 0)
    # Who left may have left after the end of the answer.
    check(seen <= ok <= seen + sent["left"] + args.seconds, f"{ok} answers with 200 counted, clients saw {seen}, {sent['left']} left")
    check(left <= sent["left"], f"{left} clients left by the server's count, {sent['left']} by theirs")
    check(metrics.get('corral_http_requests_total{status="429"}', 0) >= sent["status 429"], "refusals are not all counted")
    check(not any('"failed"' in key for key in finished), f"answers failed: {finished}")
    settled = [mib for at, mib, _ in samples if at > args.seconds / 3]
    if len(settled) >= 4:
        half = len(settled) // 2
        grown = max(settled[half:]) - max(settled[:half])
        print(f"memory: {samples[0][1]:.1f} MiB at first, {max(settled[:half]):.1f} in the second third, "
              f"{max(settled[half:]):.1f} in the last ({grown:+.1f})", flush=True)
        check(grown < 0.1 * max(settled[:half]) + 8, f"memory grows: {grown:.1f} MiB")
    print(f"load: {dict(sent)}, finished {[(key.split('reason=')[1].strip(chr(34) + '}'), int(v)) for key, v in finished.items()]}", flush=True)
    server.process.send_signal(signal.SIGTERM)
    check(server.process.wait(timeout=40) == 0, "SIGTERM does not end the server cleanly")


def out_of_descriptors(args):
    server = Server(args, "--read-timeout", "60", descriptors=64)
    clients = []
    for _ in range(200):
        client = socket.socket()
        client.settimeout(5)
        client.connect(("127.0.0.1", server.port))  # the backlog takes those that cannot be accepted
        clients.append(client)
    time.sleep(0.5)
    spent = server.cpu_seconds()
    time.sleep(3)
    spent = server.cpu_seconds() - spent
    check(server.alive(), "no descriptors left ended the server")
    check(spent < 0.6, f"without descriptors it takes {spent:.2f} s of CPU in 3 s")
    refused = "descriptors" in server.errors()
    check(refused, "nobody is told that descriptors are used up")
    for client in clients:
        client.close()
    check(until(lambda: "ok" in server.get("/health", 5)), "it does not recover from having no descriptors")
    print(f"descriptors: {spent:.2f} s of CPU in 3 s without any, and it recovers", flush=True)
    server.kill()


def killed(args):
    first = Server(args)
    client = socket.create_connection(("127.0.0.1", first.port))
    client.sendall(request_bytes("/v1/completions", {"prompt": "a", "max_tokens": 4000, "stream": True, "ignore_eos": True}))
    client.recv(1000)
    first.kill()
    second = Server(args, port=first.port)
    status, answer = second.post("/v1/completions", {"prompt": "a", "max_tokens": 4})
    check(status == 200, f"after kill -9 and restart it answers {status} {answer}")
    print("kill -9: another takes its port and answers", flush=True)
    second.kill()


def clock(args):
    library = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    if not library:
        return print("clock: skipped, no libfaketime (apt-get install libfaketime)", flush=True)
    with tempfile.NamedTemporaryFile("w", suffix=".time") as when:
        def jump(offset):
            when.seek(0)
            when.truncate()
            when.write(offset)
            when.flush()

        jump("+0")
        server = Server(args, environment={"LD_PRELOAD": library[0], "FAKETIME_TIMESTAMP_FILE": when.name,
                                           "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
        for offset in ("+30d", "-30d", "+0"):
            client = socket.create_connection(("127.0.0.1", server.port))
            client.settimeout(60)
            client.sendall(request_bytes("/v1/completions", {"prompt": "a", "max_tokens": 1500, "stream": True,
                                                             "ignore_eos": True, "timeout": 3000}))
            answer = client.recv(2000)
            jump(offset)
            while piece := client.recv(1 << 16):
                answer += piece
            check(b"data: [DONE]" in answer[-100:], f"a stream ends when the clock jumps by {offset}: {answer[-300:]}")
        server.kill()
    print("clock: streams and deadlines do not notice jumps of 30 days", flush=True)


def disk_full(args):
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True).returncode != 0:
            return print("disk: skipped, a small file system can only be mounted as root", flush=True)
        try:
            server = Server(args, "--slot-save-path", folder, "--kv-disk", folder, "--kv-gib", "0.01", "--context", "2000")
            words = " ".join(STORY * 20)
            for i in range(12):  # more than memory and disk hold
                status, answer = server.post("/v1/completions", {"prompt": f"{i} {words}", "max_tokens": 4})
                check(status == 200, f"with a full disk for cold prefixes a request gets {status} {answer}")
            outcomes = [server.post(f"/slots/0?action=save", {"filename": f"s{i}"}) for i in range(8)]
            full = [answer for status, answer in outcomes if status == 507]
            check(full and "error" in full[0], f"a full disk is not said: {outcomes}")
            check(not [name for name in os.listdir(folder) if name.endswith(".partial")], "half a session stays on a full disk")
            status, answer = server.post("/v1/completions", {"prompt": words, "max_tokens": 4})
            check(status == 200, f"after a full disk it answers {status} {answer}")
            print(f"disk: full for {len(full)} of 8 sessions: {full[0]['error']['message'] if full else ''}", flush=True)
            server.kill()
        finally:
            subprocess.run(["umount", "-l", folder], check=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corral")
    parser.add_argument("model")
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--idle", type=int, default=1000)
    parser.add_argument("--active", type=int, default=64)
    parser.add_argument("--only", help="one of load, descriptors, killed, clock, disk")
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(16384, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    parts = {"load": load, "descriptors": out_of_descriptors, "killed": killed, "clock": clock, "disk": disk_full}
    for name, part in parts.items():
        if args.only in (None, name):
            part(args)
    print("all as it should be" if not problems else f"{len(problems)} problems", flush=True)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
