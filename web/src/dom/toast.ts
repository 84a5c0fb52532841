import { h } from "./h";

const showMs = 6000;

/** A short word at the bottom, with something to do about it perhaps. */
export function toast(words: string, action?: { label: string; run(): void }): void {
  let region = document.querySelector<HTMLElement>(".toasts");
  if (region === null) {
    region = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
    document.body.append(region);
  }
  const box = h(
    "div",
    { class: "toast" },
    words,
    action !== undefined &&
      h(
        "button",
        {
          class: "toast-action",
          type: "button",
          onclick: () => {
            box.remove();
            action.run();
          },
        },
        action.label,
      ),
  );
  region.append(box);
  window.setTimeout(() => box.remove(), showMs);
}
