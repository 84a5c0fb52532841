import { h } from "../dom/h";
import { highlight } from "../markdown/highlight";
import { texts } from "../text/texts";

/** A field for code: what is typed lies over the same text in colours. */
export class CodeEditor {
  readonly element: HTMLElement;
  private readonly field: HTMLTextAreaElement;
  private readonly code = h("code");
  private language = "";
  private leaves = false;
  private timer = 0;

  constructor(private readonly changed: (text: string) => void) {
    this.field = h("textarea", {
      class: "canvas-field",
      spellcheck: "false",
      autocapitalize: "off",
      autocomplete: "off",
      "aria-label": texts.canvas.editor,
      oninput: () => this.typed(),
      onkeydown: (event: KeyboardEvent) => this.key(event),
    });
    this.element = h("div", { class: "canvas-code" }, h("pre", { "aria-hidden": "true" }, this.code), this.field);
  }

  show(text: string, language: string): void {
    this.language = language.toLowerCase();
    if (this.field.value !== text) this.field.value = text;
    this.paint();
  }

  private typed(): void {
    this.paint();
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.changed(this.field.value), 400);
  }

  // A line end at the end has to be as high as a line.
  private paint(): void {
    const text = `${this.field.value}\n`;
    const html = highlight(text, this.language);
    if (html === null) this.code.textContent = text;
    else this.code.innerHTML = html;
  }

  // Tab indents; after Esc it leaves the field, so that no keyboard is caught in it.
  private key(event: KeyboardEvent): void {
    if (event.key === "Escape") {
      this.leaves = true;
      event.stopPropagation();
      return;
    }
    if (event.key === "Tab" && !this.leaves && !event.shiftKey) {
      event.preventDefault();
      this.field.setRangeText("  ", this.field.selectionStart, this.field.selectionEnd, "end");
      this.typed();
    }
    this.leaves = false;
  }
}
