import type { Chat } from "../chat/chat";
import { h } from "../dom/h";
import { place } from "../dom/menu";
import { texts } from "../text/texts";
import { toggle } from "./settings_dialog";

/** A small panel at the button: which tools the model may ask for. */
export function openToolMenu(button: HTMLElement, chat: Chat, changed: () => void, more: () => void): void {
  const { settings } = chat;
  const close = () => {
    panel.remove();
    document.removeEventListener("pointerdown", away);
    button.setAttribute("aria-expanded", "false");
    button.focus();
  };
  const away = (event: Event) => {
    if (!panel.contains(event.target as Node) && !button.contains(event.target as Node)) close();
  };
  const panel = h(
    "div",
    {
      class: "popover",
      role: "dialog",
      "aria-label": texts.tools.menuTitle,
      onkeydown: (event: KeyboardEvent) => {
        if (event.key !== "Escape") return;
        event.stopPropagation();
        close();
      },
    },
    h("p", { class: "popover-title" }, texts.tools.menuTitle),
    ...chat.tools.known.map((tool) =>
      toggle(texts.tools.names[tool.name] ?? tool.name, "", settings.tools.includes(tool.name), (on) => {
        settings.tools = on ? [...settings.tools, tool.name] : settings.tools.filter((name) => name !== tool.name);
        changed();
      }),
    ),
    h("p", { class: "field-hint" }, texts.tools.menuHint),
    h(
      "button",
      {
        class: "button small",
        type: "button",
        onclick: () => {
          close();
          more();
        },
      },
      texts.tools.more,
    ),
  );
  if (document.querySelector(".popover") !== null) return;
  document.body.append(panel);
  place(panel, button.getBoundingClientRect());
  button.setAttribute("aria-expanded", "true");
  document.addEventListener("pointerdown", away);
  panel.querySelector("input")?.focus();
}
