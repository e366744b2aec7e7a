import { openCheckpoint, runEngine, Talk, type TalkRequest } from '@specoffload/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { goldenDirectory } from './model/golden.js';

describe('a talk', () => {
  let request: TalkRequest;
  /** What prompts are continued with by runs of their own. */
  const written = new Map<string, readonly number[]>();

  beforeAll(async () => {
    request = {
      target: await openCheckpoint(goldenDirectory('mixtral')),
      draft: await openCheckpoint(goldenDirectory('mistral-full')),
      ...{ strategy: 'none', maxNewTokens: 5, machine: { deviceBytes: 16e6, hostBytes: 16e6 } },
    };
  });

  async function alone(prompt: readonly number[], { sampling }: TalkRequest): Promise<readonly number[]> {
    const key = JSON.stringify([prompt, sampling]);
    const run = async () => (await runEngine({ ...request, sampling, prompts: [prompt] })).sequences[0].ids;
    const ids = written.get(key) ?? (await run());
    written.set(key, ids);
    return ids;
  }

  const countUp = (count: number) => Array.from({ length: count }, (_, index) => 3 + index);

  it.each<Partial<TalkRequest>>([
    { strategy: 'none', policy: { cache: 'device', attention: 'device', prefillAttention: 'device' } },
    { strategy: 'serial', policy: { speculation: 'ahead', candidates: 3 } },
    { strategy: 'serial', policy: { draftCache: 'recompute' }, sampling: { temperature: 1, seed: 5 } },
    { strategy: 'serial', policy: { draftPlacement: 'after-prefill', candidates: 3, attention: 'split' } },
    { strategy: 'specoffload', drafter: 'suffix-automaton' },
    { strategy: 'flexgen', policy: { attention: 'device', prefillAttention: 'device' } },
  ])('writes what runs of their own write, and reads only what is new: %o', async (choice) => {
    // Too little for a thousand tokens, so that caches have to grow.
    const own = { ...request, machine: { ...request.machine, deviceBytes: 2.2e6 }, ...choice };
    const talk = new Talk(own);
    const told: number[] = [];
    let text: readonly number[] = [];
    const reply = async (prompt: readonly number[]): Promise<number> => {
      const onToken = (_sequence: number, id: number) => void told.push(id);
      const turn = await talk.reply({ prompt, onToken });
      expect(turn.ids).toEqual(await alone(prompt, own));
      expect(told.splice(0)).toEqual(turn.ids);
      text = [...prompt, ...turn.ids];
      return turn.heldTokens;
    };
    try {
      expect(await reply(countUp(20))).toBe(0);
      // The last token of a reply was never fed to the target.
      const held = text.length - 1;
      expect(await reply([...text, 7, 8])).toBe(held);
      expect(await reply([...text.with(9, 1), 11]), 'an earlier token is another one').toBe(9);
      expect(await reply([...text, ...countUp(30)]), 'more than there was room for').toBe(0);
      expect(await reply(text)).toBe(text.length - 1 - 5);
    } finally {
      await talk.close();
    }
  });

  it('begins anew after a turn that was broken off, and says what does not fit', async () => {
    const talk = new Talk({ ...request, machine: { deviceBytes: 16e6, hostBytes: 3e5 } });
    const breaking = new AbortController();
    const onToken = () => void breaking.abort(new Error('enough'));
    try {
      await expect(talk.reply({ prompt: countUp(9), onToken, signal: breaking.signal })).rejects.toThrow(
        'enough',
      );
      const turn = await talk.reply({ prompt: countUp(9) });
      expect(turn).toMatchObject({ heldTokens: 0, ids: await alone(countUp(9), request) });
      await expect(talk.reply({ prompt: countUp(99) })).rejects.toThrow(/host memory budget .* is too small/);
    } finally {
      await talk.close();
    }
  });
});
