import type { ServerLink } from "../chat/link";
import { h } from "../dom/h";
import { openDialog } from "../dom/dialog";
import { texts } from "../text/texts";

let open: HTMLDialogElement | null = null;

/** Asks for the server's key; resolves when the server takes one, or with false when nobody gives one. */
export function askForKey(link: ServerLink): Promise<boolean> {
  if (open !== null) return Promise.resolve(false);
  return new Promise((resolve) => {
    let accepted = false;
    const wrong = h("p", { class: "field-error", role: "alert" });
    const input = h("input", { class: "input", type: "password", autocomplete: "off", "aria-label": texts.failure.keyLabel });
    const form = h(
      "form",
      {
        class: "dialog-form",
        onsubmit: (event: Event) => {
          event.preventDefault();
          void link.useKey(input.value.trim()).then((known) => {
            accepted = known;
            if (known) return open?.close();
            wrong.textContent = texts.failure.keyWrong;
            input.select();
          });
        },
      },
      h("p", { class: "dialog-note" }, texts.failure.keyHint),
      input,
      wrong,
      h("div", { class: "dialog-actions" }, h("button", { class: "button primary" }, texts.failure.keySave)),
    );
    open = openDialog(texts.failure.key, "key", form);
    input.focus();
    open.addEventListener("close", () => {
      open = null;
      resolve(accepted);
    });
  });
}
