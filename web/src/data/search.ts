import type { Conversation, Message } from "./types";

export interface Match {
  conversation: Conversation;
  /** Where it was found in a message; null when in the title. */
  excerpt: { before: string; match: string; after: string } | null;
}

/** Without accents and capitals, so that "cafe" finds "Café". Keeps one character for one where it can. */
export function fold(text: string): string {
  return Array.from(text, (char) => {
    const plain = char.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
    return plain.length === char.length ? plain : char;
  }).join("");
}

/** Conversations with all the words of the query in their title or in one message, newest first. */
export function findMatches(
  conversations: readonly Conversation[],
  messages: readonly Message[],
  query: string,
): Match[] {
  const words = fold(query).split(/\s+/).filter((word) => word !== "");
  if (words.length === 0) return [];
  const has_all = (text: string) => words.every((word) => text.includes(word));
  const found = new Map<string, Match["excerpt"]>();
  for (const message of messages) {
    if (found.has(message.conversation)) continue;
    const folded = fold(message.text);
    if (has_all(folded)) found.set(message.conversation, excerptOf(message.text, folded, words[0] ?? ""));
  }
  return conversations.flatMap((conversation) => {
    if (has_all(fold(conversation.title))) return [{ conversation, excerpt: null }];
    const excerpt = found.get(conversation.id);
    return excerpt === undefined ? [] : [{ conversation, excerpt }];
  });
}

function excerptOf(text: string, folded: string, word: string): Match["excerpt"] {
  const at = folded.indexOf(word);
  const start = Math.max(0, at - 24);
  const clean = (part: string) => part.replace(/\s+/g, " ");
  return {
    before: (start > 0 ? "…" : "") + clean(text.slice(start, at)),
    match: clean(text.slice(at, at + word.length)),
    after: clean(text.slice(at + word.length, at + word.length + 60)),
  };
}
