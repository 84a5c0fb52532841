import { h } from "./h";
import { icon, type IconName } from "./icons";

export interface MenuItem {
  label: string;
  icon: IconName;
  danger?: boolean;
  run(): void;
}

/** A menu at a button: arrows move, Enter chooses, Esc and Tab close. */
export function openMenu(button: HTMLElement, items: readonly MenuItem[]): void {
  const entries = items.map((item) =>
    h(
      "button",
      {
        class: item.danger ? "menu-item danger" : "menu-item",
        type: "button",
        role: "menuitem",
        tabindex: "-1",
        onclick: () => {
          close();
          item.run();
        },
      },
      icon(item.icon),
      item.label,
    ),
  );
  const menu = h("div", { class: "menu", role: "menu", onkeydown: key }, ...entries);
  const away = (event: Event) => {
    if (!menu.contains(event.target as Node)) close();
  };
  function close(): void {
    menu.remove();
    button.setAttribute("aria-expanded", "false");
    document.removeEventListener("pointerdown", away);
    button.focus();
  }
  function key(event: KeyboardEvent): void {
    const at = entries.indexOf(document.activeElement as HTMLButtonElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) entries[(at + step + entries.length) % entries.length]?.focus();
    else if (event.key === "Escape" || event.key === "Tab") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  document.body.append(menu);
  place(menu, button.getBoundingClientRect());
  button.setAttribute("aria-expanded", "true");
  document.addEventListener("pointerdown", away);
  entries[0]?.focus();
}

/** Below the anchor where there is room, else above; never outside the window. */
export function place(box: HTMLElement, anchor: DOMRect): void {
  const size = box.getBoundingClientRect();
  const gap = 6;
  const below = anchor.bottom + gap + size.height <= window.innerHeight;
  const left = Math.min(anchor.left, window.innerWidth - size.width - 8);
  box.style.left = `${Math.max(8, left)}px`;
  box.style.top = `${Math.max(8, below ? anchor.bottom + gap : anchor.top - gap - size.height)}px`;
}
