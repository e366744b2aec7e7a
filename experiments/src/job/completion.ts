/** Texts of sequences while they come: what is certain, up to a stop string. */

import { StopStrings, TextStream, type Tokenizer, type TokenListener } from '@specoffload/engine';

export interface CompletionRequest {
  readonly tokenizer: Tokenizer;
  readonly prompts: readonly (readonly number[])[];
  readonly stops?: readonly string[];
  /** Told of every piece of a text. */
  readonly onText?: ((sequence: number, text: string) => void) | undefined;
}

interface Completion {
  readonly stream: TextStream;
  readonly stops: StopStrings;
  text: string;
  isStopped: boolean;
}

export class Completions {
  readonly #request: CompletionRequest;
  readonly #completions: readonly Completion[];

  constructor(request: CompletionRequest) {
    const { tokenizer, prompts, stops = [] } = request;
    this.#request = request;
    this.#completions = prompts.map((prompt) => ({
      ...{ stream: new TextStream(tokenizer, prompt), stops: new StopStrings(stops) },
      ...{ text: '', isStopped: false },
    }));
  }

  /** For the engine: ends a sequence with the token that completes a stop string. */
  readonly onToken: TokenListener = (sequence, id) => {
    const completion = this.#completions[sequence];
    const { text, isStopped } = completion.stops.push(completion.stream.push(id));
    completion.isStopped = isStopped;
    this.#tell(sequence, text);
    return isStopped ? 'stop' : undefined;
  };

  /** Tells what was held back; nothing follows. @returns all texts */
  end(): readonly string[] {
    for (const [sequence, { stream, stops, isStopped }] of this.#completions.entries())
      if (!isStopped) {
        const { text, isStopped: stopsNow } = stops.push(stream.end());
        this.#tell(sequence, stopsNow ? text : text + stops.end());
      }
    return this.#completions.map(({ text }) => text);
  }

  #tell(sequence: number, text: string): void {
    this.#completions[sequence].text += text;
    if (text !== '') this.#request.onText?.(sequence, text);
  }
}
