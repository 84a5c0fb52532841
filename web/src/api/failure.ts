import type { Failure } from "../data/types";

/** What the page understands of an answer that is none. */
export function failureOf(status: number, body: string, retryAfter: string | null): Failure {
  const message = messageOf(body) || `HTTP ${status}`;
  const too_long = /(\d+) tokens, the context holds (\d+)/.exec(message);
  if (status === 401 || status === 403) return { kind: "key", message };
  if (status === 429 || status === 503) {
    const seconds = Number(retryAfter);
    const wait = Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, 600) : 2;
    return { kind: "busy", message, retryAfterSeconds: wait };
  }
  if (too_long !== null) {
    return {
      kind: "too_long",
      message,
      promptTokens: Number(too_long[1]),
      contextTokens: Number(too_long[2]),
    };
  }
  if (status === 413 || (status === 400 && /context|too long|maximum.*tokens/i.test(message))) {
    return { kind: "too_long", message };
  }
  if (status === 400 && /image/i.test(message)) return { kind: "no_images", message };
  if (status === 502 || status === 504) return { kind: "offline", message };
  return { kind: status >= 500 ? "server" : "refused", message };
}

// {"error": {"message"}} as OpenAI's API has it, or a text that is short enough to show.
function messageOf(body: string): string {
  try {
    const parsed: unknown = JSON.parse(body);
    const error = (parsed as { error?: { message?: unknown } }).error;
    if (typeof error?.message === "string") return error.message;
  } catch {
    // No JSON.
  }
  return body.length < 300 && !body.includes("<") ? body.trim() : "";
}
