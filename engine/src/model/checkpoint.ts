/** Opens a checkpoint: configuration, headers and index, no weights. */

import { createHash, type Hash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { quote, UserError } from '@specoffload/input';
import { f32 } from '@specoffload/native';
import { sum } from '../extremes.js';
import { refuseUncomputable } from './arithmetic.js';
import { assembleQuantised } from './assemble.js';
import { warnOfCheckpoint } from './config-values.js';
import { readModelSpec, readQuantisation } from './configuration.js';
import { settleFused } from './fused-experts.js';
import { isGgufPath } from './gguf/file.js';
import { openGguf } from './gguf/open.js';
import { type HeaderTensor, takeTensor, toTensorRef, type WeightFile } from './header-tensor.js';
import { areEqual } from './inflate-bytes.js';
import { readIsZero } from './quantised-columns.js';
import { type GroupSpec, modelGroups, type TensorSpec, tensorName } from './roles.js';
import { readShards } from './shards.js';
import type { ModelSpec } from './spec.js';
import { identityOf } from './summary.js';
import type { Checkpoint, TensorRef, WeightGroup } from './types.js';

/**
 * Reads `config.json`, `generation_config.json` and all safetensors headers of a directory, or the header of a GGUF
 * file, and checks that they agree. `parameters`, `bytes` and `tensors` count a tied embedding once; the head's group
 * names it again.
 * @throws UserError naming what is wrong and what to do.
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  if (!isGgufPath(path)) return openDirectory(path);
  const { spec, files } = await openGguf(path);
  refuseUncomputable(spec, path);
  return assemble(path, basename(path, '.gguf'), spec, files);
}

async function openDirectory(directory: string): Promise<Checkpoint> {
  const stated = await readModelSpec(directory);
  refuseUncomputable(stated, join(directory, 'config.json'));
  const quantisation = await readQuantisation(directory);
  const files = await assembleQuantised(await readShards(directory), quantisation);
  const spec = settleFused(await settleTie(stated, files, directory), files);
  const checkpoint = await assemble(directory, basename(resolve(directory)), spec, files);
  const packedFrom = quantisation?.packedFrom;
  return packedFrom === undefined ? checkpoint : { ...checkpoint, packedFrom };
}

async function assemble(
  directory: string,
  name: string,
  spec: ModelSpec,
  files: readonly WeightFile[],
): Promise<Checkpoint> {
  const inventory = new Inventory(directory, files, spec);
  const groups = modelGroups(spec);
  const embedding = inventory.take(groups.embedding);
  const layers = groups.layers.map(({ attention, experts }) => ({
    attention: inventory.take(attention),
    experts: experts.map((expert) => inventory.take(expert)),
  }));
  const head = inventory.take(groups.head);
  await inventory.refuseLeftovers();

  const tensors = inventory.taken;
  const refs = [...tensors.values()];
  return {
    ...{ directory, name, spec },
    tensors,
    embedding,
    head,
    layers,
    parameters: sum(refs.map((ref) => ref.numElements)),
    bytes: sum(refs.map((ref) => ref.byteLength)),
    digest: await digestOf(spec, files),
  };
}

/** The tensors that the files hold, and those that a group has taken so far. */
class Inventory {
  readonly taken = new Map<string, TensorRef>();
  /** Names of stored tensors that hold any of these. */
  readonly #used = new Set<string>();
  readonly #directory: string;
  readonly #held: ReadonlyMap<string, HeaderTensor>;
  readonly #spec: ModelSpec;

  constructor(directory: string, files: readonly WeightFile[], spec: ModelSpec) {
    this.#directory = directory;
    this.#spec = spec;
    this.#held = new Map(files.flatMap((file) => file.tensors).map((tensor) => [tensor.name, tensor]));
  }

  take(spec: GroupSpec): WeightGroup {
    const { id, kind, layer, expert } = spec;
    const tensors = spec.tensors.map((tensor) => ({ role: tensor.role, ref: this.#takeTensor(tensor) }));
    return {
      id,
      kind,
      layer,
      expert,
      tensors,
      storedBytes: sum(tensors.map(({ ref }) => ref.byteLength)),
      deviceBytes: sum(tensors.map(({ ref }) => f32.bytes(ref.numElements))),
    };
  }

  #takeTensor(spec: TensorSpec): TensorRef {
    const name = spec.within?.name ?? spec.name;
    const stored = this.#held.get(name);
    if (stored === undefined) {
      this.#refuseFused(name);
      const hint =
        name === headName(this.#spec)
          ? ', or set tie_word_embeddings in config.json if the head is the embedding'
          : '';
      throw new UserError(
        `${this.#directory} has no tensor ${name} (shape ${quote(spec.shape)}), which config.json asks for; download the checkpoint again${hint}`,
      );
    }
    const ref = takeTensor(stored, spec, 'config.json');
    this.#used.add(name);
    this.taken.set(spec.name, ref);
    return ref;
  }

  /** Some files hold in one tensor what the configuration's model has in several. */
  #refuseFused(missing: string): void {
    const layer = /^model\.layers\.\d+\./.exec(missing)?.[0] ?? null;
    const fused = [...this.#held.keys()].find(
      (name) => fusedTensor.test(name) && (layer === null || name.startsWith(layer)),
    );
    if (fused === undefined) return;
    throw new UserError(
      `${this.#directory} has no tensor ${missing}, but ${quote(fused)}, which holds several in one; expected every expert and projection on its own; load the model with transformers and save it with save_pretrained, which divides them, or download it as published`,
    );
  }

  /** A tensor that no role claims (a bias, a scale of a quantised weight, a ninth expert) would change the output. */
  async refuseLeftovers(): Promise<void> {
    const { architecture, embedding, foreignTensors = [] } = this.#spec;
    for (const tensor of this.#held.values()) {
      const { name, path } = tensor;
      const isForeign = foreignTensors.some((prefix) => name.startsWith(prefix));
      const harmless =
        isForeign ||
        name.endsWith('.rotary_emb.inv_freq') ||
        (name === headName(this.#spec) && embedding.tied);
      if (harmless || this.#used.has(name)) continue;
      // AutoGPTQ writes one beside every weight.
      const isBesideGptq = name.endsWith('.bias') && this.#held.get(name.replace(/bias$/, 'weight'))?.across;
      if (isBesideGptq && (await readIsZero(tensor))) continue;
      throw new UserError(
        `${path} holds ${quote(name)}, which a ${architecture} model of this config.json does not use; use a checkpoint whose configuration and weights agree`,
      );
    }
  }
}

/** All experts in one tensor as transformers 5 has them in memory, or projections that read the same input side by side. */
const fusedTensor =
  /\.(experts\.(gate_up_proj|gate_proj|up_proj|down_proj|w1|w2|w3|w13)(\.weight)?|qkv_proj\.weight|query_key_value\.weight|gate_up_proj\.weight)$/;

/**
 * A head of its own beside `tie_word_embeddings` stays the head if its weights differ, and is the embedding too if it is
 * alone. Source: `tie_weights` in transformers 5.24, `modeling_utils.py`.
 */
async function settleTie(
  spec: ModelSpec,
  files: readonly WeightFile[],
  directory: string,
): Promise<ModelSpec> {
  const names = { head: headName(spec), embedding: tensorName(spec, 'embedding') };
  const find = (name: string | undefined) =>
    files.flatMap(({ tensors }) => tensors).find((tensor) => tensor.name === name);
  const [head, embedding] = [find(names.head), find(names.embedding)];
  if (!spec.embedding.tied || !head) return spec;
  if (!embedding) return { ...spec, tensors: { ...spec.tensors, embedding: spec.tensors.head } };
  if (await areEqual(toTensorRef(head), toTensorRef(embedding))) return spec;
  warnOfCheckpoint(
    `${join(directory, 'config.json')}: tie_word_embeddings true contradicts ${names.head}, whose weights are not those of ${names.embedding}; they are not tied, as in transformers 5`,
  );
  return { ...spec, embedding: { ...spec.embedding, tied: false } };
}

/** The output projection's own tensor, which files of a model with tied embeddings may hold or not. */
function headName({ tensors }: ModelSpec): string | undefined {
  return tensors.head?.name;
}

const digestSamples = 64;
const digestSampleBytes = 4096;

/** See `Checkpoint.digest`; file names without their directories, so that a copy has the digest of its original. */
async function digestOf(spec: ModelSpec, files: readonly WeightFile[]): Promise<string> {
  const contents = files.map((file) => [
    basename(file.path),
    file.byteLength,
    file.tensors.map(({ name, dtype, shape, fileOffset }) => [name, dtype, shape, fileOffset]),
  ]);
  const hash = createHash('sha256').update(JSON.stringify([identityOf(spec), contents]));
  for (const file of files) await hashSamples(hash, file);
  return hash.digest('hex');
}

/** Blocks at even distances through a file: training again changes all of them. */
async function hashSamples(hash: Hash, { path, byteLength }: WeightFile): Promise<void> {
  const file = await open(path, 'r');
  try {
    const block = Buffer.alloc(digestSampleBytes);
    for (let sample = 0; sample < digestSamples; sample++) {
      const position = Math.floor((sample * Math.max(0, byteLength - block.length)) / (digestSamples - 1));
      const { bytesRead } = await file.read(block, 0, block.length, position);
      hash.update(block.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}
