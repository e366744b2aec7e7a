import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files whose checks rest on rates and times, on the checkout's builds, or on the lock of measured runs. */
const alone = [
  'test/experiments/setup.test.ts',
  'test/experiments/sweep/measured.test.ts',
  'test/native/{pacer,probe,streamer}.test.ts',
];

/** Half a minute and more each: what begins last must be short, or one core waits for the other at the end. */
const longest = [
  'notebooks',
  'engine/competitors',
  'kernel/run',
  'sweep/kill',
  'kernel/jupyter',
  'engine/property',
  'sweep/shipped',
  'kernel/browser',
  'kernel/session',
  'engine/strategies',
  'experiments/plan',
  'engine/plan',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rankOf = ({ moduleId }: TestSpecification) => {
      const rank = longest.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`));
      return rank < 0 ? longest.length : rank;
    };
    return (await super.sort(files)).sort((a, b) => rankOf(a) - rankOf(b));
  }
}

const everything = ['test/**/*.test.ts'];

export default defineConfig({
  test: {
    testTimeout: 120_000,
    hookTimeout: 120_000,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'side by side',
          include: everything,
          exclude: alone,
          // One more than cores: many wait for a kernel, a browser or a limit of time.
          maxWorkers: availableParallelism() + 1,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: { name: 'alone', include: alone, fileParallelism: false, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
