import { h } from "../dom/h";
import { icon } from "../dom/icons";
import { texts } from "../text/texts";

/** Files can be dropped anywhere on the page. */
export function installDrop(target: HTMLElement, take: (files: File[]) => void): void {
  const veil = h("div", { class: "drop-veil", "aria-hidden": "true" }, icon("upload"), texts.composer.drop);
  let depth = 0;
  const has_files = (event: DragEvent) => event.dataTransfer?.types.includes("Files") === true;
  target.addEventListener("dragenter", (event) => {
    if (!has_files(event)) return;
    depth += 1;
    document.body.append(veil);
  });
  target.addEventListener("dragleave", (event) => {
    if (!has_files(event)) return;
    depth -= 1;
    if (depth <= 0) veil.remove();
  });
  target.addEventListener("dragover", (event) => {
    if (has_files(event)) event.preventDefault();
  });
  target.addEventListener("drop", (event) => {
    if (!has_files(event)) return;
    event.preventDefault();
    depth = 0;
    veil.remove();
    take([...(event.dataTransfer?.files ?? [])]);
  });
}
