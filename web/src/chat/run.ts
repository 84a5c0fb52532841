import { chatRequest } from "../api/request";
import { storedKey } from "../api/server";
import { streamAnswer, type AnswerEnd, type AnswerSink } from "../api/stream";
import type { MessageTree } from "../data/tree";
import type { Conversation, Message, TokenDetail, ToolCall } from "../data/types";
import type { Chat } from "./chat";

const saveEveryMs = 1000;
const mostRetries = 5;

/** One answer that is being written. It goes on when another conversation is shown. */
export class Run implements AnswerSink {
  /** While it waits for a busy server: when it asks again. */
  retryAt: number | null = null;
  private readonly abort = new AbortController();
  private timer = 0;

  constructor(
    private readonly chat: Chat,
    private readonly conversation: Conversation,
    readonly tree: MessageTree,
    readonly message: Message,
  ) {}

  stop(): void {
    this.abort.abort();
  }

  /** Returns when the answer is complete, stopped, or failed; all of that stands in the message. */
  async start(): Promise<void> {
    const message = this.message;
    try {
      const end = await this.ask();
      if (end.ok) {
        message.finish = end.finish;
        message.stats = end.stats;
      } else {
        message.finish = "failed";
        message.failure = end.failure;
        if (end.failure.kind === "offline" || end.failure.kind === "key") this.chat.link.lost(end.failure);
      }
    } catch (error) {
      message.finish = this.abort.signal.aborted ? "stopped" : "failed";
      if (message.finish === "failed") message.failure = { kind: "server", message: String(error) };
    }
    if (message.finish !== "tool_calls") delete message.calls;
    window.clearTimeout(this.timer);
    await this.chat.db.putMessage(message);
    this.changed();
  }

  private async ask(): Promise<AnswerEnd> {
    const path = this.tree.pathTo(this.message.id).slice(0, -1);
    const from = path.findIndex((message) => message.id === this.conversation.from);
    const body = chatRequest(
      path.slice(Math.max(from, 0)),
      this.conversation.system ?? this.chat.settings.system,
      this.chat.settings,
      this.chat.tools.descriptions(),
    );
    for (let tries = 0; ; tries += 1) {
      const end = await streamAnswer(body, storedKey(), this, this.abort.signal);
      if (end.ok || end.failure.kind !== "busy" || tries >= mostRetries || this.message.text !== "") return end;
      await this.pause(end.failure.retryAfterSeconds ?? 2);
    }
  }

  private async pause(seconds: number): Promise<void> {
    this.retryAt = Date.now() + seconds * 1000;
    this.changed();
    await new Promise<void>((resolve, reject) => {
      const timer = window.setTimeout(resolve, seconds * 1000);
      this.abort.signal.addEventListener("abort", () => {
        window.clearTimeout(timer);
        reject(new Error("stopped"));
      });
    });
    this.retryAt = null;
    this.changed();
  }

  text(more: string): void {
    this.message.text += more;
    this.changed();
    if (this.timer !== 0) return;
    this.timer = window.setTimeout(() => {
      this.timer = 0;
      void this.chat.db.putMessage(this.message);
    }, saveEveryMs);
  }
  token(detail: TokenDetail): void {
    (this.message.tokens ??= []).push(detail);
  }
  experts(ofToken: number[]): void {
    (this.message.experts ??= []).push(ofToken);
  }
  calls(calls: ToolCall[]): void {
    this.message.calls = calls;
    this.changed();
  }

  private changed(): void {
    this.chat.changes.emit({ kind: "message", message: this.message });
  }
}
