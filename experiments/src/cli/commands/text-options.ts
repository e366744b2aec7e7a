/** The flags for text in and text out: prompts as they are typed, messages to a chat model, texts that end a reply. */

import type { Command } from 'commander';
import { asFirstMessages, openChatTemplate } from '../../inputs/chat.js';
import type { OpenPair } from '../../inputs/pair.js';
import { loadWorkload, typedWorkload, type Vocabulary, type Workload } from '../../inputs/prompts.js';
import { UsageError } from '../../terminal/errors.js';
import type { IsGiven } from './common.js';

export interface StopOptions {
  readonly stop?: readonly string[];
}

export interface TextOptions extends StopOptions {
  readonly prompt?: readonly string[];
  readonly chat?: true;
  readonly system?: string;
}

const oneMore = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

export function addStopOption(command: Command): Command {
  return command.option(
    '--stop <text>',
    'end a text before this one, wherever it begins; may be given several times',
    (text: string, before?: readonly string[]) => {
      if (text === '') throw new UsageError('invalid --stop: ""; expected a text of at least one character');
      return oneMore(text, before);
    },
  );
}

export function addTextOptions(command: Command): Command {
  command
    .option(
      '--prompt <text>',
      'continue this text and show how it goes on; may be given several times',
      oneMore,
    )
    .option('--chat', "put prompts into the target's chat template, as what a user says")
    .option('--system <text>', 'with --chat: what the system says before');
  return addStopOption(command);
}

/** What to continue. @throws UsageError for flags that contradict each other, UserError as `loadWorkload` */
export async function openPrompts(
  { prompt, chat, system, prompts, numPrompts }: TextOptions & { prompts: string; numPrompts?: number },
  { target, tokenizer }: OpenPair,
  isGiven: IsGiven,
): Promise<Workload> {
  const stray = ['prompts', 'numPrompts'].find(isGiven);
  if (prompt && stray)
    throw new UsageError(
      `--prompt and --${stray === 'prompts' ? 'prompts' : 'num-prompts'} contradict each other; give one of them`,
    );
  if (system !== undefined && !chat)
    throw new UsageError('--system is for --chat; add it, or leave --system out');
  const template = chat && tokenizer ? await openChatTemplate(target.directory) : null;
  const vocabulary: Vocabulary = {
    ...{ size: target.spec.vocabSize, tokenizer },
    encode: template && tokenizer ? asFirstMessages({ tokenizer, template }, system ?? null) : undefined,
  };
  return prompt ? typedWorkload(prompt, vocabulary) : loadWorkload(prompts, numPrompts ?? null, vocabulary);
}
