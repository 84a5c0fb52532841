import { copyText } from "../dom/clipboard";
import { fill, h } from "../dom/h";
import { icon } from "../dom/icons";
import { codeOf } from "../markdown/code_block";
import { texts } from "../text/texts";

/** What the buttons at blocks of code do, wherever in `root` the blocks are. */
export function installCodeActions(
  root: HTMLElement,
  open: (code: string, language: string, run: boolean) => void,
): void {
  root.addEventListener("click", (event) => {
    const button = (event.target as Element).closest<HTMLElement>("[data-action]");
    const block = button?.closest<HTMLElement>(".code-block");
    if (button === null || block === null || block === undefined) return;
    const action = button.dataset["action"];
    if (action === "copy-code") void copied(button, codeOf(block));
    else open(codeOf(block), block.dataset["language"] ?? "", action === "run-code");
  });
}

async function copied(button: HTMLElement, code: string): Promise<void> {
  await copyText(code);
  fill(button, icon("check"), h("span", { class: "hidden-text", role: "status" }, texts.message.copied));
  window.setTimeout(() => fill(button, icon("copy")), 1500);
}
