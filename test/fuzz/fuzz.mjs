/**
 * The lab's fuzzer: hands mutations of valid inputs to every parser of what strangers write, and judges what comes of
 * them. `node test/fuzz/fuzz.mjs --inputs 20000 --seed 1` or `npm run fuzz -- --seconds 60`; `--only NAME` for one
 * parser. Prints counts as JSON, and examples of whatever went wrong; the exit code says whether anything did.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseJson, parseNumber, quote, reasonOf, UserError } from '../../engine/input/dist/index.js';
import { createRandom, mutateBytes, mutateText, mutateValue } from './mutate.mjs';
import { createParsers } from './parsers.mjs';

/** What no sentence may bring to a terminal; a refusal is one line. */
const rawControl =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/;
/** Longer than this, and an input hangs whoever reads it. */
const mostSeconds = 3;
const mostExamples = 5;

const usage =
  'Usage: npm run fuzz -- [--inputs 20000 | --seconds 60] [--seed 1] [--only NAME]\n' +
  'Hands mutations of valid inputs to every parser; --only takes one of them by its name.\n';

const flags = readFlags();
const folder = mkdtempSync(join(tmpdir(), 'specoffload-fuzz-'));
try {
  const report = await fuzz();
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  const { leaked, rawControls, nonsense, slow } = report;
  process.exitCode = leaked + rawControls + nonsense + slow === 0 ? 0 : 1;
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Ends the process where help was asked for, and where nothing would be tried. */
function readFlags() {
  const text = { type: 'string' };
  const options = { inputs: text, seconds: text, seed: { ...text, default: '1' }, only: text };
  try {
    const { values } = parseArgs({ options: { ...options, help: { type: 'boolean' } } });
    if (values.help) {
      process.stdout.write(usage);
      process.exit(0);
    }
    for (const name of ['inputs', 'seconds', 'seed'])
      if (values[name] !== undefined && !((parseNumber(values[name]) ?? -1) >= 0))
        throw new UserError(`invalid --${name}: ${values[name]}; expected a number of at least 0`);
    return values;
  } catch (error) {
    process.stderr.write(`${reasonOf(error)}\n${usage}`);
    process.exit(2);
  }
}

async function fuzz() {
  const seed = Number(flags.seed);
  const random = createRandom(seed);
  const parsers = createParsers(folder).filter(({ name }) => flags.only === undefined || name === flags.only);
  if (parsers.length === 0) {
    const names = createParsers(folder).map(({ name }) => name);
    throw new UserError(`invalid --only: ${quote(flags.only)}; expected ${names.join(', ')}`);
  }
  const most = Number(flags.inputs ?? (flags.seconds === undefined ? 20_000 : Number.MAX_SAFE_INTEGER));
  const endMs = performance.now() + 1000 * Number(flags.seconds ?? Number.MAX_SAFE_INTEGER);
  const counts = {
    seed,
    inputs: 0,
    accepted: 0,
    refused: 0,
    leaked: 0,
    rawControls: 0,
    nonsense: 0,
    slow: 0,
  };
  const examples = [];
  const note = (kind, parser, input, what) => {
    counts[kind] += 1;
    if (
      examples.filter((example) => example.kind === kind && example.parser === parser.name).length <
      mostExamples
    )
      examples.push({ kind, parser: parser.name, what, input: quote(input, 300) });
  };
  await checkSamples(parsers, note);
  while (counts.inputs < most && performance.now() < endMs) {
    const parser = parsers[counts.inputs % parsers.length];
    counts.inputs += 1;
    await judge(parser, random, counts, note);
  }
  return { ...counts, parsers: parsers.length, examples };
}

/** A fuzzer whose samples are refused would test nothing. */
async function checkSamples(parsers, note) {
  for (const parser of parsers)
    for (const sample of parser.samples)
      try {
        if (!parser.check(await parser.parse(sample))) note('nonsense', parser, sample, 'of a valid sample');
      } catch (error) {
        note('leaked', parser, sample, `a valid sample is refused: ${error?.stack}`);
      }
}

async function judge(parser, random, counts, note) {
  const input = mutate(parser, random);
  const start = performance.now();
  try {
    const result = await parser.parse(readInput(parser, input, random));
    counts.accepted += 1;
    if (!isSound(parser, result)) note('nonsense', parser, input, quote(result, 200));
  } catch (error) {
    if (error instanceof UserError) {
      counts.refused += 1;
      if (rawControl.test(error.message)) note('rawControls', parser, input, JSON.stringify(error.message));
    } else note('leaked', parser, input, String(error?.stack ?? quote(error)).slice(0, 800));
  }
  const seconds = (performance.now() - start) / 1000;
  if (seconds > mostSeconds) note('slow', parser, input, `${seconds.toFixed(1)} s`);
}

/** An input of a parser of values: a value of this process, or, every other time, a text that has to be read first. */
function mutate({ kind, samples }, random) {
  const sample = random.pick(samples);
  if (kind === 'text') return mutateText(sample, random);
  if (kind === 'bytes') return mutateBytes(sample, random);
  return random.next() < 0.2
    ? { text: mutateText(JSON.stringify(sample), random) }
    : { value: mutateValue(sample, random, random.next() < 0.5) };
}

function readInput({ kind, name }, input) {
  if (kind !== 'value') return input;
  return 'text' in input ? parseJson(input.text, name) : input.value;
}

function isSound(parser, result) {
  try {
    return {}.x === undefined && parser.check(result);
  } catch {
    return false;
  }
}
