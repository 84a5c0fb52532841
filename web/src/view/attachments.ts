import type { Attachment } from "../data/types";
import { h } from "../dom/h";
import { icon } from "../dom/icons";
import { openDialog } from "../dom/dialog";
import { texts } from "../text/texts";

/** What was sent with a message: pictures as thumbnails, texts as cards. Null when nothing was. */
export function attachmentList(
  attachments: readonly Attachment[],
  remove?: (attachment: Attachment) => void,
): HTMLElement | null {
  if (attachments.length === 0) return null;
  return h("ul", { class: "attachments" }, ...attachments.map((each) => card(each, remove)));
}

function card(attachment: Attachment, remove?: (attachment: Attachment) => void): HTMLElement {
  const close =
    remove !== undefined &&
    h(
      "button",
      {
        class: "attachment-remove",
        type: "button",
        "aria-label": texts.composer.remove(attachment.name),
        onclick: () => remove(attachment),
      },
      icon("close"),
    );
  if (attachment.kind === "image") {
    return h(
      "li",
      { class: "attachment picture" },
      h(
        "button",
        { class: "thumbnail", type: "button", title: attachment.name, onclick: () => enlarge(attachment.name, attachment.url) },
        h("img", { src: attachment.url, alt: texts.message.image(attachment.name) }),
        attachment.note !== undefined && h("span", { class: "thumbnail-note" }, attachment.note),
      ),
      close,
    );
  }
  return h(
    "li",
    { class: "attachment text-file" },
    h(
      "button",
      { class: "file-card", type: "button", onclick: () => readText(attachment.name, attachment.text) },
      icon(attachment.canvas === undefined ? "file" : "canvas"),
      h("span", { class: "file-name" }, attachment.name),
      h("span", { class: "file-size" }, sizeOf(attachment.text)),
    ),
    close,
  );
}

function enlarge(name: string, url: string): void {
  openDialog(name, "picture", h("img", { src: url, alt: texts.message.image(name) }));
}

function readText(name: string, text: string): void {
  openDialog(name, "text", h("pre", { class: "file-text", tabindex: "0" }, text.slice(0, 200_000)));
}

function sizeOf(text: string): string {
  const kilobytes = new Blob([text]).size / 1024;
  return `${kilobytes.toLocaleString(undefined, { maximumFractionDigits: kilobytes < 10 ? 1 : 0 })} KB`;
}
