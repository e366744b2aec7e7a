/** Catches what cells print, and passes it on in few large pieces: a message per line would cost more than the line. */

export type StreamName = 'stdout' | 'stderr';

export interface StreamCatcher {
  /** A new cell: what it prints first is passed on at once, and it may print as much as any other. */
  begin(): void;
  /** Passes on what is held back; call it before anything that has to come after it. */
  flush(): void;
}

/**
 * What comes after a pause is passed on at once, since nobody knows whether more will; then a piece is passed on when
 * it is this long, or this much time has gone, or the event loop gets its turn.
 */
const pieceChars = 65_536;
const pieceMs = 100;

/** What a cell prints beyond this is dropped, with a note: unsent messages wait in memory. */
const mostChars = 256_000_000;

/** Mutates `host`: its streams write to `publish` from now on. */
export function catchStreams(
  host: Pick<NodeJS.Process, 'stdout' | 'stderr'>,
  publish: (name: StreamName, text: string) => void,
): StreamCatcher {
  let heldName: StreamName = 'stdout';
  let held = '';
  let flushedMs = Number.NEGATIVE_INFINITY;
  let isFlushDue = false;
  let numChars = 0;

  const flush = () => {
    if (held === '') return;
    const text = held;
    held = '';
    flushedMs = performance.now();
    publish(heldName, text);
  };
  const hold = (name: StreamName, text: string) => {
    if (numChars > mostChars) return;
    if (name !== heldName) flush();
    heldName = name;
    numChars += text.length;
    held +=
      numChars > mostChars ? `\n[dropped: all that this cell prints beyond ${mostChars} characters]\n` : text;
    if (held.length >= pieceChars || performance.now() - flushedMs >= pieceMs) flush();
    else if (!isFlushDue) {
      isFlushDue = true;
      setImmediate(() => {
        isFlushDue = false;
        flush();
      });
    }
  };
  host.stdout.write = createWrite((text) => hold('stdout', text));
  host.stderr.write = createWrite((text) => hold('stderr', text));
  const begin = () => {
    flush();
    // An interrupt may have arrived after this turn was asked for.
    isFlushDue = false;
    flushedMs = Number.NEGATIVE_INFINITY;
    numChars = 0;
  };
  return { begin, flush };
}

function createWrite(hold: (text: string) => void): typeof process.stdout.write {
  const decoder = new TextDecoder();
  return ((chunk: string | Uint8Array, ...rest: unknown[]) => {
    hold(typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true }));
    const done = rest.find((argument) => typeof argument === 'function');
    if (done !== undefined) queueMicrotask(done as () => void);
    return true;
  }) as typeof process.stdout.write;
}
