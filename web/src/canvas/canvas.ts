import type { Chat } from "../chat/chat";
import type { Message, TextPart } from "../data/types";
import { codeBlocks } from "../markdown/blocks";
import { isDocument, previews, runs } from "../markdown/languages";
import { Documents } from "./documents";
import { CanvasPanel } from "./panel";

/** The canvas and what brings documents into it. */
export class Canvas {
  readonly documents: Documents;
  readonly panel: CanvasPanel;

  constructor(
    private readonly chat: Chat,
    private readonly show: (shown: boolean) => void,
  ) {
    this.documents = new Documents(chat.db);
    this.panel = new CanvasPanel(this.documents, () => this.close());
    chat.changes.on((change) => {
      if (change.kind === "thread") void this.follow();
      if (change.kind === "finished") void this.takeAnswer(change.message);
    });
  }

  /** The open document as a part of the next message. */
  part(): TextPart | null {
    const { open } = this.documents;
    const version = this.documents.version();
    if (open === null || version === undefined) return null;
    return { kind: "text", name: open.title, text: version.text, canvas: { id: open.id, language: open.language } };
  }

  /** A block of code of the conversation. */
  async openCode(code: string, language: string, run: boolean): Promise<void> {
    const conversation = this.chat.current?.id;
    if (conversation === undefined) return;
    await this.documents.show(conversation, code, language);
    this.panel.showTab(run || previews(language) && !runs(language) ? "preview" : "code");
    this.show(true);
  }

  close(): void {
    this.documents.close();
    this.show(false);
  }

  private async follow(): Promise<void> {
    const id = this.chat.current?.id ?? null;
    const before = this.documents.open;
    await this.documents.load(id);
    if (before !== null && this.documents.open === null) this.show(false);
    this.panel.render();
  }

  // An answer about the open document is its next version; a page that a model writes opens by itself.
  private async takeAnswer(message: Message): Promise<void> {
    if (message.conversation !== this.chat.current?.id || message.finish === "failed") return;
    const blocks = codeBlocks(message.text);
    const asked = this.chat.tree.get(message.parent ?? "");
    const about = asked?.attachments.find((part): part is TextPart => part.kind === "text" && part.canvas !== undefined);
    if (about?.canvas !== undefined) {
      const { id, language } = about.canvas;
      const fitting = blocks.filter((block) => block.language.toLowerCase() === language.toLowerCase());
      const longest = fitting.sort((a, b) => b.code.length - a.code.length)[0];
      if (longest !== undefined) await this.documents.revise(id, longest.code);
      return;
    }
    const page = blocks.find((block) => isDocument(block.code, block.language));
    if (page !== undefined && this.chat.settings.canvasOpens && message.finish === "stop") {
      await this.openCode(page.code, page.language, true);
    }
  }
}
