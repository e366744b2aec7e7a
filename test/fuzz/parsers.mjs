/** Every parser of what strangers hand over: valid samples of its input, and what must hold of all that it accepts. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  loadTokenizer,
  parseAcceptance,
  parseChromeTrace,
  parseEosTokenIds,
  parseMachineModel,
  parseModelSpec,
  parsePolicy,
  policyFields,
  readSafetensors,
} from '../../engine/dist/index.js';
import { specOfGguf } from '../../engine/dist/model/gguf/config.js';
import { readGguf } from '../../engine/dist/model/gguf/file.js';
import { tokenizerOfGguf } from '../../engine/dist/model/gguf/tokenizer.js';
import { readShards } from '../../engine/dist/model/shards.js';
import { assertPlain, check } from '../../engine/input/dist/index.js';
import { openAcceptance } from '../../experiments/dist/acceptance/open.js';
import { expandPoints, hasPoint } from '../../experiments/dist/definitions/expand.js';
import { parseExpression } from '../../experiments/dist/definitions/expression.js';
import { parseDefinition } from '../../experiments/dist/definitions/parse.js';
import { settingsOf } from '../../experiments/dist/definitions/settings.js';
import { loadWorkload } from '../../experiments/dist/inputs/prompts.js';
import { parseBytes, parseBytesPerSecond, parseSeconds } from '../../experiments/dist/inputs/sizes.js';
import { parsePolicyFile } from '../../experiments/dist/plan/policy-file.js';
import { parseCalibration } from '../../experiments/dist/reproduce/calibration-file.js';
import { parseRunRecord } from '../../experiments/dist/store/record.js';
import { parseTokens } from '../../experiments/dist/store/tokens.js';
import { parseTunnel } from '../../experiments/dist/tunnel/tunnel-file.js';
import { renderNotebook } from '../../kernel/dist/html/export.js';
import { parseNotebook, serializeNotebook } from '../../kernel/dist/notebook/format.js';
import { parseAssignment, toTypeScript } from '../../kernel/dist/notebook/literal.js';
import { readConnectionFile } from '../../kernel/dist/wire/connection.js';
import { createRequest, decodeMessage, encodeMessage } from '../../kernel/dist/wire/message.js';
import { areWhole, openQuantised, quantisedSamples } from './quantised.mjs';
import { samples } from './samples.mjs';

const project = fileURLToPath(new URL('../..', import.meta.url));
const json = (path) => JSON.parse(readFileSync(join(project, path), 'utf8'));

const isCount = (value, least = 0) => Number.isSafeInteger(value) && value >= least;
const isBetween = (value, least, most) => typeof value === 'number' && least <= value && value <= most;

/** Numbers anywhere in what was accepted are numbers. */
function allFinite(value, except = () => false, depth = 0) {
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || value === null || depth > 20) return true;
  return Object.entries(value).every(([name, item]) => except(name) || allFinite(item, except, depth + 1));
}

