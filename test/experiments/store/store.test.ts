import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { noCaps, toChromeTrace } from '@specoffload/engine';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { canonicalJson } from '../../../experiments/src/store/canonical.js';
import {
  assertWritable,
  buildRecord,
  earlierKeyOf,
  formatTokens,
  type MeasuredRun,
  parseRunRecord,
  type RunFiles,
  storeRun,
} from '../../../experiments/src/store/index.js';
import { keyOfPoint, keyOfTurn } from '../../../experiments/src/store/spec.js';
import { fakeCheckpoint, fakeMachine, fakeResult, fakeRun, fakeTokenizer } from '../fake-run.js';

let results: string;
beforeEach(async () => {
  results = await mkdtemp(join(tmpdir(), 'specoffload-store-'));
});
afterEach(async () => {
  await rm(results, { recursive: true, force: true });
});

function filesOf(run: MeasuredRun): RunFiles {
  const { result, workload } = run;
  return {
    recordOf: (repeat) => buildRecord(run, repeat),
    trace: JSON.stringify(toChromeTrace(result.spans)),
    tokens: formatTokens(workload.prompts, result.sequences, fakeTokenizer),
  };
}

/** Everything below a folder, hidden files too. */
const everythingIn = async (folder: string) => (await readdir(folder, { recursive: true })).sort();

