import type { CanvasDocument, Conversation, Message } from "./types";
import { MessageTree } from "./tree";

/** A conversation with everything that belongs to it. */
export interface Archive {
  conversation: Conversation;
  messages: Message[];
  documents: CanvasDocument[];
}

const format = "corral-conversations";
const version = 1;

/** All branches, pictures and documents, as JSON that importArchives reads. */
export function exportJson(archives: readonly Archive[]): string {
  return `${JSON.stringify({ format, version, conversations: archives }, null, 1)}\n`;
}

/** Reads what exportJson wrote. Throws with words for people when it is something else. */
export function importArchives(text: string, newId: () => string): Archive[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new Error("the file is not JSON");
  }
  const file = parsed as { format?: unknown; version?: unknown; conversations?: unknown } | null;
  if (file?.format !== format || !Array.isArray(file.conversations)) {
    throw new Error("the file holds no conversations of this page");
  }
  if (file.version !== version) throw new Error(`the file has version ${String(file.version)}, this page reads ${version}`);
  return file.conversations.map((archive: unknown) => withNewIds(checked(archive), newId));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function checked(archive: unknown): Archive {
  const { conversation, messages, documents } = isObject(archive) ? archive : ({} as Record<string, unknown>);
  const sound =
    isObject(conversation) &&
    typeof conversation["title"] === "string" &&
    typeof conversation["updated"] === "number" &&
    isObject(conversation["chosen"]) &&
    Array.isArray(messages) &&
    messages.every(isMessage) &&
    Array.isArray(documents) &&
    documents.every(isDocument);
  if (!sound) throw new Error("a conversation in the file is damaged");
  return archive as Archive;
}

function isMessage(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { id, parent, role, text, created, attachments } = value;
  return (
    typeof id === "string" &&
    (parent === null || typeof parent === "string") &&
    (role === "user" || role === "assistant") &&
    typeof text === "string" &&
    typeof created === "number" &&
    Array.isArray(attachments) &&
    attachments.every(isAttachment)
  );
}

function isAttachment(value: unknown): boolean {
  if (!isObject(value) || typeof value["name"] !== "string") return false;
  if (value["kind"] === "text") return typeof value["text"] === "string";
  return value["kind"] === "image" && typeof value["url"] === "string" && value["url"].startsWith("data:image/");
}

function isDocument(value: unknown): boolean {
  return (
    isObject(value) &&
    typeof value["id"] === "string" &&
    typeof value["title"] === "string" &&
    typeof value["language"] === "string" &&
    Array.isArray(value["versions"]) &&
    value["versions"].length > 0 &&
    value["versions"].every((version) => isObject(version) && typeof version["text"] === "string")
  );
}

// An import never replaces what is there.
function withNewIds(archive: Archive, newId: () => string): Archive {
  const names = new Map<string, string>();
  const rename = (id: string) => names.get(id) ?? names.set(id, newId()).get(id) ?? id;
  const conversation: Conversation = {
    ...archive.conversation,
    id: rename(archive.conversation.id),
    chosen: Object.fromEntries(
      Object.entries(archive.conversation.chosen).map(([parent, child]) => [
        parent === "" ? "" : rename(parent),
        rename(child),
      ]),
    ),
  };
  if (conversation.from !== undefined) conversation.from = rename(conversation.from);
  const messages = archive.messages.map((message) => ({
    ...message,
    id: rename(message.id),
    conversation: conversation.id,
    parent: message.parent === null ? null : rename(message.parent),
  }));
  const documents = archive.documents.map((document) => ({
    ...document,
    id: newId(),
    conversation: conversation.id,
  }));
  return { conversation, messages, documents };
}

/** The chosen branch as Markdown, for people. */
export function exportMarkdown({ conversation, messages }: Archive, you: string, model: string): string {
  const parts = [`# ${conversation.title}`];
  if (conversation.system !== undefined) parts.push(`> ${conversation.system.replace(/\n/g, "\n> ")}`);
  for (const message of new MessageTree(messages).path(conversation)) {
    parts.push(`## ${message.role === "user" ? you : message.model || model}`);
    for (const part of message.attachments) {
      parts.push(part.kind === "image" ? `*[${part.name}]*` : `*[${part.name}, ${part.text.length} characters]*`);
    }
    if (message.text !== "") parts.push(message.text.trim());
    for (const call of message.calls ?? []) {
      parts.push(`*${call.name}*\n\n\`\`\`json\n${call.arguments}\n\`\`\`\n\n${call.result ?? ""}`.trim());
    }
  }
  return `${parts.join("\n\n")}\n`;
}

/** A name for a file on any system. */
export function fileName(title: string, ending: string): string {
  const name = title.replace(/[^\p{L}\p{N} _-]+/gu, "").trim().replace(/\s+/g, "-").slice(0, 60);
  return `${name === "" ? "conversation" : name}.${ending}`;
}
