import assert from "node:assert/strict";
import { test } from "node:test";
import { failureOf } from "../../../web/src/api/failure";
import { chatRequest, fenceFor, wireMessages } from "../../../web/src/api/request";
import { parseModels } from "../../../web/src/api/server";
import { EventReader } from "../../../web/src/api/sse";
import { Answer, type AnswerSink } from "../../../web/src/api/stream";
import { defaults } from "../../../web/src/data/settings";
import type { Message } from "../../../web/src/data/types";
import { clock, fitInto, kindOf, looksBinary, momentsOf } from "../../../web/src/attach/kinds";
import { expertShares } from "../../../web/src/insight/experts";
import { doubt, percent, perplexity, visible } from "../../../web/src/insight/probability";
import { forScript } from "../../../web/src/canvas/sandbox";
import { titleOf } from "../../../web/src/canvas/documents";
import { parseOwnTools } from "../../../web/src/tools/toolbox";

const bytes = (text: string) => new TextEncoder().encode(text);

test("events are the same wherever the bytes are cut", () => {
  const stream = bytes(": hello\r\ndata: {\"a\":\"ä€😀\"}\r\n\r\nevent: x\ndata: one\ndata:two\n\ndata: [DONE]\n\n");
  const wanted = ['{"a":"ä€😀"}', "one\ntwo", "[DONE]"];
  for (let cut = 0; cut <= stream.length; cut += 1) {
    const reader = new EventReader();
    assert.deepEqual([...reader.push(stream.slice(0, cut)), ...reader.push(stream.slice(cut))], wanted, `cut at ${cut}`);
  }
});

function collect() {
  const got = { text: "", calls: [] as unknown[], tokens: 0 };
  const sink: AnswerSink = {
    text: (more) => (got.text += more),
    token: () => (got.tokens += 1),
    experts: () => undefined,
    calls: (calls) => (got.calls = structuredClone(calls)),
  };
  return { got, answer: new Answer(sink) };
}

test("an answer is put together from its chunks", () => {
  const { got, answer } = collect();
  answer.event('{"choices":[{"delta":{"role":"assistant","content":""}}]}');
  answer.event('{"choices":[{"delta":{"content":"Hel"},"logprobs":{"content":[{"token":"Hel","logprob":-1}]}}]}');
  answer.event('{"choices":[{"delta":{"content":"lo"},"finish_reason":"length"}],"usage":null}');
  answer.event('{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}');
  answer.event("[DONE]");
  const end = answer.end(null);
  assert.equal(got.text, "Hello");
  assert.equal(got.tokens, 1);
  assert.ok(end.ok && end.finish === "length" && end.stats.promptTokens === 5 && end.stats.answerTokens === 2);
});

test("an answer that the server's guard withheld is told from an empty one", () => {
  const { answer } = collect();
  answer.event('{"choices":[{"delta":{},"finish_reason":"content_filter"}]}');
  answer.event("[DONE]");
  const end = answer.end(null);
  assert.ok(end.ok && end.finish === "withheld");
});

test("calls come in pieces, several at once", () => {
  const { got, answer } = collect();
  answer.event('{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\\"x\\":"}}]}}]}');
  answer.event('{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}]}}]}');
  answer.event('{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]},"finish_reason":"tool_calls"}]}');
  const end = answer.end(null);
  assert.ok(end.ok && end.finish === "tool_calls");
  assert.deepEqual(got.calls, [
    { id: "a", name: "f", arguments: '{"x":1}', state: "asking" },
    { id: "b", name: "g", arguments: "{}", state: "asking" },
  ]);
});

test("a stream that ends early, an error in it, and nonsense are failures", () => {
  const early = collect().answer;
  early.event('{"choices":[{"delta":{"content":"x"}}]}');
  const cut = early.end(null);
  assert.ok(!cut.ok && cut.failure.kind === "interrupted");
  const wrong = collect().answer;
  wrong.event('{"error":{"message":"out of order"}}');
  const error = wrong.end(null);
  assert.ok(!error.ok && error.failure.message === "out of order");
  const nonsense = collect().answer;
  nonsense.event("<html>");
  assert.ok(!nonsense.end(null).ok);
});

test("what the server says is understood", () => {
  const kind = (status: number, message: string) => failureOf(status, JSON.stringify({ error: { message } }), null).kind;
  assert.equal(kind(401, "x"), "key");
  assert.equal(kind(429, "x"), "busy");
  assert.equal(kind(503, "x"), "busy");
  assert.equal(kind(400, "the prompt has 9000 tokens, the context holds 8192"), "too_long");
  assert.equal(kind(413, "the body is larger"), "too_long");
  assert.equal(kind(400, "messages has an image: this server takes text only"), "no_images");
  assert.equal(kind(400, "temperature is 9"), "refused");
  assert.equal(kind(500, "x"), "server");
  assert.equal(failureOf(502, "<html>bad gateway</html>", null).message, "HTTP 502");
  assert.equal(failureOf(429, "", "7").retryAfterSeconds, 7);
  assert.equal(failureOf(429, "", "Wed, 21 Oct 2026 07:28:00 GMT").retryAfterSeconds, 2);
  const long = failureOf(400, '{"error":{"message":"the prompt has 9000 tokens, the context holds 8192"}}', null);
  assert.deepEqual([long.promptTokens, long.contextTokens], [9000, 8192]);
});

