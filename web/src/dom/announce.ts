import { h } from "./h";

const pauseMs = 1200;
const clearMs = 4000;

/**
 * Reads an answer to a screen reader while it grows: in whole sentences, with pauses between, as a
 * region that changes with every word could not be followed.
 */
export class Announcer {
  readonly element = h("div", { class: "hidden-text", role: "log", "aria-live": "polite", "aria-atomic": "false" });
  private read = 0;
  private timer = 0;
  private text = "";

  say(words: string): void {
    this.element.append(h("p", {}, words));
    while (this.element.childElementCount > 20) this.element.firstElementChild?.remove();
  }

  /** The answer as it is now. */
  grow(text: string): void {
    this.text = text;
    if (this.timer === 0) this.timer = window.setTimeout(() => this.sentences(), pauseMs);
  }

  begin(words: string): void {
    window.clearTimeout(this.timer);
    this.timer = 0;
    this.read = 0;
    this.text = "";
    this.say(words);
  }

  end(words: string): void {
    window.clearTimeout(this.timer);
    this.timer = 0;
    const rest = this.text.slice(this.read).trim();
    if (rest !== "") this.say(rest);
    this.say(words);
    // Read by then; searching in the page should not find everything twice.
    this.timer = window.setTimeout(() => {
      this.timer = 0;
      this.element.replaceChildren();
    }, clearMs);
  }

  private sentences(): void {
    this.timer = 0;
    const fresh = this.text.slice(this.read);
    const ends = [...fresh.matchAll(/[.!?:\n](?=\s|$)/g)];
    const last = ends.at(-1);
    if (last?.index === undefined) return;
    const upTo = last.index + 1;
    const words = fresh.slice(0, upTo).trim();
    this.read += upTo;
    if (words !== "") this.say(words);
  }
}
