/** A conversation with a model: what was said so far, and one reply after the other. */

import type { ChatMessage, ChatTemplate, StopReason } from '@specoffload/engine';
import { UserError } from '@specoffload/input';
import { encodeConversations } from '../inputs/chat.js';
import { type Job, runPlan } from './execute.js';

export interface ConversationOptions {
  /** What replies are made with. */
  readonly job: Omit<Job, 'workload'> & { readonly seed: number };
  /** null: the model knows no chat, and the text of both is continued as it is. */
  readonly template: ChatTemplate | null;
  /** What a system's message says before everything; null: none. */
  readonly system: string | null;
}

export interface Reply {
  readonly text: string;
  readonly stopReason: StopReason;
  readonly newTokens: number;
  readonly seconds: number;
  /** Of what was said before, messages that the context no longer holds. */
  readonly forgotten: number;
}

export class Conversation {
  readonly #options: ConversationOptions;
  #messages: readonly ChatMessage[];

  constructor(options: ConversationOptions) {
    this.#options = options;
    this.#messages = options.system === null ? [] : [{ role: 'system', content: options.system }];
  }

  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /**
   * @param onText told of every piece of the reply; what it was told stays said when the signal aborts
   * @throws UserError as a run; the signal's reason when it aborts
   */
  async reply(content: string, signal: AbortSignal, onText: (text: string) => void): Promise<Reply> {
    this.#messages = [...this.#messages, { role: 'user', content }];
    let text = '';
    const { ids, forgotten } = await this.#fit();
    try {
      const { job } = this.#options;
      const { sequences, seconds } = await runPlan(
        { ...job, workload: { name: 'chat', prompts: [ids] } },
        signal,
        undefined,
        (_sequence, piece) => {
          text += piece;
          onText(piece);
        },
      );
      const [{ stopReason, ids: newIds }] = sequences;
      return { text, stopReason, newTokens: newIds.length, seconds, forgotten };
    } finally {
      this.#messages = [...this.#messages, { role: 'assistant', content: text }];
    }
  }

  /** What the model reads: all that was said, or as much of its end as the context holds. */
  async #fit(): Promise<{ ids: readonly number[]; forgotten: number }> {
    const { target, draft, maxNewTokens } = this.#options.job;
    const positions = Math.min(
      target.spec.maxPositions,
      draft?.spec.maxPositions ?? Number.POSITIVE_INFINITY,
    );
    const room = positions - maxNewTokens;
    const first = this.#options.system === null ? 0 : 1;
    for (let forgotten = 0; first + forgotten < this.#messages.length; forgotten += 2) {
      const kept = [...this.#messages.slice(0, first), ...this.#messages.slice(first + forgotten)];
      const ids = await this.#encode(kept);
      if (ids.length <= room) return { ids, forgotten };
    }
    throw new UserError(
      `what was said last does not fit: the context of ${target.name} is ${positions} tokens, of which ${maxNewTokens} are kept for the reply; say less, or ask for fewer new tokens`,
    );
  }

  async #encode(messages: readonly ChatMessage[]): Promise<readonly number[]> {
    const { template, job } = this.#options;
    const { tokenizer } = job;
    if (!tokenizer) throw new UserError('a conversation needs a target with a tokenizer.json; add the file');
    if (!template) return tokenizer.encode(messages.map(({ content }) => content).join(''));
    const [ids] = await encodeConversations({ tokenizer, template }, [messages]);
    return ids;
  }
}
