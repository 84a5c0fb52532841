import { saveSettings } from "../data/settings";
import type { Chat } from "../chat/chat";
import type { Attachment, Failure, Message } from "../data/types";
import { confirmDialog, promptDialog } from "../dom/dialog";
import { fill, h } from "../dom/h";
import { toast } from "../dom/toast";
import { showTokens } from "../insight/tokens";
import { texts } from "../text/texts";
import { Canvas } from "../canvas/canvas";
import { resizeHandle } from "../canvas/resize";
import { installCodeActions } from "./code_actions";
import { Composer } from "./composer";
import { Exporter } from "./exporter";
import { Header } from "./header";
import { askForKey } from "./key_dialog";
import type { MessageActions } from "./message";
import { showSettings } from "./settings_dialog";
import { installShortcuts, showShortcuts } from "./shortcuts";
import { Sidebar } from "./sidebar";
import { Thread } from "./thread";
import { Welcome } from "./welcome";
import { openToolMenu } from "./tool_menu";
import { installDrop } from "./drop";

/** The whole page: puts its parts beside each other and tells each what the others want. */
export class Page {
  private readonly root = h("div", { class: "page" });
  private readonly banner = h("div", { class: "banner-box" });
  private readonly sidebar: Sidebar;
  private readonly thread: Thread;
  private readonly composer: Composer;
  private readonly exporter: Exporter;
  private readonly canvas: Canvas;

  constructor(private readonly chat: Chat) {
    this.exporter = new Exporter(chat);
    this.canvas = new Canvas(chat, (shown) => this.showCanvas(shown));
    this.canvas.documents.changes.on(() => this.composer.render());
    this.sidebar = new Sidebar(chat, {
      open: (id) => this.open(id),
      rename: (conversation) => void this.rename(conversation),
      remove: (conversation) => void this.remove(conversation),
      exportMarkdown: (conversation) => void this.exporter.markdown(conversation),
      exportJson: (conversation) => void this.exporter.json([conversation]),
      settings: () => this.settings(),
      shortcuts: showShortcuts,
      close: () => this.showSidebar(false),
    });
    const header = new Header(chat, {
      openSidebar: () => this.showSidebar(true),
      newChat: () => this.open(null),
      toggleCanvas: () => this.showCanvas(!this.root.classList.contains("with-canvas")),
      chooseModel: (model) => this.chooseModel(model),
    });
    this.composer = new Composer(chat, {
      send: (text, attachments) => void chat.send(text, attachments),
      stop: () => chat.stop(),
      tools: (button) => openToolMenu(button, chat, () => this.settingsChanged(), () => this.settings()),
      editLast: () => this.thread.editLast(),
      openDocument: () => this.canvas.part(),
    });
    this.thread = new Thread(chat, this.messageActions(), new Welcome(chat, (text) => this.composer.setText(text)));
    const middle = h("div", { class: "middle" }, header.element, this.banner, this.thread.element, this.composer.element);
    fill(this.root, this.sidebar.element, h("button", { class: "veil", type: "button", tabindex: "-1", "aria-label": texts.sidebar.close, onclick: () => this.showSidebar(false) }), middle, resizeHandle(this.root), this.canvas.panel.element);
    document.body.replaceChildren(this.root);
    this.showSidebar(window.innerWidth > 900, false);
    installDrop(document.body, (files) => void this.composer.take(files));
    installCodeActions(this.thread.element, (code, language, run) => void this.canvas.openCode(code, language, run));
    this.installKeys();
    this.watch();
  }

  private watch(): void {
    const { chat } = this;
    chat.link.changes.on((link) => {
      this.renderBanner();
      if (link.failure?.kind === "key") void askForKey(link);
      const known = link.models.some((model) => model.id === chat.settings.model);
      if (!known && link.models[0] !== undefined) this.chooseModel(link.models[0].id);
    });
    chat.changes.on((change) => {
      if (change.kind !== "thread") return;
      const id = chat.current?.id;
      const hash = id === undefined ? "" : `#${id}`;
      if (location.hash !== hash) history.pushState(null, "", hash === "" ? location.pathname : hash);
      document.title = chat.current?.title ? `${chat.current.title} · ${texts.name}` : texts.name;
    });
    window.addEventListener("popstate", () => void chat.open(location.hash.slice(1) || null));
  }

  private open(id: string | null): void {
    void this.chat.open(id).then(() => this.composer.focus());
    if (window.innerWidth <= 900) this.showSidebar(false);
  }

  private showSidebar(shown: boolean, focus = true): void {
    this.root.classList.toggle("with-sidebar", shown);
    this.sidebar.element.inert = !shown;
    if (!focus) return;
    this.root.querySelector<HTMLElement>(shown ? ".sidebar-close" : ".sidebar-open")?.focus();
  }

