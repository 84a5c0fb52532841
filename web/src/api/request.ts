import type { Settings } from "../data/settings";
import type { Attachment, Message, TextPart } from "../data/types";

export interface ToolDescription {
  type: "function";
  function: { name: string; description?: string; parameters?: object };
}

type Part = { type: "text"; text: string } | { type: "image_url"; image_url: { url: string } };
interface WireMessage {
  role: string;
  content: string | Part[] | null;
  tool_calls?: { id: string; type: "function"; function: { name: string; arguments: string } }[];
  tool_call_id?: string;
}

/** The body of a request that answers the last message of the path. */
export function chatRequest(
  path: readonly Message[],
  system: string,
  settings: Settings,
  tools: readonly ToolDescription[],
): Record<string, unknown> {
  const { max_tokens, seed, top_k, min_p, repetition_penalty, ...sampling } = settings.sampling;
  return {
    ...(settings.model === "" ? {} : { model: settings.model }),
    messages: wireMessages(path, system),
    stream: true,
    stream_options: { include_usage: true },
    ...sampling,
    // Other servers know only OpenAI's fields: what is off is not sent.
    ...(top_k > 0 ? { top_k } : {}),
    ...(min_p > 0 ? { min_p } : {}),
    ...(repetition_penalty !== 1 ? { repetition_penalty } : {}),
    ...(max_tokens === null ? {} : { max_tokens }),
    ...(seed === null ? {} : { seed }),
    ...(settings.tokenDetails ? { logprobs: true, top_logprobs: 8 } : {}),
    ...(settings.expertRouting ? { expert_routing: true } : {}),
    ...(tools.length > 0 ? { tools } : {}),
  };
}

export function wireMessages(path: readonly Message[], system: string): WireMessage[] {
  const messages: WireMessage[] = [];
  if (system.trim() !== "") messages.push({ role: "system", content: system });
  for (const message of path) {
    if (message.role === "user") messages.push({ role: "user", content: userContent(message) });
    else messages.push(...assistantMessages(message));
  }
  return messages;
}

function userContent(message: Message): string | Part[] {
  const texts = message.attachments.filter((part): part is TextPart => part.kind === "text");
  const text = [...texts.map(quoted), message.text].filter((part) => part !== "").join("\n\n");
  const pictures = message.attachments.flatMap(pictureParts);
  return pictures.length === 0 ? text : [...pictures, { type: "text", text }];
}

function pictureParts(part: Attachment): Part[] {
  if (part.kind !== "image") return [];
  const picture: Part = { type: "image_url", image_url: { url: part.url } };
  return part.note === undefined ? [picture] : [{ type: "text", text: part.note }, picture];
}

function quoted(part: TextPart): string {
  const fence = fenceFor(part.text);
  if (part.canvas === undefined) return `File ${part.name}:\n${fence}\n${part.text}\n${fence}`;
  return (
    `The document "${part.name}" is open beside this conversation:\n` +
    `${fence}${part.canvas.language}\n${part.text}\n${fence}\n` +
    "When you change it, answer with the whole new document in one block of code like this."
  );
}

/** A fence that nothing in the text can close. */
export function fenceFor(text: string): string {
  const runs = text.match(/`{3,}/g) ?? [];
  return "`".repeat(Math.max(3, ...runs.map((run) => run.length + 1)));
}

function assistantMessages(message: Message): WireMessage[] {
  const calls = (message.calls ?? []).filter((call) => call.result !== undefined);
  if (calls.length === 0) return message.text === "" ? [] : [{ role: "assistant", content: message.text }];
  return [
    {
      role: "assistant",
      content: message.text === "" ? null : message.text,
      tool_calls: calls.map((call) => ({
        id: call.id,
        type: "function" as const,
        function: { name: call.name, arguments: call.arguments },
      })),
    },
    ...calls.map((call) => ({
      role: "tool",
      content: call.result ?? "",
      tool_call_id: call.id,
    })),
  ];
}
