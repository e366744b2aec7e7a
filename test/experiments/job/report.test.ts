import { describe, expect, it } from 'vitest';
import { describeRun, quoteSample } from '../../../experiments/src/job/describe-run.js';
import { explain, formatComparison } from '../../../experiments/src/job/summary.js';
import { buildRecord, type RunRecord } from '../../../experiments/src/store/index.js';
import { createOutput, describeProgress } from '../../../experiments/src/terminal/output.js';
import { formatTable } from '../../../experiments/src/terminal/table.js';
import { fakeResult, fakeRun } from '../fake-run.js';

describe('formatTable', () => {
  it('aligns names left and numbers right', () => {
    const text = formatTable(
      [
        { title: 'name', align: 'left', text: ({ name }: { name: string }) => name },
        { title: 'size', text: ({ name }) => String(name.length) },
      ],
      [{ name: 'a' }, { name: 'abcdefghijk' }],
    );
    expect(text).toBe(
      ['name         size', '───────────  ────', 'a               1', 'abcdefghijk    11'].join('\n'),
    );
  });
});

describe('describeRun', () => {
  it('gives throughput, lanes by phase, acceptance, memory and traffic', () => {
    expect(describeRun(buildRecord(fakeRun(), 0))).toMatchInlineSnapshot(`
      "serial: 4 new tokens for 2 prompts in 2.0 s, 2.00 tokens/s

      phase     time  disk  link  host  device
      ───────  ─────  ────  ────  ────  ──────
      prefill  1.0 s  97 %  50 %  50 %    50 %
      decode   1.0 s  97 %  50 %  50 %    50 %

      device idle    decode 50 %: weights 38 %, attention 13 %; prefill 50 %: weights 38 %, attention 13 %
      acceptance     50 % of 4 candidates, 2.00 tokens per round; by position 50 %
      peak memory    device 400 MB of 500 MB, host 100 MB of 500 MB
      moved          2.00 GB from disk (1.00 GB/s), 1.00 GB over the link
      target passes  2; 0 tokens that rounding could have chosen otherwise"
    `);
  });

  it('says how tokens were drawn, and which card computed', () => {
    const device = { name: 'some card', driver: '1.0', link: 'imported' as const, hasCopyQueue: true };
    const spec = { ...fakeRun().spec, sampling: { temperature: 0.8, topP: 0.9 } };
    const use = { busySeconds: 0.75, utilization: 0.75, kernelSeconds: { attention: 0.25, matmul: 0.5 } };
    const drawn = { joules: 60, watts: 60 };
    const measured = {
      deviceUse: { compute: { prefill: use, decode: use }, copy: null },
      devicePower: { source: 'nvml', prefill: drawn, decode: drawn } as const,
    };
    const record = buildRecord(fakeRun({ spec, result: fakeResult({ device, ...measured }) }), 0);
    const text = describeRun(record);
    expect(text).toMatch(/^drawn +temperature 0\.8, topP 0\.9$/m);
    expect(text).toMatch(/^computed by +some card, host memory imported$/m);
    expect(text).toMatch(
      /^compute queue +decode 75 % busy: matmul 50 %, attention 25 %; prefill 75 % busy: matmul 50 %, attention 25 %$/m,
    );
    expect(text).toMatch(/^copy queue +not measured: the card does not tell the time there$/m);
    expect(text).toMatch(/^power +decode 60\.0 W, prefill 60\.0 W, 30\.0 J per new token \(nvml\)$/m);
    const untold = describeRun(buildRecord(fakeRun({ result: fakeResult({ device }) }), 0));
    expect(untold).toMatch(/^power +not read: neither NVML nor hwmon knows the card$/m);
  });
});

