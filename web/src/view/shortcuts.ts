import { openDialog } from "../dom/dialog";
import { h } from "../dom/h";
import { texts } from "../text/texts";

export interface ShortcutActions {
  newChat(): void;
  search(): void;
  toggleSidebar(): void;
  toggleCanvas(): void;
  settings(): void;
  compose(): void;
  stop(): boolean;
  step(direction: -1 | 1): void;
}

/** Keys that work everywhere on the page. */
export function installShortcuts(actions: ShortcutActions): void {
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]") !== null) return;
    const run = find(event, actions);
    if (run === null) return;
    event.preventDefault();
    run();
  });
}

function find(event: KeyboardEvent, actions: ShortcutActions): (() => void) | null {
  const control = event.ctrlKey || event.metaKey;
  const key = event.key.toLowerCase();
  if (control && event.shiftKey && key === "o") return actions.newChat;
  if (control && event.shiftKey && key === "s") return actions.toggleSidebar;
  if (control && event.shiftKey && key === "e") return actions.toggleCanvas;
  if (control && !event.shiftKey && key === "k") return actions.search;
  if (control && key === ",") return actions.settings;
  if (event.altKey && key === "arrowup") return () => actions.step(-1);
  if (event.altKey && key === "arrowdown") return () => actions.step(1);
  if (key === "escape") return actions.stop() ? () => undefined : null;
  if (control || event.altKey || isWriting(event.target)) return null;
  if (key === "/") return actions.compose;
  if (key === "?") return showShortcuts;
  return null;
}

function isWriting(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

export function showShortcuts(): void {
  openDialog(
    texts.shortcuts.title,
    "shortcuts",
    h(
      "dl",
      { class: "shortcut-list" },
      ...texts.shortcuts.list.map(([keys, words]) =>
        h("div", {}, h("dt", {}, h("kbd", {}, keys)), h("dd", {}, words)),
      ),
    ),
  );
}
