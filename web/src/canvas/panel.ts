import { copyText } from "../dom/clipboard";
import { fill, h } from "../dom/h";
import { saveFile } from "../dom/save_file";
import { toast } from "../dom/toast";
import { endingOf, previews, runs } from "../markdown/languages";
import { renderMarkdown } from "../markdown/render";
import { fileName } from "../data/export";
import { texts } from "../text/texts";
import { iconButton } from "../view/sidebar";
import type { Documents } from "./documents";
import { CodeEditor } from "./editor";
import { runnableHtml, Sandbox, type FrameMessage } from "./sandbox";

type Tab = "code" | "preview";
const mostLines = 200;

/** A document beside the chat: its source to edit, what it does, and its versions. */
export class CanvasPanel {
  readonly element: HTMLElement;
  private readonly title: HTMLInputElement;
  private readonly versions = h("div", { class: "canvas-versions" });
  private readonly tabs: Record<Tab, HTMLButtonElement>;
  private readonly body = h("div", { class: "canvas-body" });
  private readonly console = h("div", { class: "canvas-console", role: "log", "aria-label": texts.canvas.console });
  private readonly editor: CodeEditor;
  private sandbox: Sandbox | null = null;
  private tab: Tab = "code";
  private shown = ""; // what the body shows now

  constructor(
    private readonly documents: Documents,
    close: () => void,
  ) {
    this.editor = new CodeEditor((text) => void documents.edit(text));
    this.title = h("input", {
      class: "canvas-title",
      "aria-label": texts.canvas.title,
      maxlength: 80,
      onchange: () => void documents.rename(this.title.value),
    });
    const tab = (name: Tab) =>
      h("button", { class: "canvas-tab", type: "button", role: "tab", onclick: () => this.showTab(name) }, texts.canvas.tabs[name]);
    this.tabs = { code: tab("code"), preview: tab("preview") };
    this.element = h(
      "aside",
      { class: "canvas", "aria-label": texts.header.canvas },
      h("div", { class: "canvas-head" }, this.title, this.versions, iconButton("close", texts.canvas.close, close)),
      h(
        "div",
        { class: "canvas-bar" },
        h("div", { class: "canvas-tabs", role: "tablist", onkeydown: (event: KeyboardEvent) => this.tabKey(event) }, this.tabs.code, this.tabs.preview),
        h("span", { class: "header-space" }),
        iconButton("play", texts.canvas.runAgain, () => this.runAgain(), "canvas-run"),
        iconButton("copy", texts.canvas.copy, () => void this.copy()),
        iconButton("download", texts.canvas.download, () => this.download()),
      ),
      this.body,
      this.console,
    );
    documents.changes.on(() => this.render());
  }

  showTab(tab: Tab): void {
    this.tab = tab;
    this.render();
  }

  render(): void {
    const { open } = this.documents;
    const version = this.documents.version();
    if (open === null || version === undefined) return this.empty();
    this.title.hidden = false;
    this.title.value = open.title;
    const tab = previews(open.language) ? this.tab : "code";
    for (const [name, button] of Object.entries(this.tabs)) button.setAttribute("aria-selected", String(name === tab));
    this.tabs.preview.hidden = !previews(open.language);
    this.element.classList.toggle("runs", runs(open.language) && tab === "preview");
    this.renderVersions();
    const key = `${open.id} ${this.documents.at} ${tab}`;
    if (tab === "code") {
      if (this.shown !== key) this.replace(this.editor.element);
      this.editor.show(version.text, open.language);
    } else if (this.shown !== key) {
      this.preview(version.text, open.language);
    }
    this.shown = key;
  }

  private empty(): void {
    this.shown = "";
    this.title.hidden = true;
    fill(this.versions);
    for (const button of Object.values(this.tabs)) button.hidden = true;
    this.element.classList.remove("runs");
    this.replace(this.list());
  }

  // The documents of this conversation, when none is open.
  private list(): HTMLElement {
    const { all } = this.documents;
    if (all.length === 0) return h("p", { class: "canvas-none" }, texts.canvas.none);
    return h(
      "ul",
      { class: "canvas-list" },
      ...all.map((document_) =>
        h(
          "li",
          {},
          h(
            "button",
            { class: "menu-item", type: "button", onclick: () => this.documents.goTo(document_, document_.versions.length - 1) },
            h("span", {}, document_.title),
            h("span", { class: "field-hint" }, texts.canvas.versionCount(document_.versions.length)),
          ),
        ),
      ),
    );
  }

  private renderVersions(): void {
    this.tabs.code.hidden = false;
    const { open, at } = this.documents;
    if (open === null) return;
    const go = (to: number) => this.documents.goTo(open, to);
    const earlier = iconButton("left", texts.canvas.earlier, () => go(at - 1));
    const later = iconButton("right", texts.canvas.later, () => go(at + 1));
    earlier.disabled = at === 0;
    later.disabled = at === open.versions.length - 1;
    const by = texts.canvas.by[open.versions[at]?.by ?? "model"];
    fill(this.versions, earlier, h("span", { class: "version-at", title: by }, texts.canvas.version(at + 1, open.versions.length)), later);
  }

  private preview(text: string, language: string): void {
    if (!runs(language)) {
      this.replace(h("div", { class: "canvas-preview markdown", tabindex: "0" }, renderMarkdown(text)));
      return;
    }
    const sandbox = new Sandbox(runnableHtml(text, language), texts.canvas.frame, (message) => this.heard(message));
    this.replace(sandbox.element);
    this.sandbox = sandbox;
  }

  private replace(content: HTMLElement): void {
    this.sandbox?.end();
    this.sandbox = null;
    fill(this.console);
    fill(this.body, content);
  }

  private heard(message: FrameMessage): void {
    if (message.type !== "corral-log") return;
    this.console.append(h("p", { class: `console-${message.level ?? "log"}` }, message.text ?? ""));
    while (this.console.childElementCount > mostLines) this.console.firstElementChild?.remove();
    this.console.scrollTop = this.console.scrollHeight;
  }

  private runAgain(): void {
    this.shown = "";
    this.showTab("preview");
  }

  private async copy(): Promise<void> {
    await copyText(this.documents.version()?.text ?? "");
    toast(texts.message.copied);
  }

  private download(): void {
    const { open } = this.documents;
    if (open === null) return;
    saveFile(fileName(open.title, endingOf(open.language)), this.documents.version()?.text ?? "", "text/plain");
  }

  private tabKey(event: KeyboardEvent): void {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const next = this.tab === "code" ? "preview" : "code";
    if (this.tabs[next].hidden) return;
    this.showTab(next);
    this.tabs[next].focus();
  }
}
