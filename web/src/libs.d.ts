// What the page uses of its libraries, whose Debian packages come without types or with others.
declare module "marked" {
  export interface Token {
    type: string;
    raw: string;
    text?: string;
    lang?: string;
    tokens?: Token[];
  }
  export type Tokens = Token[] & { links: Record<string, unknown> };
  interface TokenizerExtension {
    name: string;
    level: "block" | "inline";
    start(text: string): number | undefined;
    tokenizer(text: string): (Token & Record<string, unknown>) | undefined;
    renderer(token: Token & Record<string, unknown>): string;
  }
  export const marked: {
    use(extension: {
      renderer?: Record<string, (...parts: never[]) => string | false>;
      extensions?: TokenizerExtension[];
      gfm?: boolean;
      breaks?: boolean;
      mangle?: boolean;
      headerIds?: boolean;
    }): void;
    lexer(text: string): Tokens;
    parser(tokens: Token[]): string;
  };
}

declare module "highlight.js/lib/highlight" {
  const hljs: {
    registerLanguage(name: string, language: unknown): void;
    getLanguage(name: string): object | undefined;
    highlight(language: string, code: string, ignoreIllegals: boolean): { value: string };
  };
  export default hljs;
}

declare module "highlight.js/lib/languages/*" {
  const language: unknown;
  export default language;
}

declare module "katex" {
  const katex: {
    render(tex: string, element: HTMLElement, options: Record<string, unknown>): void;
  };
  export default katex;
}

declare module "pdfjs" {
  interface TextItem {
    str: string;
    hasEOL: boolean;
  }
  interface Page {
    getTextContent(): Promise<{ items: TextItem[] }>;
  }
  interface PdfDocument {
    numPages: number;
    getPage(number: number): Promise<Page>;
    destroy(): Promise<void>;
  }
  const pdf: {
    GlobalWorkerOptions: { workerSrc: string };
    getDocument(source: Record<string, unknown>): { promise: Promise<PdfDocument> };
  };
  export default pdf;
}