describe('the main job', () => {
  const recordOf = (strategy: RunRecord['strategy'], tokensPerSecond: number, diskBytes: number) => {
    const bytesMoved = { disk: diskBytes, link: 0 };
    const acceptance = strategy === 'none' ? null : fakeResult().acceptance;
    return buildRecord(
      fakeRun({ result: fakeResult({ strategy, tokensPerSecond, bytesMoved, acceptance }) }),
      0,
    );
  };

  it('prints one table', () => {
    const records = [
      recordOf('none', 4, 3e10),
      recordOf('serial', 10, 1e10),
      recordOf('specoffload', 8, 2e10),
    ];
    expect(formatComparison(records)).toMatchInlineSnapshot(`
      "strategy     tokens/s  x none  prefill  decode  tok/round  accepted  device  host  link  disk  device peak     read
      ───────────  ────────  ──────  ───────  ──────  ─────────  ────────  ──────  ────  ────  ────  ───────────  ───────
      none             4.00    1.00    1.0 s   1.0 s          -         -    50 %  50 %  50 %  97 %       400 MB  30.0 GB
      serial           10.0    2.50    1.0 s   1.0 s       2.00      50 %    50 %  50 %  50 %  97 %       400 MB  10.0 GB
      specoffload      8.00    2.00    1.0 s   1.0 s       2.00      50 %    50 %  50 %  50 %  97 %       400 MB  20.0 GB"
    `);
  });

  it('says plainly that specoffload is slower', () => {
    const records = [
      recordOf('none', 4, 3e10),
      recordOf('serial', 10, 1e10),
      recordOf('specoffload', 8, 2e10),
    ];
    expect(explain(records)).toEqual([
      'Busiest in decode: none the disk (97 %); serial the disk (97 %); specoffload the disk (97 %).',
      'serial wrote 2.50 times the tokens per second of none (one run of each), 1.00 times in decode alone: a round yields 2.00 tokens per sequence, so the weights are needed for 2 passes instead of 2.',
      'specoffload was SLOWER than serial here (0.80 times its speed, one run of each): each of its two batches has passes of its own, so it reads 20.0 GB where serial reads 10.0 GB.',
    ]);
  });

  it('says plainly that speculation does not pay', () => {
    const records = [
      recordOf('none', 4, 1e10),
      recordOf('serial', 3, 1e10),
      recordOf('specoffload', 2, 2e10),
    ];
    expect(explain(records)[1]).toBe(
      'Speculation did not pay here: the better of the two, serial, had 0.75 times the speed of none (one run of each), for a round yields 2.00 tokens per sequence and its draft takes time.',
    );
  });

  it('says what the same weights brought where they are packed', () => {
    const plain = recordOf('serial', 8, 2e10);
    const run = recordOf('serial', 10, 1e10);
    const target = { ...run.model.target, bytes: 0.78 * run.model.target.bytes, format: 'bf16_packed' };
    const packed = { ...run, model: { ...run.model, target } } as RunRecord;
    expect(formatComparison([plain, packed])).toMatch(/^serial, packed +10\.0 +1\.25 /m);
    expect(explain([plain, packed])).toEqual([
      'Busiest in decode: serial the disk (97 %); serial, packed the disk (97 %).',
      'serial from the same weights packed without loss (0.78 of the bytes) wrote 1.25 times the tokens per second (one run of each), 1.00 times in decode alone: it reads 10.0 GB instead of 20.0 GB, since layers are smaller and more of them stay in memory.',
    ]);
  });

  it('says so where it is faster', () => {
    const records = [
      recordOf('none', 4, 3e10),
      recordOf('serial', 8, 1e10),
      recordOf('specoffload', 10, 1e10),
    ];
    expect(explain(records).at(-1)).toBe(
      'specoffload was 1.25 times as fast as serial here, one run of each: it drafts for one batch while the other is verified.',
    );
  });
});

describe('quoteSample', () => {
  it('shows the end of the prompt and where the model takes over, and lets no escape code through', () => {
    expect(quoteSample('x'.repeat(100), 'one\ntwo\x1b[31m\n\n\nthree', 3)).toBe(
      [`  │ …${'x'.repeat(60)}⟫one`, '  │ two·[31m', '  │', '  │ …'].join('\n'),
    );
  });
});

describe('progress', () => {
  const progress = {
    phase: 'decode',
    passes: 1200,
    newTokens: 40,
    maxNewTokens: 512,
    finishedSequences: 1,
    numSequences: 16,
    elapsedSeconds: 61,
  } as const;
  const line = 'none: decode, pass 1,200, 40 of 512 tokens, 1 of 16 sequences done, 1 min 1 s';

  function record(isTTY: boolean) {
    const written: string[] = [];
    const stream = { write: (text: string) => written.push(text), isTTY, columns: 200 };
    let seconds = 0;
    const output = createOutput(stream, stream, false, () => seconds);
    const follower = output.follow();
    for (seconds = 0; seconds < 25; seconds++) follower.update(() => describeProgress('none', progress));
    follower.end();
    return written;
  }

  it('updates one line on a terminal, and takes it away', () => {
    const written = record(true);
    expect(written).toHaveLength(26);
    expect(written[0]).toBe(`\r\x1b[K${line}`);
    expect(written.at(-1)).toBe('\r\x1b[K');
  });

  it('writes a plain line every ten seconds elsewhere', () => {
    expect(record(false)).toEqual([`${line}\n`, `${line}\n`]);
  });
});
