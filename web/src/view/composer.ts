import { readFiles } from "../attach/read";
import type { Chat } from "../chat/chat";
import type { Attachment, TextPart } from "../data/types";
import { clearDraft, loadDraft, saveDraft } from "../data/drafts";
import { fill, h } from "../dom/h";
import { icon } from "../dom/icons";
import { toast } from "../dom/toast";
import { texts } from "../text/texts";
import { attachmentList } from "./attachments";
import { fitHeight } from "./fit_height";
import { iconButton } from "./sidebar";

export interface ComposerActions {
  send(text: string, attachments: Attachment[]): void;
  stop(): void;
  tools(button: HTMLElement): void;
  editLast(): void;
  /** The document that the message is about, if one is open. */
  openDocument(): TextPart | null;
}

/** Where one writes. What is not sent stays, also over a reload. */
export class Composer {
  readonly element: HTMLElement;
  private readonly field: HTMLTextAreaElement;
  private readonly files: HTMLInputElement;
  private readonly shelf = h("div", { class: "shelf" });
  private readonly sendButton: HTMLButtonElement;
  private readonly toolsButton: HTMLButtonElement;
  private attachments: Attachment[] = [];
  private withDocument = true;
  private reading = 0;

  constructor(
    private readonly chat: Chat,
    private readonly actions: ComposerActions,
  ) {
    this.field = h("textarea", {
      class: "composer-field",
      rows: 1,
      placeholder: texts.composer.placeholder,
      "aria-label": texts.composer.label,
      oninput: () => this.typed(),
      onkeydown: (event: KeyboardEvent) => this.key(event),
      onpaste: (event: ClipboardEvent) => this.pasted(event),
    });
    this.files = h("input", {
      type: "file",
      multiple: true,
      hidden: true,
      onchange: () => {
        void this.take([...(this.files.files ?? [])]);
        this.files.value = "";
      },
    });
    this.sendButton = h("button", { class: "send", type: "button", onclick: () => this.sendOrStop() });
    this.toolsButton = iconButton("tool", texts.composer.tools, () => actions.tools(this.toolsButton), "tools-toggle");
    this.element = h(
      "div",
      { class: "composer-box" },
      h(
        "div",
        { class: "composer" },
        this.shelf,
        this.field,
        h(
          "div",
          { class: "composer-row" },
          iconButton("clip", texts.composer.attach, () => this.files.click(), "attach-button"),
          this.toolsButton,
          h("span", { class: "composer-space" }),
          this.sendButton,
        ),
        this.files,
      ),
      h("p", { class: "composer-hint" }, texts.composer.hint),
    );
    chat.changes.on((change) => {
      if (change.kind === "thread") this.restore();
      if (change.kind !== "message") this.render();
    });
    this.render();
  }

  focus(): void {
    this.field.focus();
  }

  setText(text: string): void {
    this.field.value = text;
    this.typed();
    this.focus();
  }

  /** Files that were dropped, pasted or chosen. */
  async take(files: File[]): Promise<void> {
    if (files.length === 0) return;
    this.reading += 1;
    this.render();
    const images = this.attachments.filter((part) => part.kind === "image").length;
    const { attachments, problems } = await readFiles(files, images);
    this.reading -= 1;
    this.attachments.push(...attachments);
    for (const problem of problems) toast(problem);
    this.render();
  }

  render(): void {
    const answering = this.chat.run() !== undefined;
    fill(this.sendButton, icon(answering ? "stop" : "send"));
    const label = answering ? texts.composer.stop : texts.composer.send;
    this.sendButton.setAttribute("aria-label", label);
    this.sendButton.title = label;
    this.sendButton.classList.toggle("stops", answering);
    this.sendButton.disabled = !answering && this.isEmpty();
    this.toolsButton.classList.toggle("active", this.chat.tools.descriptions().length > 0);
    const document_ = this.actions.openDocument();
    fill(
      this.shelf,
      document_ !== null && this.documentChip(document_),
      attachmentList(this.attachments, (gone) => {
        this.attachments = this.attachments.filter((part) => part !== gone);
        this.render();
      }),
      this.reading > 0 && h("p", { class: "shelf-note", role: "status" }, texts.attach.reading),
    );
  }

  private documentChip(part: TextPart): HTMLElement {
    const box = h("input", {
      type: "checkbox",
      checked: this.withDocument,
      onchange: () => {
        this.withDocument = box.checked;
      },
    });
    return h("label", { class: "document-chip" }, box, icon("canvas"), texts.composer.about(part.name));
  }

  private isEmpty(): boolean {
    return this.field.value.trim() === "" && this.attachments.length === 0;
  }

  private typed(): void {
    fitHeight(this.field);
    saveDraft(this.chat.current?.id ?? "", this.field.value);
    this.render();
  }

  private restore(): void {
    const draft = loadDraft(this.chat.current?.id ?? "");
    if (this.field.value === draft) return;
    this.field.value = draft;
    fitHeight(this.field);
  }

  private sendOrStop(): void {
    if (this.chat.run() !== undefined) return this.actions.stop();
    if (this.isEmpty() || this.reading > 0) return;
    const document_ = this.withDocument ? this.actions.openDocument() : null;
    const attachments = document_ === null ? this.attachments : [document_, ...this.attachments];
    const text = this.field.value.trim();
    clearDraft(this.chat.current?.id ?? "");
    this.field.value = "";
    this.attachments = [];
    fitHeight(this.field);
    this.actions.send(text, attachments);
    this.render();
  }

  private key(event: KeyboardEvent): void {
    const sends = this.chat.settings.enterSends ? !event.shiftKey : event.ctrlKey || event.metaKey;
    if (event.key === "Enter" && sends && !event.isComposing) {
      event.preventDefault();
      if (this.chat.run() === undefined) this.sendOrStop();
    } else if (event.key === "ArrowUp" && this.field.value === "") {
      event.preventDefault();
      this.actions.editLast();
    }
  }

  private pasted(event: ClipboardEvent): void {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    void this.take(files);
  }
}
