/** Two decode passes of a run as a picture in text; the whole timeline is in the trace file. */

import { drawStrip, type RunResult, windowOfPasses } from '@specoffload/engine';
import { formatSeconds } from '../terminal/format.js';

const columns = 96;

/** null when the run had no two decode passes. */
export function sketchTimeline(
  { strategy, passes, spans }: RunResult,
  name: string = strategy,
): string | null {
  const middle = Math.floor(passes / 2);
  const window = windowOfPasses(
    spans.filter(({ phase }) => phase === 'decode'),
    middle,
    middle + 1,
  );
  if (middle < 1 || middle + 1 >= passes || window === null) return null;
  const duration = formatSeconds(window.endSeconds - window.startSeconds);
  const rows = drawStrip(spans, window, columns).map(({ name, text }) => `  ${name.padEnd(6)} │${text}│`);
  return [`${name}, passes ${middle} and ${middle + 1}, ${duration}`, ...rows].join('\n');
}
