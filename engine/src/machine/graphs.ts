/** The ONNX graphs of the device lane. Weights are inputs, so that one session serves every layer. */

import type { AttentionSpec, LayerSpec, NormSpec } from '../model/spec.js';
import type { OnnxGraph, OnnxNode } from './onnx.js';

/** y = x / sqrt(mean(x²) + eps) * weight, over the last axis. */
function rmsNorm(x: string, weight: string, y: string, { eps }: NormSpec): OnnxNode {
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

/** Norm of the hidden state, then q, k and v, with what the layer adds and normalises. */
export function projectGraph({ attention, norms }: LayerSpec): OnnxGraph {
  const { numHeads, numKvHeads } = attention;
  const projections = [
    projection('q', attention, numHeads),
    projection('k', attention, numKvHeads),
    projection('v', attention, numKvHeads),
  ];
  return {
    nodes: [rmsNorm('x', 'norm', 'n', norms.beforeAttention), ...projections.flatMap(({ nodes }) => nodes)],
    inputs: {
      ...{ x: ['row', 'h'], norm: ['h'] },
      ...Object.assign({}, ...projections.map(({ inputs }) => inputs)),
    },
    outputs: Object.assign({}, ...projections.map(({ outputs }) => outputs)),
  };
}

/** One of q, k and v; where heads are normalised, each by itself, it comes out as (row, head, headDim). */
function projection(name: 'q' | 'k' | 'v', { headDim, biases, qkNorm }: AttentionSpec, heads: number) {
  const width = `${name} width`;
  const norm = name === 'v' ? null : qkNorm;
  const isPerHead = norm?.over === 'head';
  const projected = norm ? `${name} projected` : name;
  const nodes = [linear('n', `w${name}`, projected, biases[name] ? `b${name}` : undefined)];
  if (norm?.over === 'projection') nodes.push(rmsNorm(projected, `${name}norm`, name, norm.norm));
  if (norm?.over === 'head')
    nodes.push(
      {
        operator: 'Constant',
        inputs: [],
        outputs: [`${name} shape`],
        attributes: { value_ints: [0, heads, headDim] }, // 0: as many rows as there are
      },
      { operator: 'Reshape', inputs: [projected, `${name} shape`], outputs: [`${name} heads`] },
      rmsNorm(`${name} heads`, `${name}norm`, name, norm.norm),
    );
  return {
    nodes,
    inputs: {
      [`w${name}`]: [width, 'h'],
      ...(biases[name] && { [`b${name}`]: [width] }),
      ...(norm && { [`${name}norm`]: [isPerHead ? headDim : width] }),
    },
    outputs: { [name]: isPerHead ? ['row', heads, headDim] : ['row', width] },
  };
}

/** Output projection, residual, norm and, where there is something to choose, the router. */
export function mixGraph({ attention, norms, ffn }: LayerSpec): OnnxGraph {
  const { o: hasBias } = attention.biases;
  const hasRouter = ffn.numExperts > 1;
  return {
    nodes: [
      linear('a', 'wo', hasBias ? 'sum' : 'y', 'x'),
      ...(hasBias ? [{ operator: 'Add', inputs: ['sum', 'bo'], outputs: ['y'] }] : []),
      rmsNorm('y', 'norm', 'n', norms.beforeFfn),
      ...(hasRouter ? [linear('n', 'wr', 'r')] : []),
    ],
    inputs: {
      ...{ a: ['row', 'a'], wo: ['h', 'a'], x: ['row', 'h'], norm: ['h'] },
      ...(hasBias && { bo: ['h'] }),
      ...(hasRouter && { wr: ['e', 'h'] }),
    },
    outputs: { y: ['row', 'h'], n: ['row', 'h'], ...(hasRouter && { r: ['row', 'e'] }) },
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

export function logitsGraph(norm: NormSpec): OnnxGraph {
  return {
    nodes: [rmsNorm('x', 'norm', 'n', norm), linear('n', 'w', 'y')],
    inputs: { x: ['row', 'h'], norm: ['h'], w: ['v', 'h'] },
    outputs: { y: ['row', 'v'] },
  };
}
