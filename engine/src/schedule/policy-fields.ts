/**
 * Every field of a policy, declared once: type, parser, command line, planner and docs/policy.md come from this table.
 * Its order is the one in which fields are settled: a default may look at the fields above it.
 */

import { crossbarFields } from './crossbar-fields.js';
import { choice, count, type Settled, share } from './declare-field.js';
import { draftCache, proposingFields } from './proposing-fields.js';
import { hostExperts, places, sharingFields } from './sharing-fields.js';

const ofBatch = {
  default: { inWords: 'the decode batch', of: ({ decodeBatch }: Settled) => decodeBatch },
  atMost: ({ decodeBatch }: Settled) => decodeBatch,
} as const;

const prefill = { about: 'batches', option: 'prefill' } as const;
const ahead = { about: 'weights', option: 'weights come ahead' } as const;
const spareMemory = { about: 'weights', option: 'spare device memory keeps layers' } as const;
const keptThere = { about: 'weights', option: 'experts stay where they were brought' } as const;

export const policyFields = {
  speculation: choice({
    about: 'speculation',
    option: null,
    meaning: 'who proposes, and when',
    words: {
      none: 'nobody',
      serial: 'the draft before each pass',
      interleaved: 'the draft for one batch while another is verified',
      ahead: 'the draft, as if all its candidates were accepted, while the target verifies them',
    },
    default: { byStrategy: "the strategy's" },
    axis: { notSearched: 'each way is searched on its own' },
  }),
  batches: count([1, 64], {
    about: 'batches',
    option: null,
    meaning: 'batches in flight, as many as the strategy can take',
    default: { byStrategy: '2 for specoffload, else 1' },
    atMost: (_, numPrompts) => numPrompts,
    axis: { notSearched: 'the strategy decides' },
  }),
  decodeBatch: count([1, 4096], {
    about: 'batches',
    option: null,
    meaning: 'sequences per batch',
    default: { inWords: 'all prompts over the batches in flight', of: (_, numPrompts) => numPrompts },
    atMost: ({ batches }, numPrompts) => Math.ceil(numPrompts / batches),
    axis: ['batch'],
  }),
  attention: choice({
    ...places,
    meaning: "lane of the target's attention in decode",
    words: {
      host: 'the host',
      device: 'the device',
      split: 'the first micro-batch on the device, the others on the host',
    },
    default: 'host',
    axis: ['places'],
  }),
  microBatch: count([1, 4096], {
    about: 'batches',
    option: 'micro-batches',
    meaning:
      "sequences that compute together in decode; a layer's weights serve all of a batch's before they go",
    ...ofBatch,
    default: {
      inWords: 'the decode batch, half of it where the attention is split',
      of: ({ attention, decodeBatch }) => (attention === 'split' ? Math.ceil(decodeBatch / 2) : decodeBatch),
    },
    axis: ['batch', 'microBatch'],
  }),
  prefillBatch: count([1, 4096], {
    ...ofBatch,
    ...prefill,
    meaning: 'sequences per prefill micro-batch',
    axis: ['prefillBatch'],
  }),
  prefillOrder: choice({
    ...prefill,
    meaning: 'how often weights stream in prefill',
    words: {
      'batch-major': 'all of them once per micro-batch',
      'layer-major': 'each layer once for all micro-batches',
    },
    default: 'layer-major',
    axis: ['prefillOrder'],
  }),
  draftBatch: count([1, 4096], {
    ...ofBatch,
    about: 'draft',
    option: 'sequences per draft step',
    meaning: 'sequences per draft step',
    axis: ['draftBatch'],
  }),
  ...proposingFields,
  cache: choice({
    ...places,
    meaning: "memory that holds the target's KV cache",
    words: { host: 'host memory', device: 'device memory' },
    default: 'host',
    axis: ['places'],
  }),
  prefillAttention: choice({
    ...places,
    meaning: "lane of the target's attention in prefill",
    words: { host: 'the host', device: 'the device' },
    default: {
      inWords: 'host where attention is, else device',
      of: ({ attention }) => (attention === 'host' ? 'host' : 'device'),
    },
    axis: ['places'],
  }),
  projections: choice({
    ...places,
    meaning: "lane of the attention's projections (q, k, v, output) and the router in decode",
    words: { host: 'the host', device: 'the device' },
    default: 'device',
    axis: ['places'],
  }),
  streaming: choice({
    ...ahead,
    meaning: 'when weights come',
    words: {
      ahead: 'as far ahead as there are buffers',
      'on-demand': 'each group only when its turn has come, into the only buffer',
    },
    default: 'ahead',
    axis: { notSearched: 'on demand is never faster' },
  }),
  attentionWeights: choice({
    ...spareMemory,
    meaning: 'what becomes of the attention weights of all layers',
    words: { streamed: 'they cross the link in every pass', resident: 'they stay in device memory' },
    default: 'streamed',
    axis: ['attentionWeights'],
  }),
  experts: choice({
    about: 'weights',
    option: hostExperts,
    meaning: 'which experts of a layer are brought',
    words: { all: 'all of them', routed: 'after its router has chosen, those that some row chose' },
    default: 'all',
    axis: ['experts'],
  }),
  hostExpertRows: count([0, 1_048_576], {
    about: 'places',
    option: hostExperts,
    meaning: 'experts that at most so many rows chose are computed on the host, with experts routed',
    default: 0,
    axis: ['experts'],
  }),
  ...sharingFields,
  ...crossbarFields,
  coalesceExperts: choice({
    about: 'batches',
    option: 'experts of all micro-batches at once',
    meaning: 'which rows an expert computes at once; its weights cross once for all of a pass either way',
    words: {
      no: "one micro-batch's after the other's, each as soon as it is routed",
      yes: 'those of all micro-batches of a pass, when all are routed',
    },
    default: 'no',
    axis: ['coalesceExperts'],
  }),
  keptExperts: choice({
    about: 'weights',
    option: 'kernels read host memory',
    meaning:
      'what the device does in decode with experts (and FFNs) of kept layers, whose stored weights lie in host memory',
    words: {
      copied: 'they cross to its memory before they are used',
      'in-place': 'its kernels read them where they lie, over the link, each time they are used',
    },
    default: 'copied',
    axis: ['inPlace'],
  }),
  keptAttention: choice({
    about: 'weights',
    option: 'kernels read host memory',
    meaning: 'the same of the attention weights of kept layers',
    words: {
      copied: 'they cross to its memory before they are used',
      'in-place': 'its kernels read them where they lie, over the link, each time they are used',
    },
    default: 'copied',
    axis: ['inPlace'],
  }),
  expertCache: choice({
    ...keptThere,
    meaning:
      'which expert makes room for another, with experts routed, where those that have been used stay in memory',
    words: {
      none: 'each is dropped when it has been used',
      lru: 'the one that was chosen longest ago',
      lfu: 'the one that was chosen least often',
      farthest:
        'the one that is expected to be chosen last: layers come in turn, and each expert as often as it was chosen so far',
    },
    default: 'none',
    axis: ['experts'],
  }),
  expertPrefetch: choice({
    ...keptThere,
    meaning: 'which experts come before their router has chosen, with experts routed',
    words: {
      none: 'none',
      router:
        'while a layer is computed, those that the routers of the next ones would choose by what it has of the rows, where at least seven in ten of such guesses came true lately; all of them where so many rows choose that nine in ten are likely to be chosen, as while prompts are read',
    },
    default: 'none',
    axis: ['experts'],
  }),
  foreseenLayers: count([1, 8], {
    ...keptThere,
    meaning: 'layers ahead for which expertPrefetch foresees experts',
    default: 1,
    axis: ['experts'],
  }),
  pageLocked: share({
    about: 'weights',
    option: 'all weights in page-locked memory',
    meaning:
      'share of the weights in page-locked host memory, which crosses the link faster; the layers behind it are pageable, and a virtual machine with a page cache reads them through it where they do not all fit',
    default: 1,
    axis: { notSearched: 'more is never slower; software that locks less says so' },
  }),
  draftLayers: count([0, 4096], {
    about: 'draft',
    option: 'layers of the drafter self',
    meaning:
      'target layers, among those that stay on the device and at even distances, that the drafter self computes with; 0: all of those, but no more than half of the model',
    default: 0,
    axis: { notSearched: 'how often candidates stand depends on it, and is told for one number of them' },
  }),
  draftPlacement: choice({
    ...draftCache,
    meaning: 'when the draft takes its place in device memory',
    words: { start: 'before the run', 'after-prefill': 'once all prompts are through' },
    default: 'start',
    axis: ['draftPlacement'],
  }),
  ending: choice({
    about: 'ends',
    option: 'each sequence ends at its own limit',
    meaning: 'when a sequence ends',
    words: { 'own-limit': 'at its own limit', slowest: 'when the slowest of its batch is there' },
    default: 'own-limit',
    axis: { notSearched: 'waiting for the slowest writes nothing that counts' },
  }),
  refill: choice({
    about: 'ends',
    option: 'places of finished sequences are taken again',
    meaning: "what becomes of a finished sequence's place",
    words: { no: 'nothing: a wave ends before the next begins', yes: 'it goes to the next prompt at once' },
    default: 'no',
    axis: ['refill'],
  }),
  residents: choice({
    ...spareMemory,
    meaning: 'what stays in memory that is left',
    words: {
      layers: 'whole layers',
      tensors:
        'attention, FFNs and single experts of any layer, those first that save most for the bytes they take; of whole layers only those that are asked for; with an expert cache that has what experts would take',
    },
    default: 'layers',
    axis: ['residents'],
  }),
  prefetchDepth: count([0, 64], {
    ...ahead,
    meaning:
      "weight groups of each kind that may wait ahead, per tier; 0: a group's successor starts when it has been used",
    default: { byPlacement: 'up to 8, in a third of each budget' },
    axis: ['prefetch'],
  }),
  pinnedLayers: count([0, 4096], {
    ...spareMemory,
    meaning:
      'target layers, at even distances, whose weights stay on the device; with the drafter self from the first to the last',
    default: { byPlacement: 'as many as fit' },
    axis: ['pinned'],
  }),
  keptLayers: count([0, 4096], {
    ...spareMemory,
    meaning: 'further target layers whose stored weights stay in host memory',
    default: { byPlacement: 'as many as fit' },
    axis: { notSearched: 'more is never slower' },
  }),
  cachedOnDevice: count([0, 1_048_576], {
    ...keptThere,
    meaning: 'places for experts on the device, beyond those that they stream through, with an expert cache',
    default: { byPlacement: 'as many as fit; pinnedLayers is 0 then' },
    axis: { notSearched: 'more is never slower' },
  }),
  cachedOnHost: count([0, 1_048_576], {
    ...keptThere,
    meaning: 'the same in host memory, as stored',
    default: { byPlacement: 'as many as fit; keptLayers is 0 then' },
    axis: { notSearched: 'more is never slower' },
  }),
};

type Fields = typeof policyFields;

type AxisOf<Name extends keyof Fields> = Fields[Name]['axis'] extends readonly (infer A)[] ? A : never;

/** What a planner has to search. */
export type AxisName = { [Name in keyof Fields]: AxisOf<Name> }[keyof Fields];

/** The fields that an axis sets. */
export type FieldsOn<A extends AxisName> = {
  [Name in keyof Fields]: A extends AxisOf<Name> ? Name : never;
}[keyof Fields];

/** Fields that placement settles where nobody has. */
export type OpenField = {
  [Name in keyof Fields]: Fields[Name]['default'] extends { readonly byPlacement: string } ? Name : never;
}[keyof Fields];

type ValueOf<Field> = Field extends { readonly words: infer W } ? keyof W & string : number;

/** What a run is asked to do in every respect; see docs/policy.md. */
export type Policy = { readonly [Name in keyof Fields]: ValueOf<Fields[Name]> };
