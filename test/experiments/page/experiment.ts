/** An experiment in a store: two systems, two texts, a sweep, three repeats, and a trace of each first repeat. */

import { type Span, toChromeTrace } from '@specoffload/engine';
import { digestOf, type Json } from '../../../experiments/src/store/canonical.js';
import {
  type MeasuredRecord,
  type PointRecord,
  type StoredRun,
  storeRun,
} from '../../../experiments/src/store/index.js';
import { fakeRecord } from '../fake-records.js';

export const hostile = '</script><img src=x onerror=alert(1)>\u2028<!--';

const kinds = ['load', 'upload', 'expert', 'draft'] as const;
const lanes = { load: 'disk', upload: 'link', expert: 'device', draft: 'device' } as const;

/** Passes of four tasks, one after another on their lanes. */
export function fakeSpans(numPasses: number): Span[] {
  return Array.from({ length: numPasses }, (_, pass) =>
    kinds.map((kind, i): Span => {
      const startSeconds = pass * 0.1 + i * 0.02;
      return {
        ...{ id: pass * 4 + i, lane: lanes[kind], kind, name: `${kind} ${hostile}`, pass, batch: 0 },
        ...{ phase: pass === 0 ? 'prefill' : 'decode', bytes: 1e6, rows: 4, flops: 1e6 },
        ...{ readySeconds: startSeconds, startSeconds, endSeconds: startSeconds + 0.02 },
      };
    }),
  ).flat();
}

const memory = {
  device: [{ seconds: 0, bytes: 2e8 }],
  host: [
    { seconds: 0, bytes: 1e8 },
    { seconds: 0.5, bytes: 9e7 },
  ],
};

/** Points and runs with keys of their own. */
export function recordAt(axes: PointRecord['axes'], tokensPerSecond: number, repeat = 0): MeasuredRecord {
  const record = fakeRecord({ axes, tokensPerSecond, repeat });
  const keyOf = (value: Json) => digestOf(value).slice(0, 32);
  const point = { ...record.point!, pointKey: keyOf(axes) };
  return { ...record, key: keyOf([axes, repeat]), point };
}

/** Every point is written `repeats` times. */
export async function storeExperiment(results: string, repeats = 3): Promise<StoredRun[]> {
  const runs: StoredRun[] = [];
  for (const [i, system] of ['FlexGen', hostile].entries())
    for (const workload of ['code', 'prose'])
      for (const candidates of [2, 4, 8])
        for (let repeat = 0; repeat < repeats; repeat += 1) {
          const tokensPerSecond = (i + 1) * (10 + candidates) * (1 + 0.01 * repeat);
          const record = recordAt({ system, workload, candidates }, tokensPerSecond, repeat);
          const trace = repeat === 0 ? JSON.stringify(toChromeTrace(fakeSpans(40), memory)) : null;
          runs.push(await storeRun(results, 'test', { recordOf: () => record, trace, tokens: null }));
        }
  return runs;
}
