import { newId } from "../data/ids";
import type { Database } from "../data/db";
import type { Settings } from "../data/settings";
import { choose, MessageTree, titleFrom } from "../data/tree";
import type { Attachment, Conversation, Failure, Message, ToolCall } from "../data/types";
import { firstThatFits } from "../data/trim";
import { texts } from "../text/texts";
import { Emitter } from "./emitter";
import type { ServerLink } from "./link";
import { Run } from "./run";
import type { Toolbox } from "../tools/toolbox";

export type Change =
  | { kind: "list" } // conversations came, went, or were named
  | { kind: "thread" } // another conversation or branch is shown
  | { kind: "message"; message: Message } // one message changed
  | { kind: "finished"; message: Message }; // an answer is complete, or will not be

/** The conversations and what one can do with them. Views listen to `changes`. */
export class Chat {
  readonly changes = new Emitter<Change>();
  conversations: Conversation[] = [];
  /** null: a conversation that has no message yet. */
  current: Conversation | null = null;
  tree = new MessageTree([]);
  private readonly runs = new Map<string, Run>();
  private opening = 0;

  constructor(
    readonly db: Database,
    readonly settings: Settings,
    readonly link: ServerLink,
    readonly tools: Toolbox,
  ) {}

  async load(): Promise<void> {
    this.conversations = await this.db.conversations();
    this.sort();
    this.changes.emit({ kind: "list" });
  }

  /** The messages that are shown. */
  path(): Message[] {
    return this.current === null ? [] : this.tree.path(this.current);
  }

  run(): Run | undefined {
    return this.current === null ? undefined : this.runs.get(this.current.id);
  }
  isAnswering(conversation: string): boolean {
    return this.runs.has(conversation);
  }

  async open(id: string | null): Promise<void> {
    const ticket = ++this.opening;
    const conversation = this.conversations.find((known) => known.id === id) ?? null;
    const running = conversation === null ? undefined : this.runs.get(conversation.id);
    const tree =
      running?.tree ?? new MessageTree(conversation === null ? [] : await this.db.messages(conversation.id));
    if (ticket !== this.opening) return; // another was opened meanwhile
    this.current = conversation;
    this.tree = tree;
    if (running === undefined) this.mendInterrupted();
    this.changes.emit({ kind: "thread" });
  }

  async send(text: string, attachments: Attachment[]): Promise<void> {
    const last = this.path().at(-1);
    await this.say(text, attachments, last?.id ?? null);
  }

  /** A branch beside the message, with another text. */
  async edit(message: Message, text: string, attachments: Attachment[]): Promise<void> {
    await this.say(text, attachments, message.parent);
  }

  /** Another answer beside this one, or the first to a message that has none. */
  async regenerate(message: Message): Promise<void> {
    await this.answer(message.role === "assistant" ? message.parent : message.id);
  }

  stop(): void {
    this.run()?.stop();
  }

  async chooseBranch(message: Message): Promise<void> {
    if (this.current === null) return;
    choose(this.current, this.tree, message.id);
    await this.db.putConversation(this.current);
    this.changes.emit({ kind: "thread" });
  }

  /** What a tool call has become. When it was the last one open, the model goes on. */
  async resolveCall(message: Message, call: ToolCall, state: ToolCall["state"], result: string): Promise<void> {
    call.state = state;
    call.result = result;
    await this.db.putMessage(message);
    this.changes.emit({ kind: "message", message });
    if ((message.calls ?? []).every((each) => each.result !== undefined)) await this.answer(message.id);
  }

  /** Runs a call that the person at the page has allowed. */
  async runCall(message: Message, call: ToolCall): Promise<void> {
    const tool = this.tools.find(call.name);
    if (tool === undefined || call.state !== "asking") return;
    call.state = "running";
    this.changes.emit({ kind: "message", message });
    try {
      await this.resolveCall(message, call, "done", await this.tools.run(tool, call));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      await this.resolveCall(message, call, "failed", texts.tools.failedResult(why));
    }
  }

  /** Asks again without as many of the oldest messages as it takes. */
  async trimAndRetry(message: Message, failure: Failure): Promise<void> {
    if (this.current === null) return;
    const path = this.tree.pathTo(message.id).slice(0, -1);
    this.current.from = firstThatFits(path, this.current.from, failure)?.id;
    await this.db.putConversation(this.current);
    await this.regenerate(message);
  }

  async rename(conversation: Conversation, title: string): Promise<void> {
    conversation.title = title;
    conversation.named = true;
    await this.db.putConversation(conversation);
    this.changes.emit({ kind: "list" });
  }

  async setSystem(system: string): Promise<void> {
    const conversation = this.current ?? this.create("");
    if (system.trim() === "") delete conversation.system;
    else conversation.system = system;
    await this.db.putConversation(conversation);
    this.changes.emit({ kind: "list" });
  }

  async remove(conversation: Conversation): Promise<void> {
    this.runs.get(conversation.id)?.stop();
    await this.db.deleteConversation(conversation.id);
    this.conversations = this.conversations.filter((other) => other !== conversation);
    this.changes.emit({ kind: "list" });
    if (this.current === conversation) await this.open(null);
  }

  private async say(text: string, attachments: Attachment[], parent: string | null): Promise<void> {
    const conversation = this.current ?? this.create(titleFrom(text));
    if (!conversation.named && conversation.title === "") conversation.title = titleFrom(text);
    const message: Message = {
      id: newId(),
      conversation: conversation.id,
      parent,
      role: "user",
      created: Date.now(),
      text,
      attachments,
    };
    this.tree.add(message);
    choose(conversation, this.tree, message.id);
    await this.db.putMessage(message);
    await this.answer(message.id);
  }

  private async answer(parent: string | null): Promise<void> {
    const conversation = this.current;
    if (conversation === null || parent === null) return;
    this.runs.get(conversation.id)?.stop();
    const message: Message = {
      id: newId(),
      conversation: conversation.id,
      parent,
      role: "assistant",
      created: Date.now(),
      text: "",
      attachments: [],
      model: this.settings.model,
    };
    const run = new Run(this, conversation, this.tree, message);
    this.tree.add(message);
    choose(conversation, this.tree, message.id);
    conversation.updated = Date.now();
    this.sort();
    this.runs.set(conversation.id, run);
    await this.db.putConversation(conversation);
    this.changes.emit({ kind: "thread" });
    this.changes.emit({ kind: "list" });
    await run.start();
    if (this.runs.get(conversation.id) === run) this.runs.delete(conversation.id);
    this.changes.emit({ kind: "finished", message });
    this.changes.emit({ kind: "list" });
  }

  private create(title: string): Conversation {
    const now = Date.now();
    const conversation: Conversation = {
      id: newId(),
      title,
      named: false,
      created: now,
      updated: now,
      chosen: {},
    };
    this.conversations.push(conversation);
    this.current = conversation;
    this.tree = new MessageTree([]);
    this.sort();
    return conversation;
  }

  private sort(): void {
    this.conversations.sort((a, b) => b.updated - a.updated);
  }

  // Answers that were being written when the page was closed.
  private mendInterrupted(): void {
    for (const message of this.tree.all()) {
      if (message.role === "assistant" && message.finish === undefined) {
        message.finish = "failed";
        message.failure = { kind: "interrupted", message: "" };
      }
      for (const call of message.calls ?? []) if (call.state === "running") call.state = "asking";
    }
  }
}
