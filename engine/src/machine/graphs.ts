/** The ONNX graphs of the device lane. Weights are inputs, so that one session serves every layer. */

import {
  type Activation,
  type AttentionSpec,
  clampedSwiglu,
  type LayerSpec,
  type NormSpec,
} from '../model/spec.js';
import type { OnnxGraph, OnnxNode } from './onnx.js';

/** y = x / sqrt(mean(x²) + eps) * (offset + weight), over the last axis. */
function rmsNorm(x: string, weight: string, y: string, { eps, offset }: NormSpec): OnnxNode[] {
  const full = offset === 0 ? weight : `${weight} full`;
  const norm = {
    operator: 'SimplifiedLayerNormalization',
    inputs: [x, full],
    outputs: [y],
    attributes: { axis: -1, epsilon: { float: eps }, stash_type: 1 },
  };
  return offset === 0 ? [norm] : [...plus(weight, offset, full), norm];
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

function apply(operator: string, inputs: readonly string[], output: string): OnnxNode {
  return { operator, inputs, outputs: [output] };
}

function constant(value: number, name: string): OnnxNode {
  return { operator: 'Constant', inputs: [], outputs: [name], attributes: { value_float: { float: value } } };
}

/** y = x + value. */
function plus(x: string, value: number, y: string): OnnxNode[] {
  const name = `${y} addend`;
  return [constant(value, name), apply('Add', [x, name], y)];
}

/** y = x, brought to between -most and most. */
function between(x: string, most: number, y: string): OnnxNode[] {
  const [low, high] = [`${y} least`, `${y} most`];
  return [constant(-most, low), constant(most, high), apply('Clip', [x, low, high], y)];
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
    nodes: [
      ...rmsNorm('x', 'norm', 'n', norms.beforeAttention),
      ...projections.flatMap(({ nodes }) => nodes),
    ],
    inputs: {
      ...{ x: ['row', 'h'], norm: ['h'] },
      ...Object.assign({}, ...projections.map(({ inputs }) => inputs)),
    },
    outputs: Object.assign({}, ...projections.map(({ outputs }) => outputs)),
  };
}

