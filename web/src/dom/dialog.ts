import { h, type Child } from "./h";
import { icon } from "./icons";
import { texts } from "../text/texts";

/** A dialog over the page. Esc and a click beside it close it; the focus returns where it was. */
export function openDialog(title: string, name: string, ...children: Child[]): HTMLDialogElement {
  const heading = h("h2", { id: `dialog-${name}` }, title);
  const close: HTMLElement = h(
    "button",
    { class: "icon-button", type: "button", "aria-label": texts.dialog.close, onclick: () => dialog.close() },
    icon("close"),
  );
  const dialog: HTMLDialogElement = h(
    "dialog",
    { class: `dialog dialog-${name}`, "aria-labelledby": heading.id },
    h("div", { class: "dialog-head" }, heading, close),
    ...children,
  );
  const focused = document.activeElement;
  dialog.addEventListener("click", (event: MouseEvent) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (focused instanceof HTMLElement) focused.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Asks before something that cannot be undone. */
export function confirmDialog(question: string, action: string): Promise<boolean> {
  return new Promise((resolve) => {
    let sure = false;
    const dialog = openDialog(
      question,
      "confirm",
      h(
        "div",
        { class: "dialog-actions" },
        h("button", { class: "button", type: "button", onclick: () => dialog.close() }, texts.dialog.cancel),
        h(
          "button",
          {
            class: "button danger",
            type: "button",
            onclick: () => {
              sure = true;
              dialog.close();
            },
          },
          action,
        ),
      ),
    );
    dialog.addEventListener("close", () => resolve(sure));
  });
}

/** Asks for a line of text; null when the dialog is closed. */
export function promptDialog(title: string, label: string, value: string, save: string): Promise<string | null> {
  return new Promise((resolve) => {
    let result: string | null = null;
    const input = h("input", { class: "input", type: "text", value, "aria-label": label, maxlength: 200 });
    const form = h(
      "form",
      {
        class: "dialog-form",
        onsubmit: (event: Event) => {
          event.preventDefault();
          result = input.value.trim();
          dialog.close();
        },
      },
      input,
      h("div", { class: "dialog-actions" }, h("button", { class: "button primary" }, save)),
    );
    const dialog = openDialog(title, "prompt", form);
    input.select();
    input.focus();
    dialog.addEventListener("close", () => resolve(result));
  });
}
