/**
 * All that a growing text contains, so that the longest of its endings that stood before is known at once. Time and
 * memory are linear in the text, whatever it repeats. Source: Blumer et al., Theoretical Computer Science 40, 1985; for
 * drafting, SAM decoding, arXiv 2411.10666.
 */

const none = -1;

/** A text of n tokens: n tokens, at most 2 n states of four numbers, 3 n edges of five, 4 n buckets. */
export const automatonBytesPerToken = 4 * (1 + 2 * 4 + 3 * 5 + 4);

export class SuffixAutomaton {
  readonly #tokens: Int32Array;
  /** Tokens of a state's longest text. */
  readonly #length: Int32Array;
  /** The state of its longest ending that also stands elsewhere. */
  readonly #link: Int32Array;
  /** Where its texts were last seen to end: one of their latest places, and only for a new state the end of the text. */
  readonly #seenAt: Int32Array;
  readonly #firstEdge: Int32Array;
  readonly #edges: Int32Array; // (edge, field)
  /** By hash of state and token, the first edge. */
  readonly #buckets: Int32Array;
  #numTokens = 0;
  #numStates = 0;
  #numEdges = 0;
  /** The state of the whole text. */
  #last = 0;

  /** @param capacity most tokens that it holds; once there are more, the first half is forgotten */
  constructor(capacity: number) {
    this.#tokens = new Int32Array(Math.max(2, capacity));
    const { length } = this.#tokens;
    this.#length = new Int32Array(2 * length);
    this.#link = new Int32Array(2 * length);
    this.#seenAt = new Int32Array(2 * length);
    this.#firstEdge = new Int32Array(2 * length);
    this.#edges = new Int32Array(3 * length * edgeFields);
    this.#buckets = new Int32Array(2 ** Math.ceil(Math.log2(2 * length)));
    this.#clear();
  }

  /** Tokens of the longest ending that stood before. */
  get matchLength(): number {
    return this.#numTokens === 0 ? 0 : this.#length[this.#link[this.#last]];
  }