/** One of q, k and v; where heads are normalised, each by itself, it comes out as (row, head, headDim). */
function projection(name: 'q' | 'k' | 'v', { headDim, biases, qkNorm, clip }: AttentionSpec, heads: number) {
  const width = `${name} width`;
  const norm = name === 'v' ? null : qkNorm;
  const whole = clip === undefined ? name : `${name} whole`;
  const isPerHead = norm?.over === 'head';
  const projected = norm ? `${name} projected` : whole;
  const nodes = [linear('n', `w${name}`, projected, biases[name] ? `b${name}` : undefined)];
  if (norm?.over === 'projection') nodes.push(...rmsNorm(projected, `${name}norm`, whole, norm.norm));
  if (norm?.over === 'head')
    nodes.push(
      {
        operator: 'Constant',
        inputs: [],
        outputs: [`${name} shape`],
        attributes: { value_ints: [0, heads, headDim] }, // 0: as many rows as there are
      },
      apply('Reshape', [projected, `${name} shape`], `${name} heads`),
      ...rmsNorm(`${name} heads`, `${name}norm`, whole, norm.norm),
    );
  if (clip !== undefined) nodes.push(...between(whole, clip, name));
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

/** Output projection, residual, norms and, where there is something to choose, the router. */
export function mixGraph({ attention, norms, ffn }: LayerSpec): OnnxGraph {
  const { o: hasBias } = attention.biases;
  const hasRouter = ffn.numExperts > 1;
  const hasRouterBias = hasRouter && ffn.router?.biases === true;
  const { afterAttention } = norms;
  return {
    nodes: [
      ...(afterAttention
        ? [
            linear('a', 'wo', 'o', hasBias ? 'bo' : undefined),
            ...rmsNorm('o', 'anorm', 'added', afterAttention),
            apply('Add', ['x', 'added'], 'y'),
          ]
        : [
            linear('a', 'wo', hasBias ? 'sum' : 'y', 'x'),
            ...(hasBias ? [apply('Add', ['sum', 'bo'], 'y')] : []),
          ]),
      ...rmsNorm('y', 'norm', 'n', norms.beforeFfn),
      ...(hasRouter ? [linear('n', 'wr', 'r', hasRouterBias ? 'br' : undefined)] : []),
    ],
    inputs: {
      ...{ a: ['row', 'a'], wo: ['h', 'a'], x: ['row', 'h'], norm: ['h'] },
      ...(hasBias && { bo: ['h'] }),
      ...(afterAttention && { anorm: ['h'] }),
      ...(hasRouter && { wr: ['e', 'h'] }),
      ...(hasRouterBias && { br: ['e'] }),
    },
    outputs: { y: ['row', 'h'], n: ['row', 'h'], ...(hasRouter && { r: ['row', 'e'] }) },
  };
}

/** A shared expert: what it makes of a row is multiplied by a number of that row's. */
export function sharedExpertGraph({ ffn }: LayerSpec): OnnxGraph {
  return {
    nodes: [
      linear('x', 'wg', 'g'),
      ...activateGate(ffn.activation),
      linear('x', 'wu', 'u'),
      ...combine(ffn.activation),
      linear('m', 'wd', 'd'),
      linear('x', 'wo', 'o'),
      apply('Sigmoid', ['o'], 'share'),
      apply('Mul', ['d', 'share'], 'y'),
    ],
    inputs: { x: ['row', 'h'], wg: ['f', 'h'], wu: ['f', 'h'], wd: ['h', 'f'], wo: [1, 'h'] },
    outputs: { y: ['row', 'h'] },
  };
}

/** Gate and up, what is made of both, down, and the norm of a layer that has one there. */
export function feedForwardGraph({ ffn, norms: { afterFfn } }: LayerSpec): OnnxGraph {
  const bias = (name: string) => (ffn.biases ? name : undefined);
  return {
    nodes: [
      linear('x', 'wg', 'g', bias('bg')),
      ...activateGate(ffn.activation),
      linear('x', 'wu', 'u', bias('bu')),
      ...combine(ffn.activation),
      linear('m', 'wd', afterFfn ? 'd' : 'y', bias('bd')),
      ...(afterFfn ? rmsNorm('d', 'fnorm', 'y', afterFfn) : []),
    ],
    inputs: {
      ...{ x: ['row', 'h'], wg: ['f', 'h'], wu: ['f', 'h'], wd: ['h', 'f'] },
      ...(ffn.biases && { bg: ['f'], bu: ['f'], bd: ['h'] }),
      ...(afterFfn && { fnorm: ['h'] }),
    },
    outputs: { y: ['row', 'h'] },
  };
}

/** t of g, before there is u: as few products as possible are in memory at once. */
function activateGate(activation: Activation): OnnxNode[] {
  const { limit, alpha } = clampedSwiglu;
  switch (activation) {
    case 'silu':
      return [apply('Sigmoid', ['g'], 's'), apply('Mul', ['g', 's'], 't')];
    case 'gelu-tanh':
      return [{ ...apply('FastGelu', ['g'], 't'), domain: 'com.microsoft' }];
    case 'clamped-swiglu':
      return [
        ...[constant(limit, 'most'), constant(alpha, 'alpha')],
        apply('Min', ['g', 'most'], 'clamped'),
        apply('Mul', ['clamped', 'alpha'], 'steep'),
        apply('Sigmoid', ['steep'], 's'),
        apply('Mul', ['clamped', 's'], 't'),
      ];
  }
}

/** m of t and u. */
function combine(activation: Activation): OnnxNode[] {
  if (activation !== 'clamped-swiglu') return [apply('Mul', ['t', 'u'], 'm')];
  const { limit } = clampedSwiglu;
  return [
    constant(-limit, 'least'),
    apply('Clip', ['u', 'least', 'most'], 'bounded'),
    ...plus('bounded', 1, 'lifted'),
    apply('Mul', ['t', 'lifted'], 'm'),
  ];
}

export function logitsGraph(norm: NormSpec): OnnxGraph {
  return {
    nodes: [...rmsNorm('x', 'norm', 'n', norm), linear('n', 'w', 'y')],
    inputs: { x: ['row', 'h'], norm: ['h'], w: ['v', 'h'] },
    outputs: { y: ['row', 'v'] },
  };
}