/** @param folder for the parsers that read files */
export function createParsers(folder) {
  const fileOf = (name) => (content) => {
    mkdirSync(join(folder, name.replace(/\W/g, '-')), { recursive: true });
    const path = join(folder, name.replace(/\W/g, '-'), name);
    writeFileSync(path, content);
    return path;
  };
  const [configFile, tokenizerFile] = [json('experiments/pair/target/config.json'), samples.tokenizer];
  const safetensorsFile = fileOf('model.safetensors');
  const quantised = openQuantised(fileOf('quantised.safetensors'));
  const ggufPath = fileOf('model.gguf');
  const shardIndex = fileOf('model.safetensors.index.json');
  const tokenizerPath = fileOf('tokenizer.json');
  const connectionPath = fileOf('connection.json');
  const acceptancePath = fileOf('acceptance.json');
  const names = ['candidates', 'decodeBatch', 'strategy'];
  const frames = encodeMessage(createRequest('execute_request', 's', { code: '1+1', silent: false }), '');

  return [
    value(
      'config',
      [configFile, samples.config],
      (input) => parseModelSpec(input, 'config.json'),
      ({ vocabSize, hiddenSize, layers }) =>
        [vocabSize, hiddenSize].every((size) => isCount(size, 1)) &&
        layers.every(({ attention: { numHeads, numKvHeads, headDim }, ffn }) =>
          [numHeads, numKvHeads, headDim, ffn.numExperts, ffn.width].every((size) => isCount(size, 1)),
        ),
    ),
    value(
      'generation config',
      [json('experiments/pair/target/generation_config.json'), { eos_token_id: [1, 2] }],
      (input) => parseEosTokenIds(input, 'generation_config.json'),
      (ids) => ids === null || ids.every((id) => isCount(id)),
    ),
    value(
      'acceptance',
      samples.acceptances,
      (input) => parseAcceptance(input, 'a.json'),
      (acceptance) =>
        acceptance.kind === 'rates'
          ? acceptance.byPosition.every((rate) => isBetween(rate, 0, 1))
          : isCount(acceptance.candidates, 1) &&
            acceptance.sequences.flat().every((run) => isBetween(run, 0, acceptance.candidates)),
    ),
    text(
      'acceptance flag',
      ['0.7', '0.8,0.7,0.6', '1e-7'],
      (input) => {
        if (/[/.]json|^[^\d]/.test(input) || input.length > 200) return { byPosition: [] };
        return openAcceptance('--acceptance', input);
      },
      ({ byPosition }) => byPosition.every((rate) => isBetween(rate, 0, 1)),
    ),
    bytes(
      'acceptance file',
      [Buffer.from(JSON.stringify(samples.acceptances[1]))],
      (input) => openAcceptance('--acceptance', acceptancePath(input)),
      (result) => allFinite(result),
    ),
    value(
      'machine file',
      [json('experiments/machines/env1.json'), json('experiments/machines/env2.json')],
      (input) => parseMachineModel(input, 'm.json'),
      (machine) =>
        allFinite(machine, (name) => name === 'largestPieceBytes') &&
        machine.lanes.every((lane) => !('moves' in lane) || lane.bytesPerSecond >= 1e6),
    ),
    value(
      'calibration',
      [json('experiments/machines/calibration/paper.json')],
      (input) => parseCalibration(input, 'c.json'),
      (result) => allFinite(result),
    ),
    value('definition', samples.definitions, (input) => parseDefinition(input, 'd.json'), checkDefinition),
    value(
      'policy',
      [{ candidates: 4, decodeBatch: 64, cache: 'host', hostShare: 0.5, speculation: 'serial' }],
      parsePolicy,
      (policy) =>
        Object.keys(policy).every((field) => Object.hasOwn(policyFields, field)) && allFinite(policy),
    ),
    value(
      'policy file',
      [samples.policyFile],
      (input) => parsePolicyFile(input, 'policy.json'),
      ({ policy, plannedFor }) =>
        Object.keys(policy).every((field) => Object.hasOwn(policyFields, field)) &&
        allFinite(policy) &&
        allFinite(plannedFor) &&
        isCount(plannedFor.deviceBytes, 1) &&
        isCount(plannedFor.prompts, 1),
    ),
    value(
      'tunnel file',
      [json('results/reference/tunnel-env1.json')],
      (input) => parseTunnel(input, 'tunnel.json'),
      (tunnel) => allFinite(tunnel) && isCount(tunnel.memory.deviceBytes, 1),
    ),
    value(
      'settings',
      samples.settings,
      (input) => {
        assertPlain(input, 'the settings'); // as a definition that they stand in is
        return check(settingsOf('simulated'), input, 'the settings');
      },
      (result) => allFinite(result),
    ),
    value(
      'record',
      samples.records,
      (input) => parseRunRecord(input, 'run.json'),
      (record) =>
        isBetween(record.result.tokensPerSecond, 0, Number.MAX_VALUE) && /^[0-9a-f]{16,64}$/.test(record.key),
    ),
    value(
      'trace',
      [samples.trace],
      (input) => parseChromeTrace(input, 'trace.json'),
      (trace) =>
        allFinite(trace) &&
        trace.spans.every((span) => span.endSeconds >= span.startSeconds && span.bytes >= 0),
    ),
    text(
      'tokens',
      [samples.tokens],
      (input) => parseTokens(input, 'tokens.jsonl'),
      (lines) =>
        lines.every(({ ids, margins }) => ids.every((id) => isCount(id)) && margins.length === ids.length),
    ),
    text(
      'expression',
      [
        'candidates <= 8 or decodeBatch < 64',
        'strategy == "none" ? 1 : candidates ^ 2',
        'max(candidates, 3) * -decodeBatch',
      ],
      (input) =>
        parseExpression(input, names, 'filters[0]').evaluate({
          candidates: 4,
          decodeBatch: 64,
          strategy: 'none',
        }),
      (answer) => ['string', 'boolean'].includes(typeof answer) || Number.isFinite(answer),
    ),
    text(
      'size',
      ['512MB', '24GiB', '1.5e3 kB'],
      (input) => parseBytes('--x', input),
      (size) => isCount(size, 4096) && size <= 2 ** 46,
    ),
    text(
      'rate',
      ['1.2GB/s', '500 MB / s'],
      (input) => parseBytesPerSecond('--x', input),
      (rate) => isBetween(rate, 1000, 1e13),
    ),
    text(
      'time',
      ['90s', '10min', '2h'],
      (input) => parseSeconds('--x', input),
      (time) => isBetween(time, 1, 30 * 86_400),
    ),
    text(
      'parameter',
      ['quick=true', 'n=12', 'name="x"', 'list=[1, 2]'],
      (input) => {
        const [name, item] = parseAssignment(input);
        return { name, item };
      },
      ({ name }) => /^[A-Za-z_$][\w$]*$/.test(name),
    ),
    value(
      'literal',
      [{ a: [1, 'x', null, { b: true }], c: -0 }],
      (input) => toTypeScript(input),
      (source) => typeof source === 'string',
    ),
    value(
      'notebook',
      [samples.notebook],
      (input) => parseNotebook(plainJson(input), 'n.ipynb'),
      checkNotebook,
    ),
    text(
      'page',
      [JSON.stringify(samples.notebook), JSON.stringify(samples.markdown)],
      (input) => renderNotebook(parseNotebook(input, 'n.ipynb'), 'a page'),
      (page) =>
        !/<script(?! type="text\/plain")[^>]*>[^<]*alert\(/i.test(page) &&
        !/(href|src)\s*=\s*["']?\s*javascript:/i.test(page),
    ),
    text(
      'markdown',
      samples.texts,
      (input) =>
        renderNotebook(
          { metadata: {}, cells: [{ id: 'a', cell_type: 'markdown', metadata: {}, source: input }] },
          'a page',
        ),
      (page) =>
        page.endsWith('</main></body></html>\n') && !/(href|src)\s*=\s*["']?\s*javascript:/i.test(page),
    ),
    bytes(
      'gguf',
      [samples.gguf],
      async (input) => {
        const gguf = await readGguf(ggufPath(input));
        return { ...gguf, spec: await specOfGguf(gguf), tokenizer: tokenizerOfGguf(gguf) };
      },
      ({ spec, files: [{ byteLength, tensors }] }) =>
        isCount(spec.hiddenSize) &&
        tensors.every(
          ({ fileOffset, byteLength: length }) =>
            isCount(fileOffset) && isCount(length) && fileOffset + length <= byteLength,
        ),
    ),
    bytes(
      'safetensors',
      [samples.safetensors],
      (input) => readSafetensors(safetensorsFile(input)),
      ({ byteLength, tensors }) =>
        tensors.every(
          (tensor) =>
            isCount(tensor.fileOffset) &&
            isCount(tensor.byteLength) &&
            tensor.fileOffset + tensor.byteLength <= byteLength,
        ),
    ),
    value('quantised weights', quantisedSamples, (input) => quantised(plainJson(input)), areWhole),
    bytes(
      'shard index',
      [
        Buffer.from(
          JSON.stringify({ metadata: { total_size: 8 }, weight_map: { a: 'model-1.safetensors' } }),
        ),
      ],
      (input) => {
        const path = shardIndex(input);
        writeFileSync(join(path, '..', 'model-1.safetensors'), samples.safetensors);
        return readShards(join(path, '..'));
      },
      (files) => files.length > 0,
    ),
    value(
      'tokenizer',
      [tokenizerFile],
      async (input) => loadTokenizer(join(tokenizerPath(plainJson(input)), '..')),
      (tokenizer) => tokenizer === null || isCount(tokenizer.vocabSize, 1),
    ),
    ...['txt', 'jsonl', 'json'].map((extension) => {
      const path = fileOf(`prompts.${extension}`);
      return bytes(
        `prompts.${extension}`,
        [samples.prompts[extension]],
        (input) =>
          loadWorkload(path(input), null, {
            size: 50,
            tokenizer: { encode: (words) => [...words].map(() => 1) },
          }),
        ({ prompts }) => prompts.length > 0 && prompts.flat().every((id) => isCount(id) && id < 50),
      );
    }),
    bytes(
      'connection file',
      [Buffer.from(JSON.stringify(samples.connection))],
      (input) => readConnectionFile(connectionPath(input)),
      (connection) =>
        ['shell', 'iopub', 'stdin', 'control', 'hb'].every((channel) =>
          isBetween(connection[`${channel}_port`], 1, 65_535),
        ),
    ),
    bytes(
      'message',
      [Buffer.from(frames[2])],
      (input) => decodeMessage([frames[0], Buffer.alloc(0), ...Array(4).fill(input)], ''),
      ({ header }) => typeof header.msg_type === 'string',
    ),
    value(
      'message content',
      [{ code: '1+1', silent: false, user_expressions: {} }],
      (input) =>
        decodeMessage([frames[0], Buffer.alloc(0), ...frames.slice(2, 5), Buffer.from(plainJson(input))], ''),
      ({ header }) => typeof header.msg_id === 'string',
    ),
  ];
}

/** JSON of a value that may hold what JSON cannot: such parts are left out. */
function plainJson(input) {
  try {
    return JSON.stringify(input) ?? 'null';
  } catch {
    return '{"x": ';
  }
}

function checkDefinition(definition) {
  if (hasPoint(definition) === false || !/^[a-z0-9][a-z0-9-]{0,63}$/.test(definition.name)) return false;
  for (const { axes, settings } of expandPoints(definition)) return allFinite(axes) && allFinite(settings);
  return true;
}

function checkNotebook(notebook) {
  const again = serializeNotebook(notebook);
  return serializeNotebook(parseNotebook(again, 'again')) === again;
}

const parser = (kind) => (name, inputs, parse, check) => ({ kind, name, samples: inputs, parse, check });
const value = parser('value');
const text = parser('text');
const bytes = parser('bytes');
