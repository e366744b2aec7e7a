/** `specoffload chat`: a conversation whose replies come as they are written; Ctrl-C ends a reply, twice the chat. */

import { createInterface } from 'node:readline';
import { loadChatTemplate, readPublishedSampling } from '@specoffload/engine';
import type { Command } from 'commander';
import { openPair } from '../../inputs/pair.js';
import { Conversation, type Reply, type ReplySignals } from '../../job/conversation.js';
import { describeSampling } from '../../job/describe-run.js';
import { notePayoff } from '../../job/payoff.js';
import { displayPath } from '../../paths.js';
import type { PolicyFile } from '../../plan/policy-file.js';
import { InterruptedError, UsageError } from '../../terminal/errors.js';
import { formatSeconds, plural, threeDigits } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import {
  type CommandContext,
  type CommonOptions,
  flagsGivenTo,
  type IsGiven,
  outputFor,
  withCommonOptions,
} from './common.js';
import { settleDraft } from './draft-use.js';
import { addGenerationOptions, type GenerationOptions } from './generation-options.js';
import { toMachineSettings } from './machine-options.js';
import {
  addPolicyFileOption,
  applyPolicyFile,
  noteOtherUse,
  type PolicyFileOptions,
  useHere,
} from './policy-file-option.js';
import { toPolicyInput } from './policy-options.js';
import { orPublished, toSamplingInput } from './sampling-options.js';
import { addStopOption, type StopOptions } from './text-options.js';

interface ChatOptions extends CommonOptions, GenerationOptions, StopOptions, PolicyFileOptions {
  readonly system?: string;
}

export function addChatCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('chat')
    .description(
      'talk to a target that streams from disk, line by line; replies come as their tokens are accepted, and no record is written',
    );
  addGenerationOptions(command, {
    usualStrategy: 'serial where something proposes, none where only a target is given',
    usualDraws: 'as published with the model, each flag in place of one of its values; else 0',
    ...{ newTokensOf: 'of a reply', usualNewTokens: 128, lineFor: 'reply' },
  }).option('--system <text>', 'what the system says before');
  addStopOption(command);
  addPolicyFileOption(command);
  withCommonOptions(
    command,
    'specoffload chat --target SmolLM2-135M-Instruct.Q4_1.gguf --drafter prompt-lookup --temperature 0.7',
    'echo "Once upon a time" | specoffload chat --new-tokens 40',
    'specoffload chat --policy policy.json',
  ).action(async (typed: ChatOptions) => {
    const output = outputFor(typed, typed.jsonl);
    const { options, isSettled, file } = await applyPolicyFile(typed, flagsGivenTo(command));
    const conversation = await openConversation(options, file, isSettled, output);
    try {
      await talk(conversation, options, output, context);
    } finally {
      await conversation.close();
    }
  });
}

/** Of a chat nothing is known beforehand but that it is one: its length is that of a few lines. */
const usualReply = { name: 'dialogue', prompts: [new Array<number>(64).fill(0)] };

async function openConversation(
  options: ChatOptions,
  file: PolicyFile | null,
  isGiven: IsGiven,
  output: Output,
): Promise<Conversation> {
  const policy = toPolicyInput(options);
  const machine = toMachineSettings(options);
  const given = toSamplingInput(options);
  const { drafter, newTokens: maxNewTokens, seed } = options;
  const proposes = isGiven('draft') || drafter !== undefined || !isGiven('target');
  const strategy = options.strategy ?? (proposes ? 'serial' : 'none');
  const choice = { strategy, policy, isPlanned: false, ...(drafter ? { drafter } : {}) };
  const { hasModel } = settleDraft(choice, isGiven, output);
  const pair = await openPair(options.target, hasModel ? options.draft : null);
  const { directory } = pair.target;
  const template = await loadChatTemplate(directory);
  if (!template && options.system !== undefined)
    throw new UsageError(
      `${directory} has no chat template, so nobody could tell a system from a user; leave --system out`,
    );
  const published = await readPublishedSampling(directory);
  const sampling = orPublished(given, published?.sampling);
  const job = {
    ...{ ...pair, strategy, policy, machine, maxNewTokens, seed, sampling, stopAtEos: true },
    ...(drafter ? { drafter } : {}),
    ...(options.stop ? { stops: options.stop } : {}),
  };
  if (file) noteOtherUse(file, await useHere({ ...pair, machine, prompts: 1 }), output);
  await notePayoff({ ...job, workload: usualReply }, output);
  const conversation = new Conversation({
    job,
    ...{ template, system: options.system ?? null },
  });
  if (!template)
    output.note(
      `${pair.target.name} has no chat template: it continues the text of the conversation as it is, which is all that a model without one has learnt`,
    );
  if (published && sampling && sampling !== given)
    output.note(
      `tokens are drawn as ${displayPath(published.source)} says: ${describeSampling(sampling)}; --temperature 0 chooses the most likely`,
    );
  return conversation;
}

