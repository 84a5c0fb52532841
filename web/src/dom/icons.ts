// Drawn on a grid of 24, as lines: the colour and the size are those of the text around.
const paths = {
  plus: "M12 5v14M5 12h14",
  search: "M11 4a7 7 0 1 1 0 14 7 7 0 0 1 0-14M16.2 16.2 20.5 20.5",
  send: "M12 19V5.5M6 11.5l6-6 6 6",
  stop: "M7.5 7.5h9v9h-9z",
  copy: "M9 9h10.5v10.5H9zM5.5 15H4.5V4.5H15v1",
  check: "M5 12.5l4.5 4.5L19 7.5",
  edit: "M4.5 19.5l1-4L16 5l3 3L8.5 18.5zM13.5 7.5l3 3",
  retry: "M19.5 12a7.5 7.5 0 1 1-2.2-5.3L19.5 9M19.5 4.5V9H15",
  left: "M14.5 6l-6 6 6 6",
  right: "M9.5 6l6 6-6 6",
  down: "M6 9.5l6 6 6-6",
  dots: "M5.5 12h.01M12 12h.01M18.5 12h.01",
  trash: "M5 7h14M10 7V4.5h4V7M7 7l.8 12.5h8.4L17 7M10.3 10.5v5.5M13.7 10.5v5.5",
  settings:
    "M4 7.5h9M17 7.5h3M4 16.5h3M11 16.5h9M13 7.5a2 2 0 1 0 4 0 2 2 0 1 0-4 0M7 16.5a2 2 0 1 0 4 0 2 2 0 1 0-4 0",
  panel: "M4.5 5h15v14h-15zM10 5v14",
  canvas: "M4.5 5h15v14h-15zM13.5 5v14M7 9h3.5M7 12h3.5",
  close: "M6.5 6.5l11 11M17.5 6.5l-11 11",
  clip: "M19 11.5l-7.2 7.2a4.4 4.4 0 0 1-6.2-6.2l7.7-7.7a3 3 0 0 1 4.2 4.2l-7.5 7.5a1.5 1.5 0 0 1-2.1-2.1l6.6-6.6",
  image: "M4.5 5h15v14h-15zM4.5 16l4.5-4.5 4 4 2.5-2.5 4 4M15.2 9.2h.01",
  file: "M6.5 4h7l4 4v12h-11zM13.5 4v4h4",
  download: "M12 4.5v10M7.5 10.5l4.5 4.5 4.5-4.5M5 19.5h14",
  upload: "M12 15V5M7.5 9l4.5-4.5L16.5 9M5 19.5h14",
  play: "M8 5.5v13l10.5-6.5z",
  sun: "M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4",
  moon: "M19.5 14.2A8 8 0 0 1 9.8 4.5a8 8 0 1 0 9.7 9.7z",
  auto: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16M12 4v16",
  tool: "M14.5 6.5a4 4 0 0 1 5-1l-2.8 2.8 1 1.5 1.5 1 2.3-2.3a4 4 0 0 1-5.5 5l-7 7a1.8 1.8 0 0 1-2.5-2.5l7-7a4 4 0 0 1 1-4.5z",
  globe: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16M4 12h16M12 4c5 4.5 5 11.5 0 16M12 4c-5 4.5-5 11.5 0 16",
  chart: "M5 19.5V12M10 19.5V5M15 19.5V9M20 19.5V14.5",
  grid: "M4.5 4.5h6v6h-6zM13.5 4.5h6v6h-6zM4.5 13.5h6v6h-6zM13.5 13.5h6v6h-6z",
  key: "M14.5 4.5a5 5 0 1 1-4.6 7L4.5 17v2.5H8V17h2v-2l1.5-1.5M15.5 8.5h.01",
  warning: "M12 4.5 3.5 19.5h17zM12 10v4.5M12 17h.01",
  keyboard: "M3.5 6.5h17v11h-17zM7 10h.01M10.3 10h.01M13.7 10h.01M17 10h.01M8 14h8",
  branch: "M7 5v14M7 14c0-4 10-2 10-7M17 7V5M5 5h4M5 19h4M15 5h4",
  expand: "M13.5 4.5h6v6M10.5 19.5h-6v-6M19 5l-6.5 6.5M5 19l6.5-6.5",
} as const;

export type IconName = keyof typeof paths;

/** Decoration: the button around it has the words. */
export function icon(name: IconName): SVGSVGElement {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", paths[name]);
  svg.append(path);
  return svg;
}