function message(role: Message["role"], text: string, more: Partial<Message> = {}): Message {
  return { id: text, conversation: "c", parent: null, role, created: 0, text, attachments: [], ...more };
}

test("files go before the words, pictures as parts, results as messages of tools", () => {
  const path = [
    message("user", "look", {
      attachments: [
        { kind: "image", name: "p", url: "data:image/png;base64,A", note: "0:02" },
        { kind: "text", name: "a.txt", text: "A" },
      ],
    }),
    message("assistant", "", { calls: [{ id: "1", name: "f", arguments: "{}", state: "done", result: "R" }] }),
    message("assistant", "So."),
  ];
  assert.deepEqual(wireMessages(path, "S"), [
    { role: "system", content: "S" },
    {
      role: "user",
      content: [
        { type: "text", text: "0:02" },
        { type: "image_url", image_url: { url: "data:image/png;base64,A" } },
        { type: "text", text: "File a.txt:\n```\nA\n```\n\nlook" },
      ],
    },
    { role: "assistant", content: null, tool_calls: [{ id: "1", type: "function", function: { name: "f", arguments: "{}" } }] },
    { role: "tool", content: "R", tool_call_id: "1" },
    { role: "assistant", content: "So." },
  ]);
  assert.equal(fenceFor("a ```` b"), "`````");
});

test("a request names only what is on", () => {
  const plain = chatRequest([message("user", "x")], "", defaults, []);
  for (const absent of ["top_k", "min_p", "seed", "max_tokens", "tools", "logprobs", "expert_routing", "model"]) {
    assert.ok(!(absent in plain), absent);
  }
  const settings = { ...defaults, model: "m", tokenDetails: true, sampling: { ...defaults.sampling, seed: 0, top_k: 5 } };
  const full = chatRequest([], "", settings, [{ type: "function", function: { name: "f" } }]);
  assert.deepEqual([full["model"], full["seed"], full["top_k"], full["top_logprobs"]], ["m", 0, 5, 8]);
});

test("models are read from OpenAI's list", () => {
  assert.deepEqual(parseModels('{"data":[{"id":"a","max_model_len":10},{"id":"b"},{"no":1}]}'), [
    { id: "a", contextTokens: 10 },
    { id: "b", contextTokens: null },
  ]);
});

test("files are told apart", () => {
  assert.equal(kindOf("a.PNG", "image/png"), "image");
  assert.equal(kindOf("a.svg", "image/svg+xml"), "text");
  assert.equal(kindOf("a.pdf", ""), "pdf");
  assert.equal(kindOf("Makefile.mk", ""), "text");
  assert.equal(kindOf("a.rs", ""), "text");
  assert.equal(kindOf("a.webm", "video/webm"), "video");
  assert.equal(kindOf("a.exe", "application/octet-stream"), "unknown");
  assert.ok(looksBinary("a\0b"));
  assert.ok(!looksBinary("plain ä text"));
});

test("moments of a video lie inside it", () => {
  assert.deepEqual(momentsOf(8, 4), [1, 3, 5, 7]);
  assert.deepEqual(momentsOf(Number.POSITIVE_INFINITY, 4), [0]);
  assert.equal(clock(65.9), "1:05");
  assert.deepEqual(fitInto(3000, 1500, 1344), [1344, 672]);
  assert.deepEqual(fitInto(10, 20, 1344), [10, 20]);
});

test("probabilities are shown as people read them", () => {
  const token = (probability: number) => ({ token: "x", logprob: Math.log(probability), top: [] });
  assert.deepEqual([0.9, 0.6, 0.3, 0.1, 0.01].map((p) => doubt(token(p))), [0, 1, 2, 3, 4]);
  assert.ok(Math.abs(perplexity([token(0.5), token(0.125)]) - 4) < 1e-9);
  assert.equal(percent(Math.log(0.5)), "50 %");
  assert.equal(percent(-50), "< 0.01 %");
  assert.equal(visible(" a\n"), "␣a⏎");
});

test("shares of experts are counted layer by layer", () => {
  assert.deepEqual(expertShares([[0, 1], [0, 2], [1, 2], [0, 2]]), [
    [0.75, 0.25, 0],
    [0, 0.25, 0.75],
  ]);
  assert.deepEqual(expertShares([]), []);
});

test("code cannot end the script that it stands in", () => {
  assert.ok(!/<\/script/i.test(forScript('x = "</script><b>"; y = "</SCRIPT>"')));
});

test("documents are called by what they say", () => {
  assert.equal(titleOf("<html><title> A page </title>", "html"), "A page");
  assert.equal(titleOf("text\n# Heading\n", "markdown"), "Heading");
  assert.equal(titleOf("// A game of dice\nroll()", "js"), "A game of dice");
  assert.equal(titleOf("x = 1", "python"), "python");
});

test("tools of one's own are read in both forms", () => {
  const bare = parseOwnTools('[{"name": "f"}]');
  const full = parseOwnTools('{"type": "function", "function": {"name": "f"}}');
  assert.deepEqual(bare, full);
  assert.deepEqual(parseOwnTools(" "), { tools: [], error: null });
  assert.equal(parseOwnTools('[{"nome": "f"}]').error, "every tool needs a name");
  assert.ok(parseOwnTools("[").error !== null);
});
