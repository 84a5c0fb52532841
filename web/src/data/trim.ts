import type { Failure, Message } from "./types";

/** Of what fits, so much is left for the answer. */
const promptShare = 0.7;

/**
 * The message from which on a path that was too long is to be sent: a question, as late as needed and
 * later than the one before. The last question is always sent.
 */
export function firstThatFits(
  path: readonly Message[],
  from: string | undefined,
  failure: Failure,
): Message | undefined {
  const start = Math.max(0, path.findIndex((message) => message.id === from));
  const sent = path.slice(start);
  const weights = sent.map(weight);
  const all = weights.reduce((sum, value) => sum + value, 0);
  const { promptTokens = 2, contextTokens = 1 } = failure;
  const most = all * Math.min(1, (contextTokens / promptTokens) * promptShare);
  const questions = sent.filter((message) => message.role === "user");
  const later = questions.slice(1);
  const fits = later.find((question) => {
    const at = sent.indexOf(question);
    return weights.slice(at).reduce((sum, value) => sum + value, 0) <= most;
  });
  return fits ?? questions.at(-1);
}

function weight(message: Message): number {
  const texts = message.attachments.map((part) => (part.kind === "text" ? part.text.length : 4000));
  const calls = (message.calls ?? []).map((call) => call.arguments.length + (call.result?.length ?? 0));
  return [message.text.length + 20, ...texts, ...calls].reduce((sum, value) => sum + value, 0);
}