  append(tokens: readonly number[]): void {
    for (const token of tokens) {
      if (this.#numTokens === this.#tokens.length) this.#forgetHalf();
      this.#appendOne(token);
    }
  }

  /**
   * What followed the longest ending that stood before, at one of its latest places; where that reaches the text's end,
   * as if what is proposed stood there already. Empty where the latest token is a new one.
   * @param assumed taken for the text's next tokens, without being kept
   */
  continuation(wanted: number, assumed: readonly number[] = []): number[] {
    const end = this.#endBefore(assumed);
    const proposed: number[] = [];
    if (end === none) return proposed;
    for (let place = end + 1; proposed.length < wanted; place += 1) {
      const behind = place - this.#numTokens;
      const isAssumed = behind < assumed.length;
      if (behind < 0) proposed.push(this.#tokens[place]);
      else proposed.push(isAssumed ? assumed[behind] : proposed[behind - assumed.length]);
    }
    return proposed;
  }

  /**
   * What followed the longest ending behind which another token than `except` has stood, as far as one place of each ending
   * tells; with the tokens of that ending, and of the longest that stood before at all. Null where nothing else followed.
   */
  other(
    assumed: readonly number[],
    except: number,
  ): { readonly id: number; readonly length: number; readonly longest: number } | null {
    const first = this.#stateBefore(assumed);
    for (let state = first; state > 0; state = this.#link[state]) {
      const next = this.#seenAt[state] + 1;
      if (next < this.#numTokens && this.#tokens[next] !== except)
        return { id: this.#tokens[next], length: this.#length[state], longest: this.#length[first] };
    }
    return null;
  }

  #endBefore(assumed: readonly number[]): number {
    const state = this.#stateBefore(assumed);
    return state > 0 ? this.#seenAt[state] : none;
  }

  /** Of the longest ending that stood before; 0 where there is none. */
  #stateBefore(assumed: readonly number[]): number {
    if (this.#numTokens === 0) return 0;
    let state = this.#link[this.#last];
    for (const token of assumed) state = this.#step(state, token);
    return this.#seenAt[state] === this.#numTokens - 1 ? Math.max(0, this.#link[state]) : state;
  }

  /** The state of the longest ending, one token later. */
  #step(from: number, token: number): number {
    for (let state = from; state !== none; state = this.#link[state]) {
      const edge = this.#findEdge(state, token);
      if (edge !== none) return this.#edges[edge + target];
    }
    return 0;
  }

  #appendOne(token: number): void {
    const end = this.#numTokens;
    // What ended there has something behind it now.
    if (end > 0) this.#seenAt[this.#link[this.#last]] = end - 1;
    this.#tokens[end] = token;
    this.#numTokens += 1;
    const state = this.#addState(this.#numTokens, 0, end);
    let before = this.#last;
    this.#last = state;
    let edge = none;
    for (; before !== none; before = this.#link[before]) {
      edge = this.#findEdge(before, token);
      if (edge !== none) break;
      this.#addEdge(before, token, state);
    }
    if (before !== none) this.#link[state] = this.#splitAt(before, edge, token);
  }

  /** The state that an edge leads to for endings as long as the edge's: where it has longer ones too, a state of its own. */
  #splitAt(from: number, edge: number, token: number): number {
    const whole = this.#edges[edge + target];
    const length = this.#length[from] + 1;
    if (this.#length[whole] === length) return whole;
    const part = this.#addState(length, this.#link[whole], this.#seenAt[whole]);
    for (let of = this.#firstEdge[whole]; of !== none; of = this.#edges[of + nextOfState])
      this.#addEdge(part, this.#edges[of + label], this.#edges[of + target]);
    for (let state = from; state !== none; state = this.#link[state]) {
      const leading = this.#findEdge(state, token);
      if (leading === none || this.#edges[leading + target] !== whole) break;
      this.#edges[leading + target] = part;
    }
    this.#link[whole] = part;
    return part;
  }

  #addState(length: number, link: number, seenAt: number): number {
    const state = this.#numStates;
    this.#numStates += 1;
    this.#length[state] = length;
    this.#link[state] = link;
    this.#seenAt[state] = seenAt;
    this.#firstEdge[state] = none;
    return state;
  }

  #addEdge(from: number, token: number, to: number): void {
    const edge = this.#numEdges * edgeFields;
    this.#numEdges += 1;
    const bucket = this.#bucketOf(from, token);
    this.#edges[edge + source] = from;
    this.#edges[edge + label] = token;
    this.#edges[edge + target] = to;
    this.#edges[edge + nextOfState] = this.#firstEdge[from];
    this.#edges[edge + nextOfBucket] = this.#buckets[bucket];
    this.#firstEdge[from] = edge;
    this.#buckets[bucket] = edge;
  }

  #findEdge(from: number, token: number): number {
    const edges = this.#edges;
    let edge = this.#buckets[this.#bucketOf(from, token)];
    while (edge !== none && (edges[edge + source] !== from || edges[edge + label] !== token))
      edge = edges[edge + nextOfBucket];
    return edge;
  }

  #bucketOf(state: number, token: number): number {
    const mixed = Math.imul(state, 0x9e3779b1) ^ Math.imul(token, 0x85ebca6b);
    return (mixed ^ (mixed >>> 15)) & (this.#buckets.length - 1);
  }

  #forgetHalf(): void {
    const kept = [...this.#tokens.subarray(this.#numTokens >> 1, this.#numTokens)];
    this.#clear();
    this.append(kept);
  }

  #clear(): void {
    this.#numTokens = 0;
    this.#numStates = 0;
    this.#numEdges = 0;
    this.#buckets.fill(none);
    this.#last = this.#addState(0, none, none);
  }
}

const edgeFields = 5;
const [source, label, target, nextOfState, nextOfBucket] = [0, 1, 2, 3, 4];
