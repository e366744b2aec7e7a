/** The ONNX graphs of the device lane. Weights are inputs, so that one session serves every layer. */

import type { OnnxGraph, OnnxNode } from './onnx.js';

/** y = x / sqrt(mean(x²) + eps) * weight, over the last axis. */
function rmsNorm(x: string, weight: string, y: string, eps: number): OnnxNode {
  return {
    operator: 'SimplifiedLayerNormalization',
    inputs: [x, weight],
    outputs: [y],
    attributes: { axis: -1, epsilon: { float: eps }, stash_type: 1 },
  };
}

/** y = x · weightᵀ (+ addend), with weight (out, in) as checkpoints store it. */
function linear(x: string, weight: string, y: string, addend?: string): OnnxNode {
  return {
    operator: 'Gemm',
    inputs: addend ? [x, weight, addend] : [x, weight],
    outputs: [y],
    attributes: { transB: 1 },
  };
}

export function projectGraph(eps: number): OnnxGraph {
  return {
    nodes: [
      rmsNorm('x', 'norm', 'n', eps),
      linear('n', 'wq', 'q'),
      linear('n', 'wk', 'k'),
      linear('n', 'wv', 'v'),
    ],
    inputs: { x: ['row', 'h'], norm: ['h'], wq: ['a', 'h'], wk: ['b', 'h'], wv: ['b', 'h'] },
    outputs: { q: ['row', 'a'], k: ['row', 'b'], v: ['row', 'b'] },
  };
}

export function mixGraph(eps: number, hasRouter: boolean): OnnxGraph {
  const nodes = [linear('a', 'wo', 'y', 'x'), rmsNorm('y', 'norm', 'n', eps)];
  const inputs = { a: ['row', 'a'], wo: ['h', 'a'], x: ['row', 'h'], norm: ['h'] };
  const outputs = { y: ['row', 'h'], n: ['row', 'h'] };
  if (!hasRouter) return { nodes, inputs, outputs };
  return {
    nodes: [...nodes, linear('n', 'wr', 'r')],
    inputs: { ...inputs, wr: ['e', 'h'] },
    outputs: { ...outputs, r: ['row', 'e'] },
  };
}

export function feedForwardGraph(): OnnxGraph {
  return {
    nodes: [
      linear('x', 'wg', 'g'),
      { operator: 'Sigmoid', inputs: ['g'], outputs: ['s'] },
      { operator: 'Mul', inputs: ['g', 's'], outputs: ['t'] },
      linear('x', 'wu', 'u'),
      { operator: 'Mul', inputs: ['t', 'u'], outputs: ['m'] },
      linear('m', 'wd', 'y'),
    ],
    inputs: { x: ['row', 'h'], wg: ['f', 'h'], wu: ['f', 'h'], wd: ['h', 'f'] },
    outputs: { y: ['row', 'h'] },
  };
}

export function logitsGraph(eps: number): OnnxGraph {
  return {
    nodes: [rmsNorm('x', 'norm', 'n', eps), linear('n', 'w', 'y')],
    inputs: { x: ['row', 'h'], norm: ['h'], w: ['v', 'h'] },
    outputs: { y: ['row', 'v'] },
  };
}
