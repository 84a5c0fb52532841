import { Emitter } from "../chat/emitter";
import type { Database } from "../data/db";
import { newId } from "../data/ids";
import type { CanvasDocument, DocumentVersion } from "../data/types";

const sameEditMs = 120_000;

/** The documents of one conversation, and which version of which is open. */
export class Documents {
  readonly changes = new Emitter<void>();
  all: CanvasDocument[] = [];
  open: CanvasDocument | null = null;
  /** Which version is shown, from 0. */
  at = 0;
  private conversation = "";

  constructor(private readonly db: Database) {}

  async load(conversation: string | null): Promise<void> {
    if (conversation === this.conversation) return;
    this.conversation = conversation ?? "";
    this.open = null;
    this.all = conversation === null ? [] : await this.db.documents(conversation);
    this.all.sort((a, b) => a.created - b.created);
    this.changes.emit();
  }

  version(): DocumentVersion | undefined {
    return this.open?.versions[this.at];
  }

  /** Opens the version that has this text, or makes a document of it. */
  async show(conversation: string, text: string, language: string): Promise<void> {
    this.conversation = conversation;
    for (const document of this.all) {
      const at = document.versions.findIndex((version) => version.text === text);
      if (at >= 0) return this.goTo(document, at);
    }
    const document: CanvasDocument = {
      id: newId(),
      conversation,
      title: titleOf(text, language),
      language,
      created: Date.now(),
      versions: [{ text, created: Date.now(), by: "model" }],
    };
    this.all.push(document);
    await this.db.putDocument(document);
    this.goTo(document, 0);
  }

  goTo(document: CanvasDocument, at: number): void {
    this.open = document;
    this.at = Math.max(0, Math.min(at, document.versions.length - 1));
    this.changes.emit();
  }

  close(): void {
    this.open = null;
    this.changes.emit();
  }

  /** What the model made of the document. */
  async revise(id: string, text: string): Promise<void> {
    const document = this.all.find((known) => known.id === id);
    if (document === undefined || document.versions.at(-1)?.text === text) return;
    document.versions.push({ text, created: Date.now(), by: "model" });
    await this.db.putDocument(document);
    this.goTo(document, document.versions.length - 1);
  }

  /** An edit by hand: one version for what is typed in one go. */
  async edit(text: string): Promise<void> {
    const document = this.open;
    const last = document?.versions.at(-1);
    if (document === null || last === undefined || this.version()?.text === text) return;
    const goes_on = last.by === "you" && this.version() === last && Date.now() - last.created < sameEditMs;
    if (goes_on) {
      last.text = text;
      last.created = Date.now();
    } else {
      document.versions.push({ text, created: Date.now(), by: "you" });
      this.at = document.versions.length - 1;
      this.changes.emit();
    }
    await this.db.putDocument(document);
  }

  async rename(title: string): Promise<void> {
    if (this.open === null || title.trim() === "") return;
    this.open.title = title.trim();
    await this.db.putDocument(this.open);
    this.changes.emit();
  }
}

/** How a document may be called: by its title, its first heading, or its language. */
export function titleOf(text: string, language: string): string {
  const found =
    /<title>([^<]+)<\/title>/i.exec(text)?.[1] ??
    (/^(?:markdown|md)$/i.test(language) ? /^#+\s+(.+)$/m.exec(text)?.[1] : undefined) ??
    /^\s*(?:\/\/|#|--|\/\*)\s*([\w][^\n*]{2,50})/.exec(text)?.[1];
  const title = found?.trim().slice(0, 60) ?? "";
  return title !== "" ? title : language === "" ? "Document" : language;
}
