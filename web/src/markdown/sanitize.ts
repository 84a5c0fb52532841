// Tags of running text, with the attributes that each may have.
const allowed: Record<string, readonly string[]> = {
  a: ["href", "title"],
  abbr: ["title"],
  b: [],
  blockquote: [],
  br: [],
  caption: [],
  code: [],
  dd: [],
  del: [],
  details: ["open"],
  dfn: [],
  div: ["data-table"],
  dl: [],
  dt: [],
  em: [],
  figcaption: [],
  figure: [],
  h1: [],
  h2: [],
  h3: [],
  h4: [],
  h5: [],
  h6: [],
  hr: [],
  i: [],
  img: ["src", "alt"],
  ins: [],
  kbd: [],
  li: [],
  mark: [],
  ol: ["start"],
  p: [],
  pre: ["data-code"],
  q: [],
  rp: [],
  rt: [],
  ruby: [],
  s: [],
  samp: [],
  small: [],
  span: ["data-math", "data-checked"],
  strong: [],
  sub: [],
  summary: [],
  sup: [],
  table: [],
  tbody: [],
  td: ["align"],
  tfoot: [],
  th: ["align"],
  thead: [],
  tr: [],
  u: [],
  ul: [],
  var: [],
};

// What stands in these is no text.
const dropped = new Set([
  "script", "style", "template", "noscript", "iframe", "object", "embed", "svg", "math", "title", "head", "link",
  "meta", "base", "video", "audio", "canvas", "select", "frameset", "applet",
]);

const deepest = 200;
const html = "http://www.w3.org/1999/xhtml";

/**
 * HTML that somebody wrote, as nodes that can do nothing. The text is parsed where nothing runs or
 * loads, and a new tree is built of known tags and attributes only; nothing of the parsed tree is used
 * itself, and nothing is written out and parsed again. Unknown tags leave their text.
 */
export function sanitize(text: string): DocumentFragment {
  const parsed = new DOMParser().parseFromString(text, "text/html");
  const clean = document.createDocumentFragment();
  copyChildren(parsed.body, clean, 0);
  return clean;
}

function copyChildren(from: Node, into: Node, depth: number): void {
  for (let child = from.firstChild; child !== null; child = child.nextSibling) {
    if (child instanceof Text) into.appendChild(document.createTextNode(child.data));
    else if (child instanceof Element) copyElement(child, into, depth + 1);
  }
}

function copyElement(element: Element, into: Node, depth: number): void {
  const tag = element.localName;
  if (element.namespaceURI !== html || dropped.has(tag)) return;
  const attributes = Object.prototype.hasOwnProperty.call(allowed, tag) ? allowed[tag] : undefined;
  if (attributes === undefined || depth > deepest) {
    if (depth <= deepest) copyChildren(element, into, depth);
    else into.appendChild(document.createTextNode(element.textContent ?? ""));
    return;
  }
  const copy = document.createElement(tag);
  for (const name of attributes) copyAttribute(element, copy, name);
  if (copy instanceof HTMLAnchorElement) {
    copy.target = "_blank";
    copy.rel = "noopener noreferrer nofollow";
  }
  into.appendChild(copy);
  copyChildren(element, copy, depth);
}

function copyAttribute(from: Element, into: Element, name: string): void {
  const value = from.getAttribute(name);
  if (value === null) return;
  if (name === "href" && !isLink(value)) return;
  if (name === "src" && !isInlinePicture(value)) return;
  into.setAttribute(name, value);
}

/** May a link lead there? */
export function isLink(href: string): boolean {
  return /^(?:https?:\/\/|mailto:|#)/i.test(href.trim());
}

/** A picture that is in the text itself: no other is loaded. */
export function isInlinePicture(source: string): boolean {
  return /^data:image\/(?:png|jpeg|gif|webp);base64,[a-z0-9+/=\s]*$/i.test(source);
}
