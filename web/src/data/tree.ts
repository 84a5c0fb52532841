import type { Conversation, Message } from "./types";

const root = "";

/** The messages of a conversation as a tree: editing one makes a branch beside it. */
export class MessageTree {
  private readonly byId = new Map<string, Message>();
  private readonly children = new Map<string, Message[]>();

  constructor(messages: readonly Message[]) {
    for (const message of [...messages].sort((a, b) => a.created - b.created)) this.add(message);
  }

  add(message: Message): void {
    this.byId.set(message.id, message);
    const siblings = this.childrenOf(message.parent);
    siblings.push(message);
    this.children.set(message.parent ?? root, siblings);
  }

  get(id: string): Message | undefined {
    return this.byId.get(id);
  }

  all(): Message[] {
    return [...this.byId.values()];
  }

  /** From the first message to the last of the chosen branch. */
  path(conversation: Conversation): Message[] {
    const path: Message[] = [];
    let at: string = root;
    for (;;) {
      const children = this.children.get(at);
      const last = children?.[children.length - 1];
      if (children === undefined || last === undefined) return path;
      const next = children.find((child) => child.id === conversation.chosen[at]) ?? last;
      path.push(next);
      at = next.id;
    }
  }

  /** From the first message to this one, whatever is chosen. */
  pathTo(id: string): Message[] {
    const path: Message[] = [];
    for (let at = this.byId.get(id); at !== undefined; ) {
      path.unshift(at);
      at = at.parent === null ? undefined : this.byId.get(at.parent);
    }
    return path;
  }

  /** The branches at this message, itself among them, oldest first. */
  siblings(message: Message): Message[] {
    return this.childrenOf(message.parent);
  }

  private childrenOf(parent: string | null): Message[] {
    return this.children.get(parent ?? root) ?? [];
  }
}

/** Makes the conversation show this message, by choosing it and those before it. */
export function choose(conversation: Conversation, tree: MessageTree, id: string): void {
  for (const message of tree.pathTo(id)) {
    conversation.chosen[message.parent ?? root] = message.id;
  }
}

/** A title for a conversation that nobody named: how it began. */
export function titleFrom(text: string, most = 60): string {
  const line = text.replace(/```[\s\S]*?(```|$)/g, " ").replace(/[#*_`>]+/g, "").trim();
  const first = (line === "" ? text : line).split(/\n/)[0]?.replace(/\s+/g, " ").trim() ?? "";
  if (first.length <= most) return first;
  const cut = first.slice(0, most);
  const space = cut.lastIndexOf(" ");
  return `${space > most / 2 ? cut.slice(0, space) : cut}…`;
}
