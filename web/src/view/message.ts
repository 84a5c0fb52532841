import type { Chat } from "../chat/chat";
import type { Attachment, Failure, Message, ToolCall } from "../data/types";
import { copyText } from "../dom/clipboard";
import { fill, h } from "../dom/h";
import { icon } from "../dom/icons";
import { MarkdownStream } from "../markdown/stream";
import { texts } from "../text/texts";
import { attachmentList } from "./attachments";
import { failureBox, failureWords } from "./failure";
import { MessageEditor } from "./message_editor";
import { count, perSecond } from "./numbers";
import { iconButton } from "./sidebar";
import { toolCards } from "./tool_cards";

export interface MessageActions {
  edit(message: Message, text: string, attachments: Attachment[]): void;
  regenerate(message: Message): void;
  choose(message: Message): void;
  goOn(): void;
  showTokens(message: Message): void;
  recover(message: Message, failure: Failure): void;
  allowCall(message: Message, call: ToolCall): void;
  refuseCall(message: Message, call: ToolCall): void;
  answerCall(message: Message, call: ToolCall, result: string): void;
  askForKey(): void;
}

/** One message. It is made once and updated while an answer grows. */
export class MessageView {
  readonly element: HTMLElement;
  private readonly body = h("div", { class: "message-body" });
  private readonly tools = h("div", { class: "message-tools" });
  private readonly status = h("div", { class: "message-status" });
  private readonly foot = h("div", { class: "message-foot" });
  private readonly markdown: MarkdownStream | null;
  private settled = "";
  private editor: MessageEditor | null = null;

  constructor(
    readonly message: Message,
    private readonly chat: Chat,
    private readonly actions: MessageActions,
  ) {
    const mine = message.role === "user";
    const who = mine ? texts.thread.you : texts.thread.assistant(message.model || texts.name);
    this.element = h(
      "article",
      { class: `message ${message.role}`, tabindex: "-1", "data-message": message.id },
      h("h2", { class: "hidden-text" }, who),
      this.body,
      this.tools,
      this.status,
      this.foot,
    );
    if (mine) {
      this.markdown = null;
      fill(this.body, attachmentList(message.attachments), message.text !== "" && h("div", { class: "bubble" }, message.text));
    } else {
      const text = h("div", { class: "markdown" });
      fill(this.body, text);
      this.markdown = new MarkdownStream(text);
    }
  }

  update(): void {
    const growing = this.chat.run()?.message === this.message && this.message.finish === undefined;
    this.element.classList.toggle("growing", growing);
    this.element.classList.toggle("waiting", growing && this.message.text === "");
    if (growing) this.markdown?.update(this.message.text);
    else this.settle();
    fill(this.tools, ...toolCards(this.message, this.chat.tools, this.actions));
    this.renderStatus(growing);
    this.renderFoot(growing);
  }

  /** The server came or went. */
  refreshFailure(): void {
    if (this.message.failure !== undefined) this.renderStatus(false);
  }

  failureText(): string {
    return this.message.failure === undefined ? "" : failureWords(this.message.failure);
  }

  edit(): void {
    if (this.message.role !== "user" || this.editor !== null) return;
    this.editor = new MessageEditor(
      this.message,
      (text) => {
        this.endEdit();
        this.actions.edit(this.message, text, this.message.attachments);
      },
      () => this.endEdit(),
    );
    this.element.classList.add("editing");
    this.body.after(this.editor.element);
    this.editor.focus();
  }

  private endEdit(): void {
    this.editor?.element.remove();
    this.editor = null;
    this.element.classList.remove("editing");
    this.element.focus();
  }

  // Rendered whole once, not again for every branch that is looked at.
  private settle(): void {
    if (this.settled === this.message.text) return;
    this.settled = this.message.text;
    this.markdown?.finish(this.message.text);
  }

  private renderStatus(growing: boolean): void {
    const { message, chat } = this;
    const run = chat.run();
    if (growing && run?.retryAt != null) {
      const seconds = Math.max(1, Math.ceil((run.retryAt - Date.now()) / 1000));
      fill(this.status, h("p", { class: "status-line" }, `${texts.failure.busy} ${texts.failure.busyWait(seconds)}`));
      window.setTimeout(() => this.update(), 1000);
    } else if (growing && message.text === "" && (message.calls ?? []).length === 0) {
      if (this.status.querySelector(".reading") !== null) return;
      fill(this.status, h("p", { class: "reading" }, h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), h("span", { class: "hidden-text" }, texts.thread.thinking)));
    } else if (message.failure !== undefined) {
      fill(this.status, failureBox(message, message.failure, chat.link, this.actions));
    } else if (message.finish === "stopped") {
      fill(this.status, h("p", { class: "status-line" }, texts.message.stopped));
    } else if (message.finish === "withheld") {
      fill(this.status, h("p", { class: "status-line" }, texts.message.withheld));
    } else if (message.finish === "length") {
      const last = chat.path().at(-1) === message;
      fill(
        this.status,
        h("p", { class: "status-line" }, texts.message.length),
        last && h("button", { class: "button small", type: "button", onclick: () => this.actions.goOn() }, texts.message.goOn),
      );
    } else if (message.finish === "stop" && message.text.trim() === "" && (message.calls ?? []).length === 0) {
      fill(this.status, h("p", { class: "status-line" }, texts.message.empty));
    } else {
      fill(this.status);
    }
  }

  private renderFoot(growing: boolean): void {
    const { message } = this;
    if (growing) return fill(this.foot);
    const assistant = message.role === "assistant";
    const stats = message.stats;
    fill(
      this.foot,
      this.branches(),
      message.text !== "" && this.copyButton(),
      !assistant && iconButton("edit", texts.message.edit, () => this.edit(), "edit-button"),
      assistant && iconButton("retry", texts.message.regenerate, () => this.actions.regenerate(message), "regenerate-button"),
      assistant && message.text !== "" && iconButton("chart", texts.message.tokens, () => this.actions.showTokens(message), "tokens-button"),
      stats !== undefined &&
        stats.streamMs > 0 &&
        stats.answerTokens > 1 &&
        h(
          "span",
          { class: "speed", title: texts.message.statsTitle(count(stats.answerTokens), count(stats.promptTokens), count(stats.cachedTokens), (stats.waitMs / 1000).toFixed(2)) },
          texts.message.speed(perSecond(stats.answerTokens - 1, stats.streamMs)),
        ),
    );
  }

  private copyButton(): HTMLElement {
    const button = iconButton("copy", texts.message.copy, () => {
      void copyText(this.message.text).then(() => {
        fill(button, icon("check"), h("span", { class: "hidden-text", role: "status" }, texts.message.copied));
        window.setTimeout(() => fill(button, icon("copy")), 1500);
      });
    }, "copy-button");
    return button;
  }

  private branches(): HTMLElement | null {
    const siblings = this.chat.tree.siblings(this.message);
    if (siblings.length < 2) return null;
    const at = siblings.indexOf(this.message);
    const go = (to: number) => {
      const target = siblings[to];
      if (target !== undefined) this.actions.choose(target);
    };
    const earlier = iconButton("left", texts.message.previous, () => go(at - 1));
    const later = iconButton("right", texts.message.next, () => go(at + 1));
    earlier.disabled = at === 0;
    later.disabled = at === siblings.length - 1;
    return h(
      "div",
      { class: "branches", role: "group", "aria-label": texts.message.branchLabel(at + 1, siblings.length) },
      earlier,
      h("span", { class: "branch-at" }, texts.message.branch(at + 1, siblings.length)),
      later,
    );
  }
}
