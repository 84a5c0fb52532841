// A server with answers by script in front of a corral that gives the page itself.
import { readFileSync } from "node:fs";
import http from "node:http";
import { answers } from "./answers.mjs";

export class Mock {
  constructor(corralPort) {
    this.corralPort = corralPort;
    this.server = http.createServer((request, response) => this.handle(request, response));
    this.sockets = new Set();
    this.server.on("connection", (socket) => {
      if (this.down) return socket.destroy();
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
      socket.on("error", () => {});
    });
    this.reset();
  }

  /** What a test changes, back to a server that works. */
  reset() {
    this.down = false; // connections are closed at once
    this.key = null; // which key it wants
    this.busy = 0; // how many requests get 429
    this.context = 8192;
    this.results = null; // of every search; null: it cannot search
    this.models = ["mock-large", "mock-small"];
    this.requests = []; // bodies of what was asked
    this.delayMs = 1;
    this.perChunk = 7;
    this.gate = null; // a promise that streams wait for in the middle
  }

  listen() {
    return new Promise((resolve) => {
      this.server.listen(0, "127.0.0.1", () => {
        this.port = this.server.address().port;
        resolve();
      });
    });
  }

  close() {
    this.cut();
    return new Promise((resolve) => this.server.close(resolve));
  }

  /** Breaks every connection. */
  cut() {
    for (const socket of this.sockets) socket.destroy();
  }

  handle(request, response) {
    const path = request.url.split("?")[0];
    if (path === "/health") return json(response, 200, { status: "ok" });
    if (path === "/page/features") return json(response, 200, { web_search: this.results !== null, expert_routing: true });
    if (path === "/page/search") return json(response, 200, { results: this.results });
    if (!path.startsWith("/v1/")) return this.forward(request, response);
    if (this.key !== null && request.headers.authorization !== `Bearer ${this.key}`) {
      return json(response, 401, { error: { message: "this server needs an API key it knows" } });
    }
    if (path === "/v1/models") {
      return json(response, 200, { data: this.models.map((id) => ({ id, max_model_len: this.context })) });
    }
    let body = "";
    request.on("data", (data) => (body += data));
    request.on("end", () => void this.chat(JSON.parse(body), response));
  }

  // The page itself, with corral's own headers. SITE=FOLDER: with the files that build_page.py put there,
  // so that a change of the page can be tried without building the program.
  forward(request, response) {
    const { SITE: site } = process.env;
    delete request.headers["if-none-match"];
    const inner = http.request(
      { host: "127.0.0.1", port: this.corralPort, path: request.url, method: request.method, headers: request.headers },
      (answer) => {
        if (site === undefined || !/^\/($|assets\/|frame$)/.test(request.url)) {
          response.writeHead(answer.statusCode, answer.headers);
          return answer.pipe(response);
        }
        answer.resume();
        const names = { "/": "/index.html", "/frame": "/frame.html" };
        const { "content-encoding": _, "content-length": __, ...headers } = answer.headers;
        const type = { js: "text/javascript", css: "text/css" }[request.url.split(".").pop()];
        response.writeHead(200, { ...headers, ...(type === undefined ? {} : { "content-type": type }) });
        response.end(readFileSync(site + (names[request.url] ?? request.url)));
      },
    );
    inner.on("error", () => response.destroy());
    request.pipe(inner);
  }

  async chat(body, response) {
    this.requests.push(body);
    if (this.busy > 0) {
      this.busy -= 1;
      return json(response, 429, { error: { message: "the queue is full" } }, { "Retry-After": "1" });
    }
    const last = body.messages.at(-1);
    const text = typeof last.content === "string" ? last.content : last.content.map((part) => part.text ?? "").join("\n");
    const size = JSON.stringify(body.messages).length;
    if (size > this.context * 4) {
      const tokens = Math.round(size / 4);
      return json(response, 400, { error: { message: `the prompt has ${tokens} tokens, the context holds ${this.context}` } });
    }
    if (/mock:noimages/.test(text) && JSON.stringify(body.messages).includes("image_url")) {
      return json(response, 400, { error: { message: "messages has an image: this server takes text only" } });
    }
    const answer = answers(body, last, text);
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    await this.stream(body, answer, response, size);
  }

  async stream(body, answer, response, size) {
    const event = (choice, extra = {}) =>
      response.write(`data: ${JSON.stringify({ choices: choice === null ? [] : [{ index: 0, finish_reason: null, ...choice }], ...extra })}\n\n`);
    const pieces = cut(answer.text ?? "", answer.perChunk ?? this.perChunk);
    for (const [i, piece] of pieces.entries()) {
      if (response.destroyed) return;
      if (this.gate !== null && i >= Math.floor(pieces.length / 2)) await this.gate;
      if (answer.breakAt !== undefined && i === answer.breakAt) {
        await new Promise((resolve) => setTimeout(resolve, 200)); // what was sent has arrived
        return response.destroy();
      }
      event({
        delta: { content: piece },
        ...(body.logprobs ? { logprobs: { content: [detailOf(piece, i)] } } : {}),
        ...(body.expert_routing ? { expert_routing: [[0, 1, 2, 3].map((layer) => (i * (layer + 3) + layer) % 16)] } : {}),
      });
      if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
    }
    if (answer.calls !== undefined) event({ delta: { tool_calls: answer.calls.map((call, index) => ({ index, type: "function", ...call })) } });
    event({ delta: {}, finish_reason: answer.finish ?? (answer.calls === undefined ? "stop" : "tool_calls") });
    event(null, { usage: { prompt_tokens: Math.round(size / 4), completion_tokens: pieces.length, prompt_tokens_details: { cached_tokens: 3 } } });
    response.end("data: [DONE]\n\n");
  }
}

function detailOf(piece, i) {
  const logprob = -((i * 7) % 11) / 3;
  return {
    token: piece,
    logprob,
    top_logprobs: [
      { token: piece, logprob },
      { token: " perhaps", logprob: -1.2 },
      { token: "\n", logprob: -3.5 },
    ],
  };
}

function cut(text, size) {
  const characters = Array.from(text);
  const pieces = [];
  for (let i = 0; i < characters.length; i += size) pieces.push(characters.slice(i, i + size).join(""));
  return pieces;
}

function json(response, status, value, headers = {}) {
  response.writeHead(status, { "Content-Type": "application/json", ...headers });
  response.end(JSON.stringify(value));
}
