import type { ServerLink } from "../chat/link";
import type { Failure, Message } from "../data/types";
import { h } from "../dom/h";
import { icon } from "../dom/icons";
import { texts } from "../text/texts";
import { count } from "./numbers";

interface Recovery {
  recover(message: Message, failure: Failure): void;
  regenerate(message: Message): void;
  askForKey(): void;
}

/** What happened, for people. */
export function failureWords(failure: Failure): string {
  return texts.failure[failure.kind];
}

/** What happened, what the server said, and the way on. */
export function failureBox(message: Message, failure: Failure, link: ServerLink, actions: Recovery): HTMLElement {
  const away = failure.kind === "offline" && link.failure?.kind === "offline";
  return h(
    "div",
    { class: "failure", role: "alert" },
    icon("warning"),
    h(
      "div",
      { class: "failure-words" },
      h("strong", {}, failure.kind === "offline" && !away ? texts.failure.back : failureWords(failure)),
      h("p", {}, detail(failure, away)),
      h("div", { class: "failure-actions" }, ...buttons(message, failure, actions)),
    ),
  );
}

function detail(failure: Failure, away: boolean): string {
  if (failure.kind === "offline") return away ? texts.failure.offlineHint : "";
  if (failure.kind === "too_long" && failure.promptTokens !== undefined) {
    return texts.failure.too_longNumbers(count(failure.promptTokens), count(failure.contextTokens ?? 0));
  }
  return failure.kind === "interrupted" || failure.kind === "key" ? "" : failure.message;
}

function buttons(message: Message, failure: Failure, actions: Recovery): HTMLElement[] {
  const button = (label: string, run: () => void, main = false) =>
    h("button", { class: main ? "button small primary" : "button small", type: "button", onclick: run }, label);
  const retry = button(texts.failure.retry, () => actions.regenerate(message));
  if (failure.kind === "key") return [button(texts.failure.keyLabel, () => actions.askForKey(), true), retry];
  if (failure.kind === "too_long") return [button(texts.failure.trim, () => actions.recover(message, failure), true), retry];
  if (failure.kind === "no_images") return [button(texts.failure.withoutImages, () => actions.recover(message, failure), true), retry];
  return [retry];
}
