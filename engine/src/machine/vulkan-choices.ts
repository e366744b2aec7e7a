/** Questions about rows as operations of a Vulkan queue: of logits a token, of router scores experts. */

import {
  argmax,
  argmaxScratchBytes,
  chooseExperts,
  f32,
  type KernelLimits,
  listRows,
  startsFinite,
} from '@specoffload/native';
import type { ModelSpec } from '../model/spec.js';
import type { ArgmaxCommand, RouteCommand, StartsFiniteCommand } from './device.js';
import { addDraws } from './vulkan-draws.js';
import { exchangedPieceBytes, type OperationList } from './vulkan-list.js';

export function addRoute(
  list: OperationList,
  { layer, scores, rows, lists }: RouteCommand,
  spec: ModelSpec,
  limits: KernelLimits,
): void {
  const { numExperts, expertsPerToken: perRow, router } = spec.layers[layer].ffn;
  const experts = new Int32Array(rows * perRow);
  const margins = new Float32Array(rows);
  const [indices, scales, chosen] = [0, 1, 2].map((part) => lists + f32.bytes(part * rows * perRow));
  const answerBytes = f32.bytes(perRow + 1);
  const most = Math.floor(exchangedPieceBytes / answerBytes);
  for (let first = 0; first < rows; first += most) {
    const numRows = Math.min(most, rows - first);
    list.begin(numRows * answerBytes);
    const target = list.answer(numRows * answerBytes, (bytes, from, { choices }) => {
      for (let row = 0; row < numRows; row += 1) {
        const at = from + row * answerBytes;
        experts.set(new Int32Array(bytes, at, perRow), (first + row) * perRow);
        margins[first + row] = new Float32Array(bytes, at + f32.bytes(perRow), 1)[0];
      }
      if (first === 0) choices.push({ experts, margins });
    });
    const choice = { numExperts, perRow, overAll: router?.weights === 'as-is' };
    const places = {
      scores: scores + f32.bytes(first * numExperts),
      chosen: chosen + f32.bytes(2 * first * perRow),
    };
    list.dispatch(chooseExperts({ ...places, ...choice, target, rows: numRows }, limits));
  }
  list.barrier();
  list.dispatch(listRows({ chosen, indices, scales, rows, numExperts, perRow }, limits));
}

export function addArgmax(list: OperationList, command: ArgmaxCommand, limits: KernelLimits): void {
  const { source, rows, width, draws } = command;
  if (draws) {
    addDraws(list, command, draws, limits);
    return;
  }
  const ids = new Int32Array(rows);
  const margins = new Float32Array(rows);
  const target = list.answer(8 * rows, (bytes, from, { maxima }) => {
    const [found, leads] = [new Int32Array(bytes, from, 2 * rows), new Float32Array(bytes, from, 2 * rows)];
    for (let row = 0; row < rows; row += 1) {
      ids[row] = found[2 * row];
      margins[row] = leads[2 * row + 1];
    }
    maxima.push({ ids, margins });
  });
  const scratch = list.answer(argmaxScratchBytes(rows, width), () => {});
  list.inTurn(argmax({ source, target, scratch, rows, width }, limits));
}

export function addStartsFinite(list: OperationList, { source, rows, width }: StartsFiniteCommand): void {
  const target = list.answer(4, (bytes, from, { areFinite }) =>
    areFinite.push(new Uint32Array(bytes, from, 1)[0] === 1),
  );
  list.dispatch(startsFinite({ source, target, rows, width }));
}
