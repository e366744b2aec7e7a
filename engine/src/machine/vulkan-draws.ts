/**
 * Tokens drawn of rows of logits on a Vulkan queue: the device finds the few of a row that noise, masks and penalties can
 * make a difference between, and the host decides between those in doubles, as it would between all.
 */

import {
  draw,
  drawBytes,
  type FoundTokens,
  f32,
  foundIn,
  type KeptTokens,
  type KernelLimits,
  keepBytes,
  keepTokens,
  keptIn,
  swapLogits,
  widestKept,
} from '@specoffload/native';
import { largest } from '../extremes.js';
import { countTokens, type Drawn, drawOfSome, drawTokens, notFinite } from '../speculate/draw-token.js';
import { type Narrowing, narrow } from '../speculate/narrowing.js';
import type { RowDraws } from '../speculate/row-draws.js';
import type { ArgmaxCommand, RowMaxima } from './device.js';
import { type Answers, exchangedPieceBytes, type OperationList, type VulkanAddress } from './vulkan-list.js';

export function addDraws(
  list: OperationList,
  command: ArgmaxCommand,
  draws: RowDraws,
  limits: KernelLimits,
): void {
  const { source, rows, width, fromAll = false } = command;
  const drawing = fromAll ? null : drawingOf(draws, rows, width);
  if (drawing) {
    const drawn: (Drawn | null)[] = [];
    for (let first = 0; first < rows; first += drawing.rowsAtOnce) {
      const end = Math.min(rows, first + drawing.rowsAtOnce);
      addRows(list, source, [first, end], drawing, limits, (found, { maxima }) => {
        if (drawn.push(found) === rows) maxima.push(togetherOf(drawn, draws));
      });
    }
    return;
  }
  list.read(source, rows * width, (values, { maxima }) => {
    maxima.push(drawTokens(draws, rows, (row) => values.subarray(row * width, (row + 1) * width)));
  });
}

/** @param drawn by row; null where the tokens that were found do not tell */
function togetherOf(drawn: readonly (Drawn | null)[], { sampling }: RowDraws): RowMaxima {
  const found = drawn.map((row) => row ?? notFinite);
  return {
    ids: Int32Array.from(found, ({ drawn: { id } }) => id),
    margins: Float32Array.from(found, ({ drawn: { margin } }) => margin),
    ...(sampling.rule === 'rejection' && { shares: found.map(({ shares }) => shares) }),
    isPartial: drawn.includes(null),
  };
}

/** Which tokens a command's rows are narrowed down to. */
interface Drawing {
  readonly draws: RowDraws;
  readonly width: number;
  readonly narrowing: Narrowing | 'leaders';
  /** By row: tokens whose logits penalties change, ascending. */
  readonly changed: readonly Int32Array[];
  readonly rowsAtOnce: number;
}

/** Null where whole rows are to be looked at. */
function drawingOf(draws: RowDraws, rows: number, width: number): Drawing | null {
  const narrowing = narrow(draws.sampling);
  if (narrowing === 'all' || (narrowing !== 'leaders' && width > widestKept)) return null;
  const looksBack = draws.texts.length > 0;
  const changed = Array.from({ length: rows }, (_, row) =>
    Int32Array.from(looksBack ? countTokens(draws, row).keys() : []).sort(),
  );
  const exchanged = changed.map((tokens) => exchangedBytes(narrowing, width, tokens.length));
  const rowsAtOnce = Math.floor(exchangedPieceBytes / largest(exchanged));
  return rowsAtOnce > 0 ? { draws, width, narrowing, changed, rowsAtOnce } : null;
}

/** Of a row: its noise, what is found, and what is looked at apart. */
function exchangedBytes(narrowing: Drawing['narrowing'], width: number, numChanged: number): number {
  return 8 + (narrowing === 'leaders' ? drawBytes(1, width) : keepBytes(1)) + 8 * numChanged;
}

/**
 * Rows from `first` to before `end`. Logits that penalties change are taken out of them, so that all others keep their
 * order, and put back behind.
 */
function addRows(
  list: OperationList,
  logits: VulkanAddress,
  [first, end]: readonly [number, number],
  { draws, width, narrowing, changed }: Drawing,
  limits: KernelLimits,
  take: (found: Drawn | null, answers: Answers) => void,
): void {
  const rows = end - first;
  const source = logits + f32.bytes(first * width);
  const own = changed.slice(first, end);
  const places = Uint32Array.from(own.flatMap((ids, row) => Array.from(ids, (id) => row * width + id)));
  list.begin(own.reduce((sum, ids) => sum + exchangedBytes(narrowing, width, ids.length), 0));
  let saved = new Float32Array();
  const swap = places.length > 0 && {
    ...{ source, count: places.length, places: list.data(places) },
    saved: list.answer(places.byteLength, (bytes, from) => {
      saved = new Float32Array(bytes, from, places.length);
    }),
  };
  if (swap) list.inTurn([swapLogits({ ...swap, putsBack: false }, limits)]);
  if (swap) list.barrier();
  const byteLength = narrowing === 'leaders' ? drawBytes(rows, width) : keepBytes(rows);
  const target = list.answer(byteLength, (bytes, from, answers) => {
    let before = 0;
    for (const [row, ids] of own.entries()) {
      const kept = narrowing === 'leaders' ? foundIn(bytes, from, row, width) : keptIn(bytes, from, row);
      const apart = { ids, logits: saved.subarray(before, before + ids.length) };
      take(decide(kept, apart, draws, first + row), answers);
      before += ids.length;
    }
  });
  const temperature = draws.sampling.temperature || 1;
  const operation = { source, target, rows, width, temperature };
  if (narrowing === 'leaders')
    list.dispatch(draw({ ...operation, keys: list.data(draws.keys.slice(2 * first, 2 * end)) }, limits));
  else list.dispatch(keepTokens({ ...operation, ...narrowing }, limits));
  if (!swap) return;
  list.barrier();
  list.dispatch(swapLogits({ ...swap, putsBack: true }, limits));
}

/** What a logit is while it is taken out of its row: the least number of fp32. */
const takenOut = -(2 ** 128 - 2 ** 104);

/** Null where that depends on tokens that were not found. */
function decide(
  { areFinite, areAll, tokens, others = null }: FoundTokens & Partial<KeptTokens>,
  apart: { readonly ids: Int32Array; readonly logits: Float32Array },
  draws: RowDraws,
  row: number,
): Drawn | null {
  if (!areFinite) return notFinite;
  if (!areAll) return null;
  const rest = tokens.filter(([, logit]) => logit > takenOut);
  const top = largest(rest.map(([, logit]) => logit));
  const all = rest.concat(Array.from(apart.ids, (id, place) => [id, apart.logits[place]] as const));
  all.sort(([one], [other]) => one - other);
  const some = {
    ids: Int32Array.from(all, ([id]) => id),
    logits: Float32Array.from(all, ([, logit]) => logit),
    others: others && rest.length > 0 ? { ...others, top } : null,
  };
  return drawOfSome(some, draws, row);
}
