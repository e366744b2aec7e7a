/** What crosses a queue: points on their way out, answers on their way back. Whoever may write to it could have written them. */

import { check, is, parseJson } from '@specoffload/input';
import { metricName } from '../definitions/metrics.js';
import { settingsOf } from '../definitions/settings.js';
import { pointRecord, type RunLocation, type Turn } from '../store/index.js';
import { digest } from '../store/words.js';

const experimentName = is.matching(/^[a-z0-9][a-z0-9-]{0,63}$/, 'small letters, digits and hyphens');

/** A run that is asked for. */
export interface PointMessage {
  readonly kind: 'measured' | 'simulated';
  /** Of the sweep that asks: what is opened for one is opened anew for the next. */
  readonly session: string;
  /** Mark of the store that it belongs to: who sees the same store writes there. */
  readonly store: string;
  readonly location: RunLocation;
  readonly turn: Turn;
  readonly metric: string;
  readonly keepsTraces: boolean;
  readonly warmups: number;
}

const pointMessage = is.fields({
  kind: is.oneOf(['measured', 'simulated']),
  ...{ session: digest, store: digest },
  location: is.fields({ key: digest, point: pointRecord }),
  turn: is.fields({ seed: is.wholeFrom(0), repeat: is.wholeFrom(0) }),
  ...{ metric: metricName, keepsTraces: is.flag, warmups: is.wholeFrom(0, 1000) },
});

/** A definition's point has some hundred settings at most. */
const mostPointCharacters = 1 << 18;

export function writePoint(message: PointMessage): string {
  return JSON.stringify(message);
}

/** @throws UserError for what no sweep asks for */
export function readPoint(text: unknown): PointMessage {
  const source = 'a point of the queue';
  const message = check(pointMessage, parseText(text, source, mostPointCharacters), source);
  check(experimentName, message.location.point.experiment, source, { whole: 'experiment' });
  check(settingsOf(message.kind), message.location.point.settings, source, { whole: 'settings' });
  return message;
}

const sentFiles = is.fields({
  /** As `run.json` has it. */
  record: is.text,
  /** As `trace.json.gz` has it, in base64. */
  trace: is.orNull(is.anyText),
  tokens: is.orNull(is.anyText),
});

const answers = is.variant('end', {
  /** In the store that both see. */
  stored: is.fields({ end: is.oneOf(['stored']), isDisturbed: is.flag, value: is.orNull(is.number) }),
  /** There since before. */
  known: is.fields({ end: is.oneOf(['known']) }),
  sent: is.fields({ end: is.oneOf(['sent']), isDisturbed: is.flag, files: sentFiles }),
  refused: is.fields({ end: is.oneOf(['refused']), reason: is.text }),
});

/** What came of a run. */
export type Answer =
  | { readonly end: 'stored'; readonly isDisturbed: boolean; readonly value: number | null }
  | { readonly end: 'known' }
  | { readonly end: 'sent'; readonly isDisturbed: boolean; readonly files: SentFiles }
  | { readonly end: 'refused'; readonly reason: string };

export interface SentFiles {
  readonly record: string;
  readonly trace: string | null;
  readonly tokens: string | null;
}

/** The timeline of a long measured run has some ten million. */
export const mostAnswerCharacters = 1 << 26;

export function writeAnswer(answer: Answer): string {
  return JSON.stringify(answer);
}

/** @throws UserError for what no worker answers */
export function readAnswer(text: unknown): Answer {
  const source = 'an answer of the queue';
  return check(answers, parseText(text, source, mostAnswerCharacters), source) as Answer;
}

function parseText(text: unknown, source: string, maxLength: number): unknown {
  const remedy = 'whoever else writes to this queue should use another';
  return parseJson(check(is.text, text, source), source, { maxLength, maxDepth: 12 }, remedy);
}
