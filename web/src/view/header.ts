import type { Chat } from "../chat/chat";
import type { Message } from "../data/types";
import { fill, h } from "../dom/h";
import { iconButton } from "./sidebar";
import { texts } from "../text/texts";
import { count } from "./numbers";

export interface HeaderActions {
  openSidebar(): void;
  newChat(): void;
  toggleCanvas(): void;
  chooseModel(model: string): void;
}

/** Above the conversation: the model, how full its context is, and the way to the panels. */
export class Header {
  readonly element: HTMLElement;
  private readonly models: HTMLSelectElement;
  private readonly meter = h("div", { class: "meter" });

  constructor(
    private readonly chat: Chat,
    actions: HeaderActions,
  ) {
    this.models = h("select", {
      class: "model-select",
      "aria-label": texts.header.model,
      onchange: () => actions.chooseModel(this.models.value),
    });
    this.element = h(
      "header",
      { class: "header" },
      iconButton("panel", texts.sidebar.open, () => actions.openSidebar(), "sidebar-open"),
      this.models,
      h("div", { class: "header-space" }),
      this.meter,
      iconButton("canvas", texts.header.canvas, () => actions.toggleCanvas(), "canvas-toggle"),
      iconButton("plus", texts.newChat, () => actions.newChat(), "new-chat-small"),
    );
    chat.link.changes.on(() => this.render());
    chat.changes.on((change) => {
      if (change.kind !== "message") this.renderMeter();
    });
    this.render();
  }

  private render(): void {
    const models = this.chat.link.models;
    const chosen = models.find((model) => model.id === this.chat.settings.model) ?? models[0];
    fill(
      this.models,
      ...models.map((model) => h("option", { value: model.id, selected: model === chosen }, model.id)),
    );
    this.models.hidden = models.length === 0;
    this.models.disabled = models.length < 2;
    this.renderMeter();
  }

  private renderMeter(): void {
    const model = this.chat.link.models.find((each) => each.id === this.chat.settings.model);
    const used = contextUsed(this.chat.path());
    const all = model?.contextTokens ?? null;
    if (used === null || all === null) {
      fill(this.meter);
      return;
    }
    const share = Math.min(used / all, 1);
    const words = texts.header.contextOf(count(used), count(all));
    const bar = h("progress", { max: 1, value: share, "aria-label": texts.header.context });
    this.meter.title = words;
    this.meter.dataset["full"] = share > 0.9 ? "yes" : "no";
    fill(this.meter, bar, h("span", { class: "meter-text" }, `${Math.ceil(share * 100)}%`), h("span", { class: "hidden-text" }, words));
  }
}

/** The tokens that the conversation had when its last answer was complete. */
export function contextUsed(path: readonly Message[]): number | null {
  for (const message of [...path].reverse()) {
    const stats = message.stats;
    if (stats !== undefined && stats.promptTokens > 0) return stats.promptTokens + stats.answerTokens;
  }
  return null;
}