describe('canonicalJson', () => {
  it.each([
    [{ b: 1, a: [true, null, 'x'] }, '{"a":[true,null,"x"],"b":1}'],
    [{ a: { d: 1.5, c: '"' } }, '{"a":{"c":"\\"","d":1.5}}'],
    [[], '[]'],
  ])('%j', (value, text) => {
    expect(canonicalJson(value)).toBe(text);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('refuses %d', (value) => {
    expect(() => canonicalJson({ a: value })).toThrow(`invalid number: ${value}; expected a finite one`);
  });
});

describe('key', () => {
  const record = buildRecord(fakeRun(), 0);
  const { key } = record;

  it('stays what it was, and so does that of records of earlier versions: they are found again', () => {
    expect(key).toMatchInlineSnapshot(`"a9865b392428d64799e207785217a0d0"`);
    expect(earlierKeyOf(record)).toMatchInlineSnapshot(`"3c82b6e6cb42620fcb20fe6c58ab5048"`);
  });

  it('is the digest of the spec, whoever asked for the run', () => {
    expect(key).toBe(keyOfTurn(keyOfPoint({}, record.spec!), record));
  });

  const draft = fakeCheckpoint('draft', 'b');
  it.each<[string, Partial<MeasuredRun>]>([
    ['result', { result: fakeResult({ tokensPerSecond: 99, seconds: 1, outputDigest: 'cd'.repeat(32) }) }],
    ['time', { createdAt: new Date(0) }],
    ['provenance', { provenance: { ...fakeRun().provenance, commit: null, cores: 64 } }],
    ['names', { target: fakeCheckpoint('other', 'a'), workload: { ...fakeRun().workload, name: 'other' } }],
  ])('does not depend on %s', (_what, changes) => {
    expect(buildRecord(fakeRun(changes), 0).key).toBe(key);
  });

  it.each<[string, Partial<MeasuredRun>]>([
    ['target', { target: fakeCheckpoint('target', 'c') }],
    ['draft', { draft: fakeCheckpoint('draft', 'c') }],
    ['no draft', { draft: null }],
    ['strategy', { result: fakeResult({ strategy: 'none' }) }],
    ['policy', { result: fakeResult({ policy: { ...fakeResult().policy, candidates: 5 } }) }],
    ['core', { machine: { ...fakeMachine, native: 'twin' } }],
    ['device', { machine: { ...fakeMachine, device: 'isolated' } }],
    ['device memory', { machine: { ...fakeMachine, deviceBytes: 4e8 } }],
    ['link cap', { machine: { ...fakeMachine, caps: { ...noCaps, linkBytesPerSecond: 1e9 } } }],
    ['link cache cap', { machine: { ...fakeMachine, caps: { ...noCaps, linkCacheBytesPerSecond: 1e9 } } }],
    ['host arithmetic cap', { machine: { ...fakeMachine, caps: { ...noCaps, hostFlopsPerSecond: 1e9 } } }],
    ['host weights cap', { machine: { ...fakeMachine, caps: { ...noCaps, hostWeightBytesPerSecond: 1e9 } } }],
    ['draft cap', { machine: { ...fakeMachine, caps: { ...noCaps, draftFlopsPerSecond: 1e9 } } }],
    ['what the KV cache counts as', { machine: { ...fakeMachine, deviceCacheFactor: 2 } }],
    ['what a draft cache counts as', { machine: { ...fakeMachine, draftCacheFactor: 2 } }],
    ['reads in flight', { machine: { ...fakeMachine, readsInFlight: 2 } }],
    ['prompts', { workload: { name: 'code', prompts: [[1, 2, 3], [5]] } }],
    ['prompt order', { workload: { name: 'code', prompts: [[4], [1, 2, 3]] } }],
    ['new tokens', { maxNewTokens: 3 }],
    ['end of sequence', { stopAtEos: false }],
    ['seed', { seed: 1 }],
  ])('depends on %s', (_what, changes) => {
    expect(buildRecord(fakeRun({ draft, ...changes }), 0).key).not.toBe(key);
  });

  it('depends on the repeat', () => {
    expect(buildRecord(fakeRun(), 1).key).not.toBe(key);
  });
});

describe('storeRun', () => {
  it('writes record, timeline and tokens into the folder of the key', async () => {
    const { record, folder } = await storeRun(results, 'test', filesOf(fakeRun()));
    expect(folder).toBe(join(results, 'test', record.key));
    expect(await everythingIn(results)).toEqual(
      ['', '/run.json', '/tokens.jsonl', '/trace.json.gz']
        .map((name) => `test/${record.key}${name}`)
        .concat('test')
        .sort(),
    );
    const written = JSON.parse(await readFile(join(folder, 'run.json'), 'utf8'));
    expect(parseRunRecord(written, 'run.json')).toEqual(record);
    expect(written).toMatchObject({ schema: 1, kind: 'measured', strategy: 'serial', repeat: 0 });

    const trace = JSON.parse(gunzipSync(await readFile(join(folder, 'trace.json.gz'))).toString());
    expect(trace.traceEvents).toContainEqual(
      expect.objectContaining({ ph: 'X', name: 'load layer.0.expert.1', ts: 250_000, dur: 250_000 }),
    );

    const lines = (await readFile(join(folder, 'tokens.jsonl'), 'utf8')).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      {
        prompt: 0,
        promptIds: [1, 2, 3],
        ids: [7, 8],
        text: 'hi',
        margins: [0.5, 0.25],
        routerMargins: [0.1, 0.2],
        stopReason: 'length',
      },
      {
        prompt: 1,
        promptIds: [4],
        ids: [9, 0],
        text: 'ja',
        margins: [1.5, 2],
        routerMargins: [0.1, 0.2],
        stopReason: 'eos',
      },
    ]);
  });

  it('makes the same run again the next repeat, and leaves the first alone', async () => {
    const first = await storeRun(results, 'test', filesOf(fakeRun()));
    const before = await readFile(join(first.folder, 'run.json'), 'utf8');
    const second = await storeRun(results, 'test', filesOf(fakeRun({ result: fakeResult({ seconds: 3 }) })));
    expect([first.record.repeat, second.record.repeat]).toEqual([0, 1]);
    expect(await readFile(join(first.folder, 'run.json'), 'utf8')).toBe(before);
  });

  it('gives runs that end at the same time different repeats', async () => {
    const stored = await Promise.all(
      Array.from({ length: 5 }, () => storeRun(results, 'test', filesOf(fakeRun()))),
    );
    expect(stored.map(({ record }) => record.repeat).sort()).toEqual([0, 1, 2, 3, 4]);
    expect((await readdir(results)).sort()).toEqual(['test']);
  });

  it('leaves nothing behind when building the record fails', async () => {
    const files = {
      ...filesOf(fakeRun()),
      recordOf: () => {
        throw new Error('broken');
      },
    };
    await expect(storeRun(results, 'test', files)).rejects.toThrow('broken');
    expect(await everythingIn(results)).toEqual(['test']);
  });

  it('leaves nothing behind when interrupted', async () => {
    const reason = new Error('stop');
    await expect(storeRun(results, 'test', filesOf(fakeRun()), AbortSignal.abort(reason))).rejects.toBe(
      reason,
    );
    expect(await everythingIn(results)).toEqual(['test']);
  });

  it('says so when the results directory is a file', async () => {
    const path = join(results, 'file');
    await writeFile(path, '');
    const message = 'is no directory; choose another --results';
    await expect(storeRun(path, 'test', filesOf(fakeRun()))).rejects.toThrow(message);
    await expect(assertWritable(path)).rejects.toThrow(message);
  });

  it.skipIf(process.getuid?.() === 0)('says so when it may not write there', async () => {
    await chmod(results, 0o500);
    await expect(assertWritable(results)).rejects.toThrow('cannot write to');
    await chmod(results, 0o700);
  });
});

