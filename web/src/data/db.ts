import type { CanvasDocument, Conversation, Message } from "./types";

const stores = ["conversations", "messages", "documents"] as const;
type Store = (typeof stores)[number];

/** What the page remembers, in the browser's IndexedDB: it never leaves the machine. */
export class Database {
  private constructor(private readonly db: IDBDatabase) {}

  static async open(name = "corral"): Promise<Database> {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      const db = request.result;
      db.createObjectStore("conversations", { keyPath: "id" });
      for (const store of ["messages", "documents"]) {
        db.createObjectStore(store, { keyPath: "id" }).createIndex("conversation", "conversation");
      }
    };
    return new Database(await done(request));
  }

  conversations(): Promise<Conversation[]> {
    return this.all("conversations");
  }
  messages(conversation: string): Promise<Message[]> {
    return this.ofConversation("messages", conversation);
  }
  allMessages(): Promise<Message[]> {
    return this.all("messages");
  }
  documents(conversation: string): Promise<CanvasDocument[]> {
    return this.ofConversation("documents", conversation);
  }
  putConversation(conversation: Conversation): Promise<void> {
    return this.put("conversations", conversation);
  }
  putMessage(message: Message): Promise<void> {
    return this.put("messages", message);
  }
  putDocument(document: CanvasDocument): Promise<void> {
    return this.put("documents", document);
  }

  /** All of a conversation, or nothing of it. */
  async putAll(
    conversation: Conversation,
    messages: Message[],
    documents: CanvasDocument[],
  ): Promise<void> {
    const transaction = this.db.transaction(stores, "readwrite");
    transaction.objectStore("conversations").put(conversation);
    for (const message of messages) transaction.objectStore("messages").put(message);
    for (const document of documents) transaction.objectStore("documents").put(document);
    await finished(transaction);
  }

  async deleteConversation(id: string): Promise<void> {
    const transaction = this.db.transaction(stores, "readwrite");
    transaction.objectStore("conversations").delete(id);
    for (const store of ["messages", "documents"] as const) {
      const request = transaction.objectStore(store).index("conversation").openKeyCursor(id);
      request.onsuccess = () => {
        const cursor = request.result;
        if (cursor === null) return;
        transaction.objectStore(store).delete(cursor.primaryKey);
        cursor.continue();
      };
    }
    await finished(transaction);
  }

  private all<T>(store: Store): Promise<T[]> {
    return done(this.db.transaction(store).objectStore(store).getAll() as IDBRequest<T[]>);
  }
  private ofConversation<T>(store: Store, id: string): Promise<T[]> {
    const index = this.db.transaction(store).objectStore(store).index("conversation");
    return done(index.getAll(id) as IDBRequest<T[]>);
  }
  private async put(store: Store, value: object): Promise<void> {
    const transaction = this.db.transaction(store, "readwrite");
    transaction.objectStore(store).put(value);
    await finished(transaction);
  }
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function finished(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onerror = () => reject(transaction.error);
    transaction.onabort = () => reject(transaction.error);
  });
}
