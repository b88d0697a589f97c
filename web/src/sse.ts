/** Server-sent events over fetch. */

// A single event larger than this is an attack or a fault, not an answer.
const EVENT_CHARACTERS_MAX = 16 * 1024 * 1024;

/** The `data` of each event of a stream, comments and other fields left out. */
export async function* readEvents(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let pending = '';
  let data: string[] = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return; // What is pending is half an event.
      const text = decoder.decode(value, { stream: true });
      pending += text;
      if (pending.length > EVENT_CHARACTERS_MAX) throw new Error('The server sent an event that is too large.');
      if (!text.includes('\n') && !text.includes('\r')) continue;
      // A carriage return at the end may be half of a line end.
      const lines = pending.split(/\r\n|\n|\r(?!$)/);
      pending = lines.pop()!;
      for (const line of lines) {
        if (line.startsWith('data:')) {
          data.push(line.slice(line[5] === ' ' ? 6 : 5));
        } else if (line === '' && data.length > 0) {
          yield data.join('\n');
          data = [];
        }
      }
    }
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}
