import type { Chat } from "../chat/chat";
import { fill, h } from "../dom/h";
import { texts } from "../text/texts";

/** What stands where a conversation will be. */
export class Welcome {
  readonly element = h("section", { class: "welcome" });

  constructor(
    private readonly chat: Chat,
    private readonly suggest: (text: string) => void,
  ) {
    this.render();
  }

  render(): void {
    const model = this.chat.link.models.find((each) => each.id === this.chat.settings.model);
    fill(
      this.element,
      h("h1", {}, texts.welcome.title),
      h("p", { class: "welcome-note" }, model === undefined ? texts.welcome.noModel : texts.welcome.local(model.id)),
      h(
        "div",
        { class: "suggestions" },
        ...texts.welcome.suggestions.map(({ title, text }) =>
          h(
            "button",
            { class: "suggestion", type: "button", onclick: () => this.suggest(text) },
            h("span", { class: "suggestion-title" }, title),
            h("span", { class: "suggestion-text" }, text),
          ),
        ),
      ),
    );
  }
}
