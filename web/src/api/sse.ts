/** The data of server-sent events out of bytes that may be cut anywhere. */
export class EventReader {
  private readonly decoder = new TextDecoder();
  private line = "";
  private data: string[] = [];
  private afterReturn = false;

  /** Returns the data of the events that are now complete. */
  push(bytes: Uint8Array): string[] {
    const events: string[] = [];
    for (const char of this.decoder.decode(bytes, { stream: true })) {
      if (char === "\n" && this.afterReturn) {
        this.afterReturn = false;
        continue;
      }
      this.afterReturn = char === "\r";
      if (char === "\n" || char === "\r") this.endLine(events);
      else this.line += char;
    }
    return events;
  }

  private endLine(events: string[]): void {
    const line = this.line;
    this.line = "";
    if (line === "") {
      if (this.data.length > 0) events.push(this.data.join("\n"));
      this.data = [];
    } else if (line.startsWith("data:")) {
      this.data.push(line.slice(line.startsWith("data: ") ? 6 : 5));
    }
  }
}
