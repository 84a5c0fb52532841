import type { Message } from "../data/types";
import { h } from "../dom/h";
import { texts } from "../text/texts";
import { fitHeight } from "./fit_height";

/** A message of one's own as a field, in its place. */
export class MessageEditor {
  readonly element: HTMLElement;
  private readonly field: HTMLTextAreaElement;

  constructor(message: Message, save: (text: string) => void, cancel: () => void) {
    this.field = h("textarea", {
      class: "editor-field",
      "aria-label": texts.message.editLabel,
      "aria-describedby": `hint-${message.id}`,
      oninput: () => fitHeight(this.field),
      onkeydown: (event: KeyboardEvent) => {
        if (event.key === "Escape") {
          event.stopPropagation();
          cancel();
        }
        if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
          event.preventDefault();
          done();
        }
      },
    });
    this.field.value = message.text;
    const done = () => {
      const text = this.field.value.trim();
      if (text !== "" || message.attachments.length > 0) save(text);
    };
    this.element = h(
      "div",
      { class: "editor" },
      this.field,
      h(
        "div",
        { class: "editor-foot" },
        h("span", { class: "editor-hint", id: `hint-${message.id}` }, texts.message.editHint),
        h("button", { class: "button small", type: "button", onclick: cancel }, texts.message.cancel),
        h("button", { class: "button small primary", type: "button", onclick: done }, texts.message.save),
      ),
    );
  }

  focus(): void {
    fitHeight(this.field);
    this.field.focus();
    this.field.setSelectionRange(this.field.value.length, this.field.value.length);
  }
}
