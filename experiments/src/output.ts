/** What a command says, and where: with `--json` standard output carries one document and nothing else. */

import type { RunProgress } from '@specoffload/engine';
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
  /** The answer as one document; written only with `--json`. */
  document(value: unknown): void;
  /** Follows one run: a line that updates itself on a terminal, one line every ten seconds elsewhere. */
  followRun(title: string): RunFollower;
}

export interface RunFollower {
  update(progress: RunProgress): void;
  /** Takes the updating line away. Call it however the run ends. */
  end(): void;
}

export function createOutput(stdout: TextStream, stderr: TextStream, isJson: boolean): Output {
  return {
    say: (line) => (isJson ? stderr : stdout).write(`${line}\n`),
    note: (line) => stderr.write(`${line}\n`),
    document: (value) => {
      if (isJson) stdout.write(`${JSON.stringify(value)}\n`);
    },
    followRun: (title) =>
      stderr.isTTY === true ? createUpdatingLine(title, stderr) : createPlainLines(title, stderr),
  };
}

/** Redrawing more often than this is flicker. */
const leastRedrawSeconds = 0.1;
const plainLineSeconds = 10;

function createUpdatingLine(title: string, stream: TextStream): RunFollower {
  let drawnSeconds = Number.NEGATIVE_INFINITY;
  return {
    update(progress) {
      if (progress.elapsedSeconds - drawnSeconds < leastRedrawSeconds) return;
      drawnSeconds = progress.elapsedSeconds;
      const line = describeProgress(title, progress).slice(0, (stream.columns ?? 80) - 1);
      stream.write(`\r\x1b[K${line}`);
    },
    end() {
      if (drawnSeconds >= 0) stream.write('\r\x1b[K');
    },
  };
}

function createPlainLines(title: string, stream: TextStream): RunFollower {
  let nextSeconds = plainLineSeconds;
  return {
    update(progress) {
      if (progress.elapsedSeconds < nextSeconds) return;
      nextSeconds = progress.elapsedSeconds + plainLineSeconds;
      stream.write(`${describeProgress(title, progress)}\n`);
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
