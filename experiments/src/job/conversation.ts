/** A conversation with a model: what was said so far, and one reply after the other. */

import {
  type ChatMessage,
  type ChatTemplate,
  type StopReason,
  Talk,
  type Tokenizer,
  type TokenListener,
} from '@specoffload/engine';
import { UserError } from '@specoffload/input';
import { encodeConversations } from '../inputs/chat.js';
import { Completions } from './completion.js';
import { type Job, toTalkRequest } from './execute.js';

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
  /** Tokens that the model read for it, and of them those that its cache held already. */
  readonly promptTokens: number;
  readonly heldTokens: number;
}

export interface ReplySignals {
  /** Ends the reply at once, and with it the caches. */
  readonly signal: AbortSignal;
  readonly interrupted: AbortSignal;
}

/** Caches and resident weights last from one reply to the next; {@link Conversation.close} gives them back. */
export class Conversation {
  readonly #options: ConversationOptions;
  readonly #talk: Talk;
  #messages: readonly ChatMessage[];

  constructor(options: ConversationOptions) {
    this.#options = options;
    this.#talk = new Talk(toTalkRequest(options.job));
    this.#messages = options.system === null ? [] : [{ role: 'system', content: options.system }];
  }

  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /**
   * @param interrupted aborting it ends the reply with its next token, so that caches last
   * @param onText told of every piece of the reply; what it was told stays said when a signal aborts
   * @throws UserError as a run; the signal's reason when it aborts
   */
  async reply(
    content: string,
    { signal, interrupted }: ReplySignals,
    onText: (text: string) => void,
  ): Promise<Reply> {
    this.#messages = [...this.#messages, { role: 'user', content }];
    const { ids, forgotten } = await this.#fit();
    const { stops = [] } = this.#options.job;
    let text = '';
    const completions = new Completions({
      ...{ tokenizer: this.#tokenizer, prompts: [ids], stops },
      onText: (_sequence, piece) => {
        text += piece;
        onText(piece);
      },
    });
    try {
      const onToken: TokenListener = (sequence, id) =>
        completions.onToken(sequence, id) ?? (interrupted.aborted ? 'stop' : undefined);
      const turn = await this.#talk.reply({ prompt: ids, onToken, signal });
      completions.end();
      const { stopReason, ids: newIds, seconds, heldTokens } = turn;
      const promptTokens = ids.length;
      return { text, stopReason, newTokens: newIds.length, seconds, forgotten, promptTokens, heldTokens };
    } catch (error) {
      if (!(error instanceof UserError) || this.#messages.length < 2) throw error;
      throw new UserError(`the conversation is ${ids.length} tokens long by now: ${error.message}`);
    } finally {
      this.#messages = [...this.#messages, { role: 'assistant', content: text }];
    }
  }

  async close(): Promise<void> {
    await this.#talk.close();
  }

  get #tokenizer(): Tokenizer {
    const { tokenizer } = this.#options.job;
    if (tokenizer) return tokenizer;
    throw new UserError('a conversation needs a target with a tokenizer.json; add the file');
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
    const { template } = this.#options;
    const tokenizer = this.#tokenizer;
    if (!template) return tokenizer.encode(messages.map(({ content }) => content).join(''));
    const [ids] = await encodeConversations({ tokenizer, template }, [messages]);
    return ids;
  }
}
