/** A picture, as it is sent: a data: URL. */
export interface ImagePart {
  kind: "image";
  name: string;
  url: string;
  /** What the model is told beside it, such as the moment of a video. */
  note?: string;
}

/** A file whose text is sent before the message. */
export interface TextPart {
  kind: "text";
  name: string;
  text: string;
  /** The document that was open in the canvas, which the answer is to change. */
  canvas?: { id: string; language: string };
}

export type Attachment = ImagePart | TextPart;

/** How likely a token was, and what else could have stood there. */
export interface TokenDetail {
  token: string;
  logprob: number;
  top: { token: string; logprob: number }[];
}

export interface ToolCall {
  id: string;
  name: string;
  arguments: string;
  state: "asking" | "running" | "done" | "refused" | "failed";
  result?: string;
}

export interface Stats {
  promptTokens: number;
  cachedTokens: number;
  answerTokens: number;
  /** Until the first text came, and from there to the end. */
  waitMs: number;
  streamMs: number;
}

export type FailureKind =
  | "offline"
  | "interrupted"
  | "key"
  | "busy"
  | "too_long"
  | "no_images"
  | "refused"
  | "server";

export interface Failure {
  kind: FailureKind;
  /** What the server said. */
  message: string;
  retryAfterSeconds?: number;
  promptTokens?: number;
  contextTokens?: number;
}

export interface Message {
  id: string;
  conversation: string;
  parent: string | null;
  role: "user" | "assistant";
  created: number;
  text: string;
  attachments: Attachment[];
  calls?: ToolCall[];
  model?: string;
  /** Absent while the answer grows. */
  finish?: "stop" | "length" | "tool_calls" | "withheld" | "stopped" | "failed";
  failure?: Failure;
  stats?: Stats;
  tokens?: TokenDetail[];
  /** The expert that each layer of experts chose for each token: experts[token][layer]. */
  experts?: number[][];
}

export interface Conversation {
  id: string;
  title: string;
  /** The title was given by hand and stays. */
  named: boolean;
  created: number;
  updated: number;
  /** Absent: that of the settings. */
  system?: string;
  /** Which child of a message is shown; "" stands for the root. */
  chosen: Record<string, string>;
  /** Messages before this one on the path are not sent: they no longer fit. */
  from?: string;
}

export interface DocumentVersion {
  text: string;
  created: number;
  by: "model" | "you";
}

/** What is open in the canvas. */
export interface CanvasDocument {
  id: string;
  conversation: string;
  title: string;
  language: string;
  created: number;
  versions: DocumentVersion[];
}
