import type { Change, Chat } from "../chat/chat";
import type { Message } from "../data/types";
import { Announcer } from "../dom/announce";
import { fill, h } from "../dom/h";
import { icon } from "../dom/icons";
import { texts } from "../text/texts";
import { MessageView, type MessageActions } from "./message";
import { Welcome } from "./welcome";

const nearPixels = 48;

/** The messages of the conversation, from the first to the last. */
export class Thread {
  readonly element: HTMLElement;
  readonly announcer = new Announcer();
  private readonly scroller: HTMLElement;
  private readonly column = h("div", { class: "column" });
  private readonly latest: HTMLButtonElement;
  private views = new Map<string, MessageView>();
  private follows = true;
  private lastTop = 0;
  private readonly waiting = new Set<Message>();
  private frame = 0;

  constructor(
    private readonly chat: Chat,
    private readonly actions: MessageActions,
    private readonly welcome: Welcome,
  ) {
    this.latest = h(
      "button",
      { class: "to-latest", type: "button", hidden: true, "aria-label": texts.thread.latest, onclick: () => this.toLatest() },
      icon("down"),
    );
    this.scroller = h(
      "main",
      { class: "thread", id: "thread", tabindex: "-1", "aria-label": texts.thread.label, onscroll: () => this.scrolled() },
      this.column,
    );
    this.element = h("div", { class: "thread-box" }, this.scroller, this.latest, this.announcer.element);
    chat.changes.on((change) => this.changed(change));
    chat.link.changes.on(() => this.refreshFailures());
    new ResizeObserver(() => this.keepAtEnd()).observe(this.column);
  }

  /** Moves the focus to the message before or after the one that has it. */
  step(direction: -1 | 1): void {
    const items = [...this.column.querySelectorAll<HTMLElement>(".message")];
    const at = items.findIndex((item) => item.contains(document.activeElement));
    const next = at < 0 ? (direction < 0 ? items.length - 1 : 0) : at + direction;
    items[next]?.focus();
    items[next]?.scrollIntoView({ block: "nearest" });
  }

  toLatest(): void {
    this.follows = true;
    this.scroller.scrollTo({ top: this.scroller.scrollHeight, behavior: "auto" });
    this.scrolled();
  }

  editLast(): void {
    const last = this.chat.path().filter((message) => message.role === "user").at(-1);
    if (last !== undefined) this.views.get(last.id)?.edit();
  }

  private changed(change: Change): void {
    if (change.kind === "thread") this.render();
    if (change.kind === "message") this.later(change.message);
    if (change.kind === "finished") this.finished(change.message);
  }

  private render(): void {
    const path = this.chat.path();
    const known = this.views;
    this.views = new Map();
    for (const message of path) {
      const view = known.get(message.id) ?? new MessageView(message, this.chat, this.actions);
      view.update();
      this.views.set(message.id, view);
    }
    const elements = [...this.views.values()].map((view) => view.element);
    if (path.length === 0) fill(this.column, this.welcome.element);
    else fill(this.column, ...elements);
    this.column.classList.toggle("is-welcome", path.length === 0);
    const last = path.at(-1);
    if (last !== undefined && this.chat.run()?.message === last && last.text === "") {
      this.announcer.begin(texts.thread.started);
    }
    this.toLatest();
  }

  // Once a frame, however many words came.
  private later(message: Message): void {
    this.waiting.add(message);
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      for (const each of this.waiting) this.views.get(each.id)?.update();
      this.waiting.clear();
    });
    if (message === this.chat.run()?.message) this.announcer.grow(message.text);
  }

  private finished(message: Message): void {
    const view = this.views.get(message.id);
    if (view === undefined) return;
    view.update();
    this.announcer.grow(message.text);
    this.announcer.end(message.finish === "failed" ? view.failureText() : texts.thread.finished);
  }

  private refreshFailures(): void {
    for (const view of this.views.values()) view.refreshFailure();
    this.welcome.render();
  }

  // Only going up ends the following: content that grows in one piece moves the end away, not the reader.
  private scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const near = scrollHeight - scrollTop - clientHeight < nearPixels;
    if (near) this.follows = true;
    else if (scrollTop < this.lastTop) this.follows = false;
    this.lastTop = scrollTop;
    this.latest.hidden = near || this.follows;
  }

  private keepAtEnd(): void {
    if (this.follows) this.scroller.scrollTop = this.scroller.scrollHeight;
    else this.scrolled();
  }
}
