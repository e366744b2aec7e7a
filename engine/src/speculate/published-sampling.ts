/** How whoever published a model has its tokens drawn: what a chat does unless told otherwise, and no measured run. */

import { join } from 'node:path';
import { check, is, maybeReadJson } from '@specoffload/input';
import { redownload, warnOfCheckpoint } from '../model/config-values.js';
import { maxConfigBytes } from '../model/configuration.js';
import { isGgufPath, readGguf } from '../model/gguf/file.js';
import { Metadata } from '../model/gguf/metadata.js';
import { parseSampling, type SamplingInput } from './sampling.js';

const fields = ['temperature', 'topK', 'topP', 'minP', 'repetitionPenalty'] as const;
type Field = (typeof fields)[number];

/** As transformers and as llama.cpp call them. */
const jsonNames: Readonly<Record<Field, string>> = {
  ...{ temperature: 'temperature', topK: 'top_k', topP: 'top_p', minP: 'min_p' },
  repetitionPenalty: 'repetition_penalty',
};
const ggufNames: Readonly<Record<Field, string>> = {
  ...{ temperature: 'temp', topK: 'top_k', topP: 'top_p', minP: 'min_p' },
  repetitionPenalty: 'penalty_repeat',
};

/** Values that transformers writes where nobody has chosen any. */
const neutral: Readonly<Record<string, number>> = { temperature: 1, top_p: 1 };

export interface PublishedSampling {
  /** Where it stands, for messages. */
  readonly source: string;
  readonly sampling: SamplingInput;
}

const maybeNumber = is.orMissing(is.orNull(is.number));
const generationSchema = is.picked({
  do_sample: is.orMissing(is.orNull(is.flag)),
  ...Object.fromEntries(Object.values(jsonNames).map((name) => [name, maybeNumber])),
});

/**
 * `temperature`, `top_k`, `top_p`, `min_p` and `repetition_penalty` of generation_config.json, where `do_sample` is true,
 * or `general.sampling` of a GGUF file; what it leaves out masks nothing (transformers would keep 50 tokens).
 * @param path of a checkpoint's directory, or a GGUF file
 * @returns null where nothing is drawn
 * @throws UserError when a number is none, or out of range.
 */
export async function readPublishedSampling(path: string): Promise<PublishedSampling | null> {
  const isGguf = isGgufPath(path);
  const source = isGguf ? path : join(path, 'generation_config.json');
  const found = isGguf ? await readGgufSampling(path) : await readGenerationConfig(source);
  if (found === null) return null;
  const given = Object.entries(found).filter(([, value]) => typeof value === 'number');
  const sampling: SamplingInput = Object.fromEntries(given);
  return parseSampling(sampling, source) && { source, sampling };
}

type Found = Readonly<Record<Field, unknown>>;

async function readGenerationConfig(source: string): Promise<Found | null> {
  const json = (await maybeReadJson(source, maxConfigBytes)) ?? {};
  const config: Readonly<Record<string, unknown>> = check(generationSchema, json, source, {
    remedy: redownload,
  });
  if (config.do_sample === true) return pick((field) => config[jsonNames[field]]);
  const unused = Object.entries(neutral).find(
    ([name, value]) => typeof config[name] === 'number' && config[name] !== value,
  );
  if (config.do_sample === false && unused)
    warnOfCheckpoint(
      `${source}: do_sample false contradicts ${unused[0]} ${config[unused[0]]}; nothing is drawn, as transformers 5 does`,
    );
  return null;
}

async function readGgufSampling(path: string): Promise<Found | null> {
  const metadata = new Metadata(await readGguf(path));
  const found = pick((field) => metadata.maybeNumber(`general.sampling.${ggufNames[field]}`));
  return Object.values(found).some((value) => value !== undefined) ? found : null;
}

function pick(read: (field: Field) => unknown): Found {
  return Object.fromEntries(fields.map((field) => [field, read(field)])) as Found;
}
