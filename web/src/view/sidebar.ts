import type { Chat } from "../chat/chat";
import type { Conversation } from "../data/types";
import { fill, h } from "../dom/h";
import { icon } from "../dom/icons";
import { openMenu } from "../dom/menu";
import { texts } from "../text/texts";
import { groupByDay } from "../data/groups";
import { findMatches, type Match } from "../data/search";

export interface SidebarActions {
  open(id: string | null): void;
  rename(conversation: Conversation): void;
  remove(conversation: Conversation): void;
  exportMarkdown(conversation: Conversation): void;
  exportJson(conversation: Conversation): void;
  settings(): void;
  shortcuts(): void;
  close(): void;
}

const searchPauseMs = 120;

/** The conversations, newest first, and the search through them. */
export class Sidebar {
  readonly element: HTMLElement;
  private readonly list = h("div", { class: "conversation-list" });
  private readonly search: HTMLInputElement;
  private timer = 0;

  constructor(
    private readonly chat: Chat,
    private readonly actions: SidebarActions,
  ) {
    this.search = h("input", {
      class: "search-input",
      type: "search",
      placeholder: texts.sidebar.search,
      "aria-label": texts.sidebar.search,
      oninput: () => this.later(),
    });
    this.element = h(
      "nav",
      { class: "sidebar", id: "sidebar", "aria-label": texts.sidebar.label },
      h(
        "div",
        { class: "sidebar-head" },
        h("span", { class: "brand" }, brandMark(), texts.name),
        iconButton("panel", texts.sidebar.close, () => actions.close(), "sidebar-close"),
      ),
      h(
        "button",
        { class: "new-chat", type: "button", onclick: () => actions.open(null) },
        icon("plus"),
        texts.newChat,
      ),
      h("div", { class: "search" }, icon("search"), this.search),
      this.list,
      h(
        "div",
        { class: "sidebar-foot" },
        h("button", { class: "foot-button", type: "button", onclick: () => actions.settings() }, icon("settings"), texts.sidebar.settings),
        iconButton("keyboard", texts.sidebar.shortcuts, () => actions.shortcuts(), "shortcuts-button"),
      ),
    );
    chat.changes.on((change) => {
      if (change.kind === "list" || change.kind === "thread") void this.render();
    });
  }

  focusSearch(): void {
    this.search.focus();
    this.search.select();
  }

  private later(): void {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.render(), searchPauseMs);
  }

  async render(): Promise<void> {
    const query = this.search.value.trim();
    if (query !== "") {
      const matches = findMatches(this.chat.conversations, await this.chat.db.allMessages(), query);
      if (query === this.search.value.trim()) this.show([{ title: "", items: matches }], texts.sidebar.noMatch(query));
      return;
    }
    const groups = groupByDay(this.chat.conversations, Date.now(), {
      today: texts.sidebar.today,
      yesterday: texts.sidebar.yesterday,
      week: texts.sidebar.week,
    });
    this.show(
      groups.map(({ title, conversations }) => ({
        title,
        items: conversations.map((conversation) => ({ conversation, excerpt: null })),
      })),
      texts.sidebar.none,
    );
  }

  private show(groups: { title: string; items: Match[] }[], nothing: string): void {
    const scroll = this.list.scrollTop;
    const filled = groups.filter((group) => group.items.length > 0);
    fill(
      this.list,
      filled.length === 0 && h("p", { class: "list-note" }, nothing),
      ...filled.flatMap((group) => [
        group.title !== "" && h("h2", { class: "list-title" }, group.title),
        h("ul", {}, ...group.items.map((item) => this.item(item))),
      ]),
    );
    this.list.scrollTop = scroll;
  }

  private item({ conversation, excerpt }: Match): HTMLElement {
    const shown = conversation === this.chat.current;
    const title = conversation.title === "" ? texts.untitled : conversation.title;
    const more: HTMLElement = h(
      "button",
      {
        class: "icon-button conversation-more",
        type: "button",
        "aria-label": texts.sidebar.menu(title),
        "aria-haspopup": "menu",
        onclick: () => this.menu(more, conversation),
      },
      icon("dots"),
    );
    return h(
      "li",
      { class: shown ? "conversation shown" : "conversation" },
      h(
        "button",
        {
          class: "conversation-open",
          type: "button",
          "aria-current": shown ? "page" : false,
          title,
          onclick: () => this.actions.open(conversation.id),
        },
        h("span", { class: "conversation-title" }, title),
        excerpt !== null &&
          h("span", { class: "excerpt" }, excerpt.before, h("mark", {}, excerpt.match), excerpt.after),
      ),
      this.chat.isAnswering(conversation.id) &&
        h("span", { class: "answering", role: "img", "aria-label": texts.sidebar.answering }),
      more,
    );
  }

  private menu(button: HTMLElement, conversation: Conversation): void {
    openMenu(button, [
      { label: texts.sidebar.rename, icon: "edit", run: () => this.actions.rename(conversation) },
      { label: texts.sidebar.exportMarkdown, icon: "download", run: () => this.actions.exportMarkdown(conversation) },
      { label: texts.sidebar.exportJson, icon: "download", run: () => this.actions.exportJson(conversation) },
      { label: texts.sidebar.remove, icon: "trash", danger: true, run: () => this.actions.remove(conversation) },
    ]);
  }
}

export function iconButton(
  symbol: Parameters<typeof icon>[0],
  label: string,
  run: (event: MouseEvent) => void,
  extra = "",
): HTMLButtonElement {
  return h(
    "button",
    { class: `icon-button ${extra}`.trim(), type: "button", "aria-label": label, title: label, onclick: run },
    icon(symbol),
  );
}

function brandMark(): HTMLElement {
  return h("img", { src: "/assets/icon.svg", alt: "", width: 22, height: 22 });
}
