/** Models that can be predicted by name. Sizes are those of the config.json that each is published with. */

import type { ModelConfig } from './types.js';

const common = {
  ropeScaling: null,
  rmsNormEps: 1e-5,
  slidingWindow: null,
  tieEmbeddings: false,
  headDim: 128,
  numKvHeads: 8,
  eosTokenIds: [2],
} as const;

const dense = { numExperts: 1, expertsPerToken: 1 } as const;
const mixtral = { architecture: 'mixtral', numExperts: 8, expertsPerToken: 2, ropeTheta: 1e6 } as const;
const llama3 = {
  architecture: 'llama',
  ...{ vocabSize: 128_256, ropeTheta: 5e5, maxPositions: 131_072 },
  ...{ eosTokenIds: [128_001, 128_008, 128_009] },
} as const;

/** By the name that `--target` and `--draft` take. */
export const modelCatalog: Readonly<Record<string, ModelConfig>> = {
  'mixtral-8x7b': {
    ...common,
    ...mixtral,
    ...{ vocabSize: 32_000, hiddenSize: 4096, numLayers: 32, numHeads: 32, ffnSize: 14_336 },
    maxPositions: 32_768,
  },
  'mixtral-8x22b': {
    ...common,
    ...mixtral,
    ...{ vocabSize: 32_000, hiddenSize: 6144, numLayers: 56, numHeads: 48, ffnSize: 16_384 },
    maxPositions: 65_536,
  },
  'mistral-7b': {
    ...common,
    ...dense,
    ...{ architecture: 'mistral', vocabSize: 32_000, hiddenSize: 4096, numLayers: 32, numHeads: 32 },
    ...{ ffnSize: 14_336, ropeTheta: 1e6, maxPositions: 32_768 },
  },
  'llama-3.3-70b': {
    ...common,
    ...dense,
    ...llama3,
    ...{ hiddenSize: 8192, numLayers: 80, numHeads: 64, ffnSize: 28_672 },
  },
  'llama-3.1-8b': {
    ...common,
    ...dense,
    ...llama3,
    ...{ hiddenSize: 4096, numLayers: 32, numHeads: 32, ffnSize: 14_336 },
  },
  'llama-3.2-1b': {
    ...common,
    ...dense,
    ...llama3,
    ...{ hiddenSize: 2048, numLayers: 16, numHeads: 32, headDim: 64, ffnSize: 8192, tieEmbeddings: true },
  },
};
