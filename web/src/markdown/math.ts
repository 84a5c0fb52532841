let katex: Promise<typeof import("katex").default> | null = null;

/** KaTeX with its style sheet, loaded when the first formula appears. */
function loadKatex(): Promise<typeof import("katex").default> {
  katex ??= new Promise((resolve) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = "/assets/katex.css";
    document.head.append(link);
    resolve(import("katex").then((module) => module.default));
  });
  return katex;
}

const rendered = new Map<string, HTMLElement>();
const mostRendered = 500;

/** Puts formulas where their sources stand. */
export function renderMath(root: ParentNode): void {
  for (const element of root.querySelectorAll<HTMLElement>("[data-math]")) {
    const tex = element.textContent ?? "";
    const display = element.dataset["math"] === "display";
    const key = `${display ? "d" : "i"}${tex}`;
    element.dataset["keep"] = key;
    const known = rendered.get(key);
    if (known !== undefined) element.replaceChildren(known.cloneNode(true));
    else void loadAndRender(element, tex, display, key);
  }
}

async function loadAndRender(element: HTMLElement, tex: string, display: boolean, key: string): Promise<void> {
  const library = await loadKatex();
  const box = document.createElement("span");
  library.render(tex, box, { displayMode: display, throwOnError: false, trust: false, maxExpand: 500, maxSize: 20 });
  if (rendered.size >= mostRendered) rendered.clear();
  rendered.set(key, box);
  element.replaceChildren(box.cloneNode(true));
}
