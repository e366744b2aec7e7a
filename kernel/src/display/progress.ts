/** Work under way, as one notebook output that updates in place and ends with what was done. */

import { escapeHtml } from './escape.js';
import type { DisplaySink, MimeBundle } from './sink.js';

export interface ProgressState {
  readonly done: number;
  readonly total: number;
  /** What is being worked on. */
  readonly note?: string;
}

export interface Progress {
  /** Redraws a few times a second at most, however often it is called. */
  update(state: ProgressState): void;
  /** Replaces the bar. Call it however the work ends. @default '12 of 12 done in 3.1 s' */
  end(summary?: string): void;
}

const redrawSeconds = 0.25;

/** @param nowSeconds a clock, which a test replaces. */
export function startProgress(
  send: DisplaySink,
  title: string,
  displayId: string,
  nowSeconds: () => number,
): Progress {
  const startSeconds = nowSeconds();
  let drawnSeconds = Number.NEGATIVE_INFINITY;
  let last: ProgressState = { done: 0, total: 0 };
  let isShown = false;
  let hasEnded = false;
  const show = (bundle: MimeBundle) => {
    send(bundle, { displayId, isUpdate: isShown });
    isShown = true;
    drawnSeconds = nowSeconds();
  };
  show(progressBundle(title, last, 0));
  return {
    update(state) {
      last = state;
      if (hasEnded || nowSeconds() - drawnSeconds < redrawSeconds) return;
      show(progressBundle(title, state, nowSeconds() - startSeconds));
    },
    end(summary) {
      if (hasEnded) return;
      hasEnded = true;
      const took = formatDuration(nowSeconds() - startSeconds);
      const text = `${title}: ${summary ?? `${last.done} of ${last.total} done in ${took}`}`;
      show({ 'text/plain': text, 'text/html': `<p>${escapeHtml(text)}</p>` });
    },
  };
}

function progressBundle(title: string, { done, total, note }: ProgressState, seconds: number): MimeBundle {
  const share = total > 0 ? Math.min(1, done / total) : 0;
  const left =
    done > 0 && done < total ? `, about ${formatDuration((seconds / done) * (total - done))} left` : '';
  const count = total > 0 ? `${done} of ${total}` : 'starting';
  const text = `${title}: ${count}${left}${note ? `, ${note}` : ''}`;
  const bar =
    '<div style="height:6px;border-radius:3px;background:#e6e8eb;max-width:32em;margin:4px 0 6px">' +
    `<div style="height:6px;border-radius:3px;background:#0072b2;width:${(100 * share).toFixed(1)}%"></div></div>`;
  return { 'text/plain': text, 'text/html': `<div>${escapeHtml(text)}${bar}</div>` };
}

function formatDuration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
