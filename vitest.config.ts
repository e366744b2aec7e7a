import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** Files whose checks rest on time, on memory of the whole machine, or on the lock of measured runs. */
const alone = [
  'test/engine/{paced-lane,strategies,wall}.test.ts',
  'test/experiments/{privacy,run,setup}.test.ts',
  'test/experiments/sweep/{kill,measured}.test.ts',
  'test/experiments/{accuracy,pacing,profile,tunnel}*.test.ts',
  'test/native/{pacer,probe,streamer}.test.ts',
  'test/**/*.browser.test.ts',
];

const everything = ['test/**/*.test.ts'];

export default defineConfig({
  test: {
    testTimeout: 120_000,
    hookTimeout: 120_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'side by side',
          include: everything,
          exclude: alone,
          maxWorkers: availableParallelism(),
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
