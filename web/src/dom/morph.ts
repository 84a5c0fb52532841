/**
 * Makes `target` have the children of `source` while it keeps every node that can stay: text that is
 * selected, boxes that are scrolled and buttons with the focus survive an answer that grows. Takes
 * nodes out of `source`.
 *
 * Subtrees with data-keep are whole worlds: they stay as they are while their data-keep is equal.
 */
export function morph(target: ParentNode & Node, source: ParentNode & Node): void {
  let old: ChildNode | null = target.firstChild;
  let fresh: ChildNode | null = source.firstChild;
  while (fresh !== null) {
    const following: ChildNode | null = fresh.nextSibling;
    if (old === null) {
      target.appendChild(fresh);
    } else {
      const rest: ChildNode | null = old.nextSibling;
      update(old, fresh);
      old = rest;
    }
    fresh = following;
  }
  while (old !== null) {
    const rest: ChildNode | null = old.nextSibling;
    old.remove();
    old = rest;
  }
}

function update(old: ChildNode, fresh: ChildNode): void {
  if (old instanceof Text && fresh instanceof Text) {
    if (old.data !== fresh.data) grow(old, fresh.data);
    return;
  }
  if (old instanceof Element && fresh instanceof Element && old.tagName === fresh.tagName) {
    const keep = fresh.getAttribute("data-keep");
    if (keep !== old.getAttribute("data-keep")) return old.replaceWith(fresh);
    if (keep !== null) return;
    attributes(old, fresh);
    return morph(old, fresh);
  }
  old.replaceWith(fresh);
}

// Adding at the end leaves a selection in the text where it is.
function grow(text: Text, data: string): void {
  if (data.startsWith(text.data)) text.appendData(data.slice(text.data.length));
  else text.data = data;
}

function attributes(old: Element, fresh: Element): void {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}
