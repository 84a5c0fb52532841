import { h } from "../dom/h";
import { texts } from "../text/texts";

const key = "corral.canvas";
const step = 32;

/** The border of the canvas, to be moved with the pointer or with the arrow keys. */
export function resizeHandle(page: HTMLElement): HTMLElement {
  const set = (width: number) => {
    const most = window.innerWidth - 420;
    const chosen = Math.round(Math.max(320, Math.min(width, most)));
    page.style.setProperty("--canvas", `${chosen}px`);
    handle.setAttribute("aria-valuenow", String(chosen));
    localStorage.setItem(key, String(chosen));
  };
  const width = () => page.querySelector(".canvas")?.getBoundingClientRect().width ?? 0;
  const move = (event: PointerEvent) => set(window.innerWidth - event.clientX);
  const handle: HTMLElement = h("div", {
    class: "canvas-handle",
    role: "separator",
    tabindex: "0",
    "aria-orientation": "vertical",
    "aria-label": texts.canvas.resize,
    onpointerdown: (event: PointerEvent) => {
      handle.setPointerCapture(event.pointerId);
      page.classList.add("resizing");
      handle.addEventListener("pointermove", move);
    },
    onpointerup: () => {
      page.classList.remove("resizing");
      handle.removeEventListener("pointermove", move);
    },
    onkeydown: (event: KeyboardEvent) => {
      const direction = { ArrowLeft: 1, ArrowRight: -1 }[event.key];
      if (direction !== undefined) set(width() + direction * step);
    },
  });
  const stored = Number(localStorage.getItem(key));
  if (stored > 0) set(stored);
  return handle;
}
