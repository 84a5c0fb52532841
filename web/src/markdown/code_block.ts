import { icon, type IconName } from "../dom/icons";
import { h } from "../dom/h";
import { texts } from "../text/texts";
import { highlight } from "./highlight";
import { runs } from "./languages";

function action(name: string, symbol: IconName, words: string): HTMLElement {
  return h(
    "button",
    { class: "code-action", type: "button", "data-action": name, "aria-label": words, title: words },
    icon(symbol),
  );
}

/** A block of code with its language and what can be done with it. Buttons say so in data-action. */
export function codeBlock(code: string, language: string): HTMLElement {
  const body = h("code");
  const html = highlight(code, language.toLowerCase());
  if (html === null) body.textContent = code;
  else body.innerHTML = html;
  return h(
    "div",
    { class: "code-block", "data-language": language },
    h(
      "div",
      { class: "code-head" },
      h("span", { class: "code-language" }, language === "" ? texts.code.plain : language),
      runs(language) && action("run-code", "play", texts.code.run),
      action("open-code", "canvas", texts.code.open),
      action("copy-code", "copy", texts.code.copy),
    ),
    h("pre", { tabindex: "0", "aria-label": texts.code.label(language) }, body),
  );
}

/** The code of a block that codeBlock() made. */
export function codeOf(block: Element): string {
  return block.querySelector("code")?.textContent ?? "";
}