async function talk(
  conversation: Conversation,
  { jsonl }: ChatOptions,
  output: Output,
  { signal, takeInterrupts }: CommandContext,
): Promise<void> {
  const lines = createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY });
  const interrupts = new Interrupts(() => lines.close());
  takeInterrupts?.(() => interrupts.interrupt());
  signal.addEventListener('abort', () => interrupts.endAll());
  if (signal.aborted) interrupts.endAll();
  const isTyped = process.stdin.isTTY === true;
  const ask = () => isTyped && output.stream('\n> ');
  ask();
  for await (const line of lines) {
    interrupts.clear();
    if (line.trim() !== '') {
      const reply = await replyTo(conversation, line, interrupts, output);
      if (reply) {
        if (jsonl) output.document({ prompt: line, completion: reply.text, stopReason: reply.stopReason });
        if (isTyped) output.note(describeReply(reply));
      }
    }
    if (interrupts.isOver || signal.aborted) break;
    ask();
  }
  signal.throwIfAborted();
  if (interrupts.isOver) throw new InterruptedError(130);
  if (!jsonl) output.document({ messages: conversation.messages });
}

/** @returns null when it was interrupted */
async function replyTo(
  conversation: Conversation,
  line: string,
  interrupts: Interrupts,
  output: Output,
): Promise<Reply | null> {
  const signals = interrupts.begin();
  try {
    return await conversation.reply(line, signals, (text) => output.stream(text));
  } catch (error) {
    if (!signals.signal.aborted) throw error;
    return null;
  } finally {
    interrupts.end();
    output.stream('\n');
  }
}

function describeReply(reply: Reply): string {
  const { newTokens, seconds, stopReason, forgotten, promptTokens, heldTokens } = reply;
  const speed =
    `${plural(newTokens, 'token')} in ${formatSeconds(seconds)}, ${threeDigits(newTokens / seconds)} a second` +
    `; read ${promptTokens - heldTokens} of ${plural(promptTokens, 'token')} anew`;
  const ended = stopReason === 'length' ? '; cut at --new-tokens' : '';
  return forgotten === 0 ? `${speed}${ended}` : `${speed}${ended}; ${plural(forgotten, 'message')} forgotten`;
}

/** The first Ctrl-C ends the reply under way with its next token, another before the next line all at once. */
class Interrupts {
  readonly #endChat: () => void;
  #reply: { readonly now: AbortController; readonly soon: AbortController } | null = null;
  #count = 0;

  constructor(endChat: () => void) {
    this.#endChat = endChat;
  }

  get isOver(): boolean {
    return this.#count > 1;
  }

  interrupt(): void {
    this.#count += 1;
    if (this.#reply) this.#reply.soon.abort();
    else if (this.#count === 1) process.stderr.write('\nCtrl-C again, or Ctrl-D, ends the chat\n> ');
    if (this.isOver) this.endAll();
  }

  /** The process is asked to end. */
  endAll(): void {
    this.#reply?.now.abort(new InterruptedError(130));
    this.#endChat();
  }

  begin(): ReplySignals {
    const [now, soon] = [new AbortController(), new AbortController()];
    this.#reply = { now, soon };
    return { signal: now.signal, interrupted: soon.signal };
  }

  end(): void {
    this.#reply = null;
  }

  /** Another line was typed. */
  clear(): void {
    this.#count = 0;
  }
}
