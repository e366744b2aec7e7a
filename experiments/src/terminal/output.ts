/**
 * What a command says, and where: with `--json` standard output carries one document and nothing else. The last gate
 * before a terminal: whatever a stranger wrote into a name, a file or a record, nothing passes that a terminal obeys.
 */

import type { RunProgress } from '@specoffload/engine';
import { printable, printableJson, printableLines } from '@specoffload/input';
import { formatCount, formatSeconds } from './format.js';

/** The part of a stream that is needed here; a test passes its own. */
export interface TextStream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

export interface Output {
  /** A line of the answer: standard output, or standard error when a document goes there. */
  say(line: string): void;
  /** A line about the work under way: standard error. */
  note(line: string): void;
  /** A part of a text that comes piece by piece, to where answers go. */
  stream(text: string): void;
  /** The answer as one document; written only with `--json`. */
  document(value: unknown): void;
  /** Shows work under way: a line that updates itself on a terminal, one line every ten seconds elsewhere. */
  follow(): Follower;
}

export interface Follower {
  /** `describe` is called only when its line is going to be shown. */
  update(describe: () => string): void;
  /** Takes the updating line away. Call it however the work ends. */
  end(): void;
}

/** @param nowSeconds a clock, which a test replaces. */
export function createOutput(
  stdout: TextStream,
  stderr: TextStream,
  isJson: boolean,
  nowSeconds: () => number = () => performance.now() / 1000,
): Output {
  return {
    say: (line) => (isJson ? stderr : stdout).write(`${printableLines(line)}\n`),
    stream: (text) => (isJson ? stderr : stdout).write(printableLines(text)),
    note: (line) => stderr.write(`${printableLines(line)}\n`),
    document: (value) => {
      if (isJson) stdout.write(`${printableJson(JSON.stringify(value))}\n`);
    },
    follow: () =>
      stderr.isTTY === true ? createUpdatingLine(stderr, nowSeconds) : createPlainLines(stderr, nowSeconds),
  };
}

/** Redrawing more often than this is flicker. */
const redrawSeconds = 0.1;
const plainLineSeconds = 10;

function createUpdatingLine(stream: TextStream, nowSeconds: () => number): Follower {
  let drawnSeconds = Number.NEGATIVE_INFINITY;
  return {
    update(describe) {
      if (nowSeconds() - drawnSeconds < redrawSeconds) return;
      drawnSeconds = nowSeconds();
      stream.write(`\r\x1b[K${printable(describe()).slice(0, (stream.columns ?? 80) - 1)}`);
    },
    end() {
      if (drawnSeconds > Number.NEGATIVE_INFINITY) stream.write('\r\x1b[K');
    },
  };
}

function createPlainLines(stream: TextStream, nowSeconds: () => number): Follower {
  let writtenSeconds = nowSeconds();
  return {
    update(describe) {
      if (nowSeconds() - writtenSeconds < plainLineSeconds) return;
      writtenSeconds = nowSeconds();
      stream.write(`${printable(describe())}\n`);
    },
    end() {},
  };
}

export function describeProgress(title: string, progress: RunProgress): string {
  const { phase, passes, newTokens, maxNewTokens, finishedSequences, numSequences, elapsedSeconds } =
    progress;
  return (
    `${title}: ${phase}, pass ${formatCount(passes)}, ${formatCount(newTokens)} of ${formatCount(maxNewTokens)} ` +
    `tokens, ${finishedSequences} of ${numSequences} sequences done, ${formatSeconds(elapsedSeconds)}`
  );
}