  private showCanvas(shown: boolean): void {
    this.root.classList.toggle("with-canvas", shown);
    if (shown) this.canvas.panel.render();
  }

  private settings(): void {
    showSettings(this.chat, {
      changed: () => this.settingsChanged(),
      exportAll: () => void this.exporter.json(this.chat.conversations),
      importFile: (file) => void this.exporter.importFile(file),
      removeAll: () => void this.removeAll(),
      askForKey: () => void askForKey(this.chat.link),
    });
  }

  private settingsChanged(): void {
    saveSettings(this.chat.settings);
    this.composer.render();
  }

  private chooseModel(model: string): void {
    this.chat.settings.model = model;
    saveSettings(this.chat.settings);
    this.chat.link.changes.emit(this.chat.link);
  }

  private async rename(conversation: Parameters<Chat["rename"]>[0]): Promise<void> {
    const title = await promptDialog(texts.dialog.rename, texts.dialog.name, conversation.title, texts.dialog.save);
    if (title !== null && title !== "") await this.chat.rename(conversation, title);
  }

  private async remove(conversation: Parameters<Chat["remove"]>[0]): Promise<void> {
    const archive = await this.exporter.archive(conversation);
    await this.chat.remove(conversation);
    toast(texts.sidebar.removed(conversation.title), {
      label: texts.sidebar.undo,
      run: () => void this.chat.db.putAll(archive.conversation, archive.messages, archive.documents).then(() => this.chat.load()),
    });
  }

  private async removeAll(): Promise<void> {
    const count = this.chat.conversations.length;
    if (!(await confirmDialog(texts.settings.removeAllSure(count), texts.dialog.confirm))) return;
    for (const conversation of [...this.chat.conversations]) await this.chat.remove(conversation);
  }

  private messageActions(): MessageActions {
    const { chat } = this;
    return {
      edit: (message, text, attachments) => void chat.edit(message, text, attachments),
      regenerate: (message) => void chat.regenerate(message),
      choose: (message) => void chat.chooseBranch(message),
      goOn: () => void chat.send(texts.message.goOnText, []),
      showTokens: (message) =>
        showTokens(message, () => {
          chat.settings.tokenDetails = true;
          this.settingsChanged();
          void chat.regenerate(message);
        }),
      recover: (message, failure) => void this.recover(message, failure),
      allowCall: (message, call) => void chat.runCall(message, call),
      refuseCall: (message, call) => void chat.resolveCall(message, call, "refused", texts.tools.refusedResult),
      answerCall: (message, call, result) => void chat.resolveCall(message, call, "done", result),
      askForKey: () => void askForKey(chat.link).then((accepted) => this.retryAfterKey(accepted)),
    };
  }

  private retryAfterKey(accepted: boolean): void {
    const last = this.chat.path().at(-1);
    if (accepted && last?.failure?.kind === "key") void this.chat.regenerate(last);
  }

  private async recover(message: Message, failure: Failure): Promise<void> {
    const { chat } = this;
    const asked = chat.tree.get(message.parent ?? "");
    if (failure.kind === "no_images" && asked !== undefined) {
      await chat.edit(asked, asked.text, asked.attachments.filter((part: Attachment) => part.kind !== "image"));
    } else if (failure.kind === "too_long") {
      await chat.trimAndRetry(message, failure);
    }
  }

  private renderBanner(): void {
    const failure = this.chat.link.failure;
    if (failure === null) {
      fill(this.banner);
      return;
    }
    const words = failure.kind === "offline" ? texts.failure.looking : texts.failure[failure.kind];
    fill(
      this.banner,
      h("div", { class: "banner", role: "status" }, words, failure.kind === "key" && h("button", { class: "button small", type: "button", onclick: () => void askForKey(this.chat.link) }, texts.failure.keyLabel)),
    );
  }

  private installKeys(): void {
    installShortcuts({
      newChat: () => this.open(null),
      search: () => {
        this.showSidebar(true);
        this.sidebar.focusSearch();
      },
      toggleSidebar: () => this.showSidebar(!this.root.classList.contains("with-sidebar")),
      toggleCanvas: () => this.showCanvas(!this.root.classList.contains("with-canvas")),
      settings: () => this.settings(),
      compose: () => this.composer.focus(),
      stop: () => {
        const answering = this.chat.run() !== undefined;
        this.chat.stop();
        return answering;
      },
      step: (direction) => this.thread.step(direction),
    });
  }

  start(): void {
    void this.chat.load().then(() => this.chat.open(location.hash.slice(1) || null)).then(() => this.composer.focus());
    void this.chat.link.connect();
  }
}

