import type { Chat } from "../chat/chat";
import { exportJson, exportMarkdown, fileName, importArchives, type Archive } from "../data/export";
import { newId } from "../data/ids";
import type { Conversation } from "../data/types";
import { saveFile } from "../dom/save_file";
import { toast } from "../dom/toast";
import { texts } from "../text/texts";

/** Conversations as files, and back. */
export class Exporter {
  constructor(private readonly chat: Chat) {}

  async archive(conversation: Conversation): Promise<Archive> {
    const { db } = this.chat;
    const [messages, documents] = await Promise.all([db.messages(conversation.id), db.documents(conversation.id)]);
    return { conversation, messages, documents };
  }

  async markdown(conversation: Conversation): Promise<void> {
    const archive = await this.archive(conversation);
    const text = exportMarkdown(archive, texts.thread.youTitle, texts.name);
    saveFile(fileName(conversation.title, "md"), text, "text/markdown");
  }

  async json(conversations: readonly Conversation[]): Promise<void> {
    const archives = await Promise.all(conversations.map((conversation) => this.archive(conversation)));
    const only = conversations.length === 1 ? conversations[0] : undefined;
    saveFile(fileName(only?.title ?? "corral-conversations", "json"), exportJson(archives), "application/json");
  }

  async importFile(file: File): Promise<void> {
    try {
      const archives = importArchives(await file.text(), newId);
      for (const { conversation, messages, documents } of archives) {
        await this.chat.db.putAll(conversation, messages, documents);
      }
      await this.chat.load();
      toast(texts.settings.imported(archives.length));
    } catch (error) {
      toast(texts.settings.importFailed(error instanceof Error ? error.message : String(error)));
    }
  }
}
