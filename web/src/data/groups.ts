import type { Conversation } from "./types";

export interface Group {
  title: string;
  conversations: Conversation[];
}

/** Conversations, newest first, under the day or month when they were last used. */
export function groupByDay(
  conversations: readonly Conversation[],
  now: number,
  words: { today: string; yesterday: string; week: string },
): Group[] {
  const groups: Group[] = [];
  for (const conversation of conversations) {
    const title = titleOf(conversation.updated, now, words);
    const last = groups.at(-1);
    if (last?.title === title) last.conversations.push(conversation);
    else groups.push({ title, conversations: [conversation] });
  }
  return groups;
}

function titleOf(time: number, now: number, words: { today: string; yesterday: string; week: string }): string {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  if (time >= midnight) return words.today;
  const day = 24 * 3600 * 1000;
  if (time >= midnight - day) return words.yesterday;
  if (time >= midnight - 7 * day) return words.week;
  return new Date(time).toLocaleDateString(undefined, { month: "long", year: "numeric" });
}
