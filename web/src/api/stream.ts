import type { Failure, Stats, TokenDetail, ToolCall } from "../data/types";
import { failureOf } from "./failure";
import { EventReader } from "./sse";

/** What arrives while an answer is made. */
export interface AnswerSink {
  text(more: string): void;
  token(detail: TokenDetail): void;
  experts(ofToken: number[]): void;
  calls(calls: ToolCall[]): void;
}

export type AnswerEnd =
  | { ok: true; finish: "stop" | "length" | "tool_calls" | "withheld"; stats: Stats }
  | { ok: false; failure: Failure };

interface WireToken {
  token: string;
  logprob: number;
  bytes?: number[] | null;
  top_logprobs?: WireToken[];
}
interface WireCall {
  index?: number;
  id?: string;
  function?: { name?: string; arguments?: string };
}
interface WireChunk {
  error?: { message?: string };
  usage?: {
    prompt_tokens?: number;
    completion_tokens?: number;
    prompt_tokens_details?: { cached_tokens?: number } | null;
  } | null;
  choices?: {
    delta?: { content?: string | null; tool_calls?: WireCall[] | null };
    logprobs?: { content?: WireToken[] | null } | null;
    expert_routing?: number[][] | null;
    finish_reason?: string | null;
  }[];
}

/** Asks, and passes on what comes. Throws only when `signal` says to stop. */
export async function streamAnswer(
  body: object,
  key: string,
  sink: AnswerSink,
  signal: AbortSignal,
): Promise<AnswerEnd> {
  let response: Response;
  try {
    response = await fetch("/v1/chat/completions", {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        ...(key === "" ? {} : { Authorization: `Bearer ${key}` }),
      },
      body: JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    return { ok: false, failure: { kind: "offline", message: String(error) } };
  }
  if (!response.ok || response.body === null) {
    const text = await response.text().catch(() => "");
    return { ok: false, failure: failureOf(response.status, text, response.headers.get("Retry-After")) };
  }
  return new Answer(sink).read(response.body, signal);
}

/** One answer on its way. */
export class Answer {
  private readonly start = performance.now();
  private first: number | null = null;
  private chunks = 0;
  private finish: string | null = null;
  private ended = false;
  private usage: WireChunk["usage"] = null;
  private failure: Failure | null = null;
  private readonly calls: ToolCall[] = [];

  constructor(private readonly sink: AnswerSink) {}

  async read(stream: ReadableStream<Uint8Array>, signal: AbortSignal): Promise<AnswerEnd> {
    const events = new EventReader();
    const reader = stream.getReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        for (const data of events.push(value)) this.event(data);
      }
    } catch (error) {
      if (signal.aborted) throw error;
      return this.end({ kind: "interrupted", message: String(error) });
    }
    return this.end(null);
  }

  /** For tests, and for what arrives in one piece. */
  event(data: string): void {
    if (data === "[DONE]") {
      this.ended = true;
      return;
    }
    let chunk: WireChunk;
    try {
      chunk = JSON.parse(data) as WireChunk;
    } catch {
      this.failure ??= { kind: "server", message: `not JSON: ${data.slice(0, 80)}` };
      return;
    }
    if (chunk.error !== undefined) {
      this.failure ??= { kind: "server", message: chunk.error.message ?? "" };
      return;
    }
    if (chunk.usage) this.usage = chunk.usage;
    const choice = chunk.choices?.[0];
    if (choice === undefined) return;
    const text = choice.delta?.content ?? "";
    if (text !== "") {
      this.first ??= performance.now();
      this.chunks += 1;
      this.sink.text(text);
    }
    for (const token of choice.logprobs?.content ?? []) this.sink.token(detail(token));
    for (const layers of choice.expert_routing ?? []) this.sink.experts(layers);
    for (const call of choice.delta?.tool_calls ?? []) this.addCall(call);
    this.finish = choice.finish_reason ?? this.finish;
  }

  end(broken: Failure | null): AnswerEnd {
    const failure = this.failure ?? broken;
    if (failure !== null) return { ok: false, failure };
    if (!this.ended && this.finish === null) {
      return { ok: false, failure: { kind: "interrupted", message: "the stream ended early" } };
    }
    return { ok: true, finish: this.finishName(), stats: this.stats() };
  }

  private finishName(): "stop" | "length" | "tool_calls" | "withheld" {
    if (this.calls.length > 0) return "tool_calls";
    if (this.finish === "content_filter") return "withheld";
    return this.finish === "length" ? "length" : "stop";
  }

  private stats(): Stats {
    const now = performance.now();
    const first = this.first ?? now;
    return {
      promptTokens: this.usage?.prompt_tokens ?? 0,
      cachedTokens: this.usage?.prompt_tokens_details?.cached_tokens ?? 0,
      answerTokens: this.usage?.completion_tokens ?? this.chunks,
      waitMs: first - this.start,
      streamMs: now - first,
    };
  }

  private addCall(wire: WireCall): void {
    const index = wire.index ?? this.calls.length;
    const call = (this.calls[index] ??= { id: "", name: "", arguments: "", state: "asking" });
    call.id += wire.id ?? "";
    call.name += wire.function?.name ?? "";
    call.arguments += wire.function?.arguments ?? "";
    this.sink.calls(this.calls.filter((known) => known !== undefined));
  }
}

function detail(token: WireToken): TokenDetail {
  return {
    token: token.token,
    logprob: token.logprob,
    top: (token.top_logprobs ?? []).map(({ token: text, logprob }) => ({ token: text, logprob })),
  };
}
