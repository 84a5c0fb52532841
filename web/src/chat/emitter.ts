/** Tells those who asked that something happened. */
export class Emitter<T> {
  private readonly listeners = new Set<(event: T) => void>();

  /** Returns how to stop listening. */
  on(listener: (event: T) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  emit(event: T): void {
    for (const listener of [...this.listeners]) listener(event);
  }
}
