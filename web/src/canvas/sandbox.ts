/** What a program in the frame prints, or what became of it. */
export interface FrameMessage {
  type: "corral-ready" | "corral-log" | "corral-result";
  level?: "log" | "info" | "warn" | "error";
  text?: string;
  ok?: boolean;
}

/**
 * Runs HTML in a frame of an origin of its own: /frame comes with a policy that lets it load and ask
 * nothing. (A frame with srcdoc would be under the page's policy, which runs no inline scripts.)
 */
export class Sandbox {
  readonly element: HTMLIFrameElement;
  private readonly listener: (event: MessageEvent) => void;

  constructor(html: string, title: string, hear: (message: FrameMessage) => void) {
    this.element = document.createElement("iframe");
    this.element.setAttribute("sandbox", "allow-scripts");
    this.element.title = title;
    this.element.src = "/frame";
    this.listener = (event) => {
      const frame = this.element.contentWindow;
      const message = event.data as FrameMessage | null;
      if (frame === null || event.source !== frame || typeof message?.type !== "string") return;
      if (message.type === "corral-ready") frame.postMessage({ type: "corral-run", html }, "*");
      else hear(message);
    };
    window.addEventListener("message", this.listener);
  }

  end(): void {
    window.removeEventListener("message", this.listener);
    this.element.remove();
  }
}

/** A document that the frame can run, from code in one of the languages that it runs. */
export function runnableHtml(code: string, language: string): string {
  const name = language.toLowerCase();
  if (name === "javascript" || name === "js") {
    return `<!doctype html><meta charset="utf-8"><body><script>${forScript(code)}</script>`;
  }
  if (name === "svg") {
    return `<!doctype html><meta charset="utf-8"><style>body{margin:0;min-height:100vh;display:grid;place-items:center}svg{max-width:100vw;max-height:100vh}</style>${code}`;
  }
  return code;
}

/** Code that cannot end the script that it stands in. */
export function forScript(code: string): string {
  return code.replace(/<\/(script)/gi, "<\\/$1").replace(/<!--/g, "<\\!--");
}