describe('parseRunRecord', () => {
  const record = buildRecord(fakeRun(), 0);
  it.each<[string, unknown, string]>([
    ['no object', [], 'invalid record: []; expected an object'],
    ['a newer schema', { ...record, schema: 2 }, 'schema 2 is newer than this version reads (1); update'],
    ['no schema', { ...record, schema: undefined }, 'invalid schema: missing; expected 1'],
    ['a schema that never was', { ...record, schema: 0.5 }, 'invalid schema: 0.5; expected 1'],
    ['no key', { ...record, key: undefined }, 'invalid key: missing; expected a hex digest'],
    [
      'a wrong number',
      { ...record, result: { ...record.result, seconds: 'fast' } },
      'invalid result.seconds: "fast"; expected a number of at least 0',
    ],
    [
      'a rate above 1',
      { ...record, result: { ...record.result, acceptance: { ...record.result.acceptance, rate: 1.5 } } },
      'invalid result.acceptance.rate: 1.5; expected 0 to 1',
    ],
    [
      'no finite number',
      JSON.parse(JSON.stringify(record).replace('"seconds":2,', '"seconds":1e999,')),
      'invalid result.seconds: Infinity; expected a number of at least 0',
    ],
    [
      'NaN',
      { ...record, result: { ...record.result, tokensPerSecond: Number.NaN } },
      'invalid result.tokensPerSecond: NaN; expected a number of at least 0',
    ],
    [
      'a policy that is deeper than a policy',
      { ...record, policy: { ...record.policy, candidates: { more: 4 } } },
      'invalid policy.candidates: {"more":4}; expected a text, a number or a list of numbers',
    ],
    ['a time that is none', { ...record, createdAt: 'today' }, 'invalid createdAt: "today"'],
  ])('refuses %s', (_what, input, message) => {
    expect(() => parseRunRecord(input, 'run.json')).toThrow(`run.json: ${message}`);
  });

  it('takes records of versions that did not say where the idle time went, and refuses nonsense about it', () => {
    const withIdle = (deviceIdle: unknown) => {
      const phase = { ...record.result.phases.decode, deviceIdle };
      return { ...record, result: { ...record.result, phases: { prefill: phase, decode: phase } } };
    };
    expect(() => parseRunRecord(withIdle(undefined), 'run.json')).not.toThrow();
    expect(() => parseRunRecord(withIdle({ weights: 1 }), 'run.json')).toThrow(
      'invalid result.phases.prefill.deviceIdle.attention: missing; expected a number of at least 0',
    );
  });

  it('lets fields of later versions through', () => {
    expect(parseRunRecord({ ...record, later: 1 }, 'run.json')).toMatchObject({ later: 1 });
  });
});
