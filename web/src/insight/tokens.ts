import type { Message, TokenDetail } from "../data/types";
import { fill, h } from "../dom/h";
import { openDialog } from "../dom/dialog";
import { texts } from "../text/texts";
import { expertMap } from "./experts";
import { doubt, percent, perplexity, visible } from "./probability";

/** The answer token by token: how sure the model was, what else it considered, which experts worked. */
export function showTokens(message: Message, askNext: () => void): void {
  const tokens = message.tokens ?? [];
  const experts = message.experts ?? [];
  const dialog = openDialog(
    texts.insight.title,
    "tokens",
    ...(tokens.length > 0 ? tokenView(tokens) : []),
    experts.length > 0 && expertMap(experts, tokens),
    tokens.length === 0 &&
      experts.length === 0 &&
      h(
        "div",
        { class: "insight-none" },
        h("p", {}, texts.insight.none),
        h(
          "button",
          {
            class: "button primary",
            type: "button",
            onclick: () => {
              dialog.close();
              askNext();
            },
          },
          texts.insight.askNext,
        ),
      ),
  );
}

function tokenView(tokens: readonly TokenDetail[]): HTMLElement[] {
  const details = h("div", { class: "alternatives", "aria-live": "polite" });
  const buttons = tokens.map((token) => {
    const button: HTMLElement = h(
      "button",
      {
        class: `token doubt-${doubt(token)}`,
        type: "button",
        "aria-label": `${token.token}, ${percent(token.logprob)}`,
        onclick: () => choose(button, token),
      },
      token.token.replace(/\n/g, "⏎\n"),
    );
    return button;
  });
  const choose = (button: HTMLElement, token: TokenDetail) => {
    for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
    fill(details, alternatives(token));
  };
  const first = tokens[0];
  if (buttons[0] !== undefined && first !== undefined) choose(buttons[0], first);
  const box = h("div", { class: "token-text", tabindex: "-1", onkeydown: (event: KeyboardEvent) => step(event, buttons) }, ...buttons);
  return [
    h(
      "p",
      { class: "insight-note" },
      texts.insight.summary(tokens.length, perplexity(tokens).toLocaleString(undefined, { maximumFractionDigits: 2 })),
    ),
    legend(),
    box,
    details,
  ];
}

function step(event: KeyboardEvent, buttons: readonly HTMLElement[]): void {
  const direction = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const at = buttons.indexOf(document.activeElement as HTMLElement);
  if (direction === undefined || at < 0) return;
  event.preventDefault();
  buttons[at + direction]?.focus();
  buttons[at + direction]?.click();
}

function legend(): HTMLElement {
  return h(
    "p",
    { class: "legend", "aria-hidden": "true" },
    ...texts.insight.legend.map((words, i) => h("span", { class: `token doubt-${i}` }, words)),
  );
}

function alternatives(token: TokenDetail): HTMLElement {
  const others = token.top.some((other) => other.token === token.token)
    ? token.top
    : [...token.top, { token: token.token, logprob: token.logprob }];
  return h(
    "table",
    { class: "alternative-table" },
    h("caption", {}, texts.insight.alternatives(visible(token.token))),
    h(
      "tbody",
      {},
      ...others.map((other) =>
        h(
          "tr",
          { class: other.token === token.token ? "taken" : "" },
          h("th", { scope: "row" }, h("code", {}, visible(other.token))),
          h("td", {}, h("progress", { max: 1, value: Math.exp(other.logprob), "aria-hidden": "true" })),
          h("td", { class: "number" }, percent(other.logprob)),
        ),
      ),
    ),
  );
}
